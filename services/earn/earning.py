"""How one purchase changes the ledger: pure decisions, the same in a worker, in a rehearsal and in a test."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

from services.earn.orders import Line, Order, Paid
from services.earn.rating import ONE, POINTS_MAX, Award, Rating, rate
from shared.contracts.points import Balance, PointsEarned, SpendQualified
from shared.contracts.purchases import PurchaseCompleted
from shared.instants import BEGINNING, NEVER, iso, microseconds
from shared.ledger.book import Book
from shared.ledger.model import NO_RULE, Account, Cause, Terms
from shared.ledger.operations import Operation
from shared.program.compiled import Program


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
    """

    order: Order
    reason: str | None
    events: list[PointsEarned]
    qualified: SpendQualified | None
    issued: list[tuple[str, str, int]]

    def result(self) -> dict[str, Any]:
        """Return what is kept with the purchase: each line, each award, and the reason if nothing was earned."""
        kept: dict[str, Any] = {
            "lines": [[*line[:3], int(line.qualifies)] for line in self.order.lines],
            "awards": self.order.awards,
        }
        if self.reason:
            kept["reason"] = self.reason
        return kept


def earn(
    program: Program | None,
    purchase: PurchaseCompleted,
    *,
    source: str,
    key: bytes,
    occurred_at: int,
    book: Book,
    multiplier: Fraction = ONE,
) -> Earned | Refused:
    """Rate a purchase and post what it earns.

    Args:
        program: The version in force when the purchase happened, if there was one.
        purchase: A purchase that was not seen before.
        source: Its envelope's source.
        key: Its business key.
        occurred_at: Its instant.
        book: The member's locked accounts.
        multiplier: Of the tier that was valid then.
    """
    if program is None:
        return Refused(
            "no-program",
            f"no version of the program was in force on {purchase.occurred_at.isoformat()}; "
            "check the purchase's time, or publish a version that covers it, then replay",
        )
    if purchase.currency != program.currency:
        return Refused(
            "other-currency",
            f"the program earns in {program.currency} and this order is in {purchase.currency}; "
            "mend the order or the program, then replay",
        )
    rating = rate(program, purchase, multiplier)
    if sum([award.points for award in rating.awards]) > POINTS_MAX:
        return Refused("too-many-points", f"the order would earn more than {POINTS_MAX:,} points; check its amounts")
    eligible = frozenset(rating.earning)
    lines = [
        Line(line.line_id, line.quantity, line.amount, index in eligible) for index, line in enumerate(purchase.lines)
    ]
    order = Order(key, source, purchase.order_id, purchase.member_id, occurred_at, program.version, lines, [])
    return _post(program, purchase, rating, order, book)


def _post(program: Program, purchase: PurchaseCompleted, rating: Rating, order: Order, book: Book) -> Earned:
    events: list[PointsEarned] = []
    by_wallet: dict[str, list[Award]] = {}
    for award in rating.awards:
        by_wallet.setdefault(award.rule.wallet, []).append(award)
    for wallet, awards in by_wallet.items():
        account = book.accounts[purchase.member_id, wallet]
        book.bring_to(account, order.occurred_at)
        terms = terms_of(program, wallet, rating, order.key)
        repaid = 0
        qualifying = rating.qualifying
        for award in awards:
            repaid += book.earn(
                account, award.points, terms=terms, cause=Cause(order.key, program.version, award.rule.index),
                event_at=order.occurred_at, qualifying=qualifying,
            )  # fmt: skip
            qualifying = 0
            order.awards.append(Paid(award.rule.index, terms.lot_id(), award.line_points))
        events.append(_event(program, purchase, order, account, awards, terms, repaid))
    qualified = None
    ladder = program.ladder
    if ladder is not None and ladder.wallet not in by_wallet and rating.qualifying:
        account = book.accounts[purchase.member_id, ladder.wallet]
        book.bring_to(account, order.occurred_at)
        cause = Cause(order.key, program.version, NO_RULE)
        book.qualify(account, Operation.EARN, rating.qualifying, cause=cause, event_at=order.occurred_at)
        qualified = qualified_event(program, account, Operation.EARN, rating.qualifying, order, order.occurred_at)
    issued = [(award.rule.wallet, award.rule.name, award.points) for award in rating.awards]
    return Earned(order, rating.reason, events, qualified, issued)


def terms_of(program: Program, wallet: str, rating: Rating, key: bytes) -> Terms:
    """Return the terms of points that an order earns in a wallet."""
    available_at = program.available_at(wallet, rating.day)
    expires_at = program.expires_at(wallet, rating.day)
    expiry = NEVER if expires_at is None else microseconds(expires_at)
    return Terms(available_at, expiry, key if available_at == NEVER else b"")


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


def _event(
    program: Program,
    purchase: PurchaseCompleted,
    order: Order,
    account: Account,
    awards: list[Award],
    terms: Terms,
    repaid: int,
) -> PointsEarned:
    lot = str(terms.lot_id())
    pending = terms.available_at > account.as_of
    return {
        "member_id": purchase.member_id,
        "program_id": program.program_id,
        "program_version": program.version,
        "wallet": account.wallet,
        "account": account.account,
        "version": account.version,
        "operation": "earn-pending" if pending else "earn",
        "points": sum([award.points for award in awards]),
        "order_id": purchase.order_id,
        "order_source": order.source,
        "referral_id": None,
        "occurred_at": purchase.occurred_at.isoformat(),
        "available_at": available_at_word(terms),
        "expires_at": None if terms.expires_at == NEVER else iso(terms.expires_at),
        "awards": [{"rule": award.rule.name, "points": award.points, "lot_id": lot} for award in awards],
        "repaid": repaid,
        "balance": balance_of(account),
    }
