"""How one purchase changes the ledger: pure decisions, the same in a worker, in a rehearsal and in a test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from services.earn.awards import POINTS_MAX, Award, Rating, Verdict
from services.earn.orders import Kept, Line, Order, Paid
from services.earn.rating import rate
from shared.contracts.points import Balance, PointsEarned, SpendQualified
from shared.contracts.purchases import PurchaseCompleted
from shared.instants import BEGINNING, NEVER, iso
from shared.ledger.book import Book
from shared.ledger.model import NO_RULE, Account, Cause, Terms
from shared.ledger.operations import Operation
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import NOTHING_KNOWN, MemberContext
from shared.program.compiled.tallies import PURCHASES, Key, noting


class Refused(NamedTuple):
    """An event that must not change the ledger, with the reason of its dead letter."""

    reason: str
    detail: str


class Earned(NamedTuple):
    """What an accepted purchase led to.

    Attributes:
        order: What returns will need of it.
        reason: Why it earned nothing; None if it earned.
        events: One a wallet that earned.
        qualified: The amount that counts, where no points moved in the ladder's wallet.
        issued: (wallet, rule name, points) of each award.
        counted: What is to be added to the member's tallies.
    """

    order: Order
    reason: str | None
    events: list[PointsEarned]
    qualified: SpendQualified | None
    issued: list[tuple[str, str, int]]
    counted: dict[Key, int]

    def result(self) -> dict[str, Any]:
        """Return what is kept with the purchase."""
        return self.order.result(self.reason)


def earn(
    program: Program | None,
    purchase: PurchaseCompleted,
    *,
    source: str,
    key: bytes,
    occurred_at: int,
    book: Book,
    known: MemberContext = NOTHING_KNOWN,
    verdicts: list[Verdict] | None = None,
) -> Earned | Refused:
    """Rate a purchase and post what it earns.

    Args:
        program: The version in force when the purchase happened, if there was one.
        purchase: A purchase that was not seen before.
        source: Its envelope's source.
        key: Its business key.
        occurred_at: Its instant.
        book: The member's locked accounts.
        known: What is known beside it.
        verdicts: Filled, if given, with what became of each rule.
    """
    if program is None:
        return Refused(
            "no-program",
            f"no version of the program was in force on {purchase.occurred_at.isoformat()}; "
            "check the purchase's time, or publish a version that covers it, then replay",
        )
    refused = other_currency(program, purchase.currency)
    if refused is not None:
        return refused
    kept = Kept(known.tier)
    if program.book.counts:
        noted: dict[Key, int] = {}
        known = known._replace(count=noting(known.count, noted))
        if program.book.counts_purchases:
            known.count(PURCHASES)  # an amendment may make a rule apply that does not look at it now
        kept = kept._replace(counts=noted)
    if program.book.member_fields is not None:
        kept = kept._replace(member=known.member.only(program.book.member_fields))
    rating = rate(program, purchase, known, verdicts)
    if sum([award.points for award in rating.awards]) > POINTS_MAX:
        return Refused("too-many-points", f"the order would earn more than {POINTS_MAX:,} points; check its amounts")
    lines = [
        Line(line.line_id, line.quantity, line.amount, qualifying)
        for line, qualifying in zip(purchase.lines, rating.qualifying, strict=True)
    ]
    order = Order(key, source, purchase.order_id, purchase.member_id, occurred_at, program.version, lines, [], kept)
    return _post(program, purchase, rating, order, book)


def other_currency(program: Program, currency: str) -> Refused | None:
    """Return why an order in a currency that the program does not accept is refused."""
    if currency in program.worth:
        return None
    return Refused(
        "other-currency",
        f"the program earns in {', '.join(program.worth)} and this order is in {currency}; "
        "mend the order or the program, then replay",
    )


def _post(program: Program, purchase: PurchaseCompleted, rating: Rating, order: Order, book: Book) -> Earned:
    events: list[PointsEarned] = []
    by_wallet: dict[str, list[Award]] = {}
    ladder, whole = program.ladder, sum(rating.qualifying)
    for award in rating.awards:
        by_wallet.setdefault(award.wallet, []).append(award)
    for wallet, awards in by_wallet.items():
        account = book.accounts[purchase.member_id, wallet]
        book.advance_to(account, order.occurred_at)
        repaid = 0
        qualifying = whole
        paid: list[tuple[str, int, Terms]] = []
        for award in awards:
            terms = terms_of(award, rating, order.key)
            repaid += book.earn(
                account, award.points, terms=terms, cause=Cause(order.key, program.version, award.rule.index),
                event_at=order.occurred_at, qualifying=qualifying,
            )  # fmt: skip
            qualifying = 0
            own = "" if wallet == award.rule.wallet else wallet
            order.awards.append(Paid(award.rule.index, terms.lot_id(), award.line_points, own))
            paid.append((award.rule.name, award.points, terms))
        events.append(earned_event(program, order, account, paid, repaid, purchase.occurred_at))
    qualified = None
    if ladder is not None and ladder.wallet not in by_wallet and whole:
        account = book.accounts[purchase.member_id, ladder.wallet]
        book.advance_to(account, order.occurred_at)
        cause = Cause(order.key, program.version, NO_RULE)
        book.qualify(account, Operation.EARN, whole, cause=cause, event_at=order.occurred_at)
        qualified = qualified_event(program, account, Operation.EARN, whole, order, order.occurred_at)
    issued = [(award.wallet, award.rule.name, award.points) for award in rating.awards]
    return Earned(order, rating.reason, events, qualified, issued, rating.counted)


def terms_of(award: Award, rating: Rating, key: bytes) -> Terms:
    """Return the terms of points that an order earns by a rule in a wallet."""
    lifetime = award.rule.lifetimes[award.wallet]
    available_at, expires_at = lifetime.of(rating.day, rating.joined_on)
    if available_at != NEVER or lifetime.pending is None:
        return Terms(available_at, expires_at, idle=lifetime.idle)
    return Terms(available_at, expires_at, waits_for(key, lifetime.pending.until), lifetime.idle)


def waits_for(key: bytes, until: Literal["fulfilled", "claimed"]) -> bytes:
    """Return what makes an order's points available that wait: the order itself, shipped, or the claim of it."""
    return key if until == "fulfilled" else hashlib.blake2b(key + b"claimed", digest_size=16).digest()


