"""How one purchase changes the ledger: pure decisions, the same in a worker, in a rehearsal and in a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.earn.rating import POINTS_MAX, Award, Rating, rate
from shared.contracts.points import PointsEarned
from shared.contracts.purchases import PurchaseCompleted
from shared.instants import BEGINNING, NEVER, iso, microseconds
from shared.ledger.model import Account, Cause, Posting, Terms
from shared.ledger.operations import Operation
from shared.program.compiled import Program


class Refused(NamedTuple):
    """A purchase that must not change the ledger, with the reason of its dead letter."""

    reason: str
    detail: str


class Earned(NamedTuple):
    """What an accepted purchase led to.

    Attributes:
        result: What is kept with the purchase: each line as ``[line_id, quantity, amount]``, each award as
            ``[rule index, lot, [points by line]]``, and the reason if nothing was earned.
        events: One a wallet that earned.
        issued: (wallet, rule name, points) of each award.
    """

    result: dict[str, Any]
    events: list[PointsEarned]
    issued: list[tuple[str, str, int]]


def earn(
    program: Program | None,
    purchase: PurchaseCompleted,
    *,
    source: str,
    key: bytes,
    occurred_at: int,
    accounts: Mapping[tuple[str, str], Account],
    posting: Posting,
) -> Earned | Refused:
    """Rate a purchase and post what it earns.

    Args:
        program: The version in force when the purchase happened, if there was one.
        purchase: A purchase that was not seen before.
        source: Its envelope's source.
        key: Its business key.
        occurred_at: Its instant.
        accounts: The member's locked accounts by (member, wallet), changed in place.
        posting: Collects the entries.
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
    rating = rate(program, purchase)
    if sum(award.points for award in rating.awards) > POINTS_MAX:
        return Refused("too-many-points", f"the order would earn more than {POINTS_MAX:,} points; check its amounts")
    return _post(program, purchase, rating, source, key, occurred_at, accounts, posting)


def _post(
    program: Program,
    purchase: PurchaseCompleted,
    rating: Rating,
    source: str,
    key: bytes,
    occurred_at: int,
    accounts: Mapping[tuple[str, str], Account],
    posting: Posting,
) -> Earned:
    events: list[PointsEarned] = []
    by_wallet: dict[str, list[Award]] = {}
    for award in rating.awards:
        by_wallet.setdefault(award.rule.wallet, []).append(award)
    stored_awards: list[list[Any]] = []
    for wallet, awards in by_wallet.items():
        account = accounts[purchase.member_id, wallet]
        expires_at = program.expires_at(wallet, rating.day)
        terms = Terms(BEGINNING, NEVER if expires_at is None else microseconds(expires_at))
        lot = terms.lot_id()
        qualifying = rating.qualifying
        for award in awards:
            posting.post(
                account, Operation.EARN, award.points, terms=terms, occurred_at=occurred_at,
                cause=Cause(key, program.version, award.rule.index), qualifying=qualifying,
            )  # fmt: skip
            qualifying = 0
            stored_awards.append([award.rule.index, lot, award.line_points])
        events.append(_event(program, purchase, source, wallet, account, awards, lot, terms))
    result: dict[str, Any] = {
        "lines": [[line.line_id, line.quantity, line.amount] for line in purchase.lines],
        "awards": stored_awards,
    }
    if rating.reason:
        result["reason"] = rating.reason
    return Earned(result, events, [(award.rule.wallet, award.rule.name, award.points) for award in rating.awards])


def _event(
    program: Program,
    purchase: PurchaseCompleted,
    source: str,
    wallet: str,
    account: Account,
    awards: list[Award],
    lot: int,
    terms: Terms,
) -> PointsEarned:
    return {
        "member_id": purchase.member_id,
        "program_id": program.program_id,
        "program_version": program.version,
        "wallet": wallet,
        "account": account.account,
        "version": account.version,
        "operation": "earn",
        "points": sum([award.points for award in awards]),
        "order_id": purchase.order_id,
        "order_source": source,
        "occurred_at": purchase.occurred_at.isoformat(),
        "expires_at": None if terms.expires_at == NEVER else iso(terms.expires_at),
        "awards": [{"rule": award.rule.name, "points": award.points, "lot_id": str(lot)} for award in awards],
        "balance": {
            "available": account.available,
            "pending": account.pending,
            "reserved": account.reserved,
            "debt": account.debt,
        },
    }