def balance_of(account: Account) -> Balance:
    """Return the account's balance as events tell it."""
    return {
        "available": account.available,
        "pending": account.pending,
        "reserved": account.reserved,
        "debt": account.debt,
    }


def qualified_event(
    program: Program, account: Account, operation: Operation, amount: int, order: Order, occurred_at: int
) -> SpendQualified:
    """Return the event about an amount that counts although no points moved."""
    return {
        "member_id": account.member,
        "program_id": program.program_id,
        "wallet": account.wallet,
        "account": account.account,
        "version": account.version,
        "operation": operation.word,
        "amount": amount,
        "order_id": order.order_id,
        "order_source": order.source,
        "occurred_at": iso(occurred_at),
    }


def available_at_word(terms: Terms) -> str | None:
    """Return when points become available, as events tell it: null at once, "never" until the order is fulfilled."""
    return None if terms.available_at == BEGINNING else iso(terms.available_at)


def earned_event(
    program: Program,
    order: Order,
    account: Account,
    paid: Sequence[tuple[str, int, Terms]],
    repaid: int,
    occurred_at: datetime,
    *,
    at_once: bool = False,
) -> PointsEarned:
    """Return the event about what an order, or its amendment, earned in one wallet.

    Args:
        program: The version that rated it.
        order: The order.
        account: The wallet's account, after it.
        paid: (rule name, points, terms) of each award.
        repaid: How much of it repaid a debt.
        occurred_at: When the order was made, or amended.
        at_once: Points that would wait are available, for the order was claimed before.
    """
    # Of the first award; where rules give points other terms than the wallet's, each award says its own.
    terms = paid[0][2]
    pending = terms.available_at > account.as_of and not at_once
    return {
        "member_id": order.member,
        "program_id": program.program_id,
        "program_version": program.version,
        "wallet": account.wallet,
        "account": account.account,
        "version": account.version,
        "operation": "earn-pending" if pending else "earn",
        "points": sum([points for _name, points, _terms in paid]),
        "order_id": order.order_id,
        "order_source": order.source,
        "referral_id": None,
        "occurred_at": occurred_at.isoformat(),
        "available_at": None if at_once else available_at_word(terms),
        "expires_at": None if terms.expires_at == NEVER else iso(terms.expires_at),
        "awards": [{"rule": name, "points": points, "lot_id": str(terms.lot_id())} for name, points, terms in paid],
        "repaid": repaid,
        "balance": balance_of(account),
    }
