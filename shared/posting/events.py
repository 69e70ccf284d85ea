"""The one builder of each event on the topic ``points``, of the balance in it, and of the message that carries it.

Subscribers see the same event whoever publishes it. The order of the fields is part of the bytes, so it never changes.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import pydantic_core

from shared.contracts.envelope import seal
from shared.contracts.points import (
    Award,
    Balance,
    PointsEarned,
    PointsExpiring,
    PointsMoved,
    PointsReversed,
    ReferralChanged,
    SpendQualified,
)
from shared.instants import BEGINNING, NEVER, iso
from shared.ledger.due import TimedEffect
from shared.ledger.model import Account, Terms
from shared.ledger.operations import Operation
from shared.ledger.reversal import ClawbackResult
from shared.program.compiled.program import Program
from shared.runtime.records import Message


class OrderName(NamedTuple):
    """The order that an event is about; and the referral, where it was that which paid."""

    order_id: str
    order_source: str
    referral_id: str | None = None


def message(
    topic: str,
    event_type: str,
    event_id: str,
    source: str,
    time: str,
    member: str,
    data: Any,
    *more_headers: tuple[str, bytes],
) -> Message:
    """Return the message that carries an event about a member."""
    headers = seal(event_id=event_id, source=source, event_type=event_type, time=time, key=member)
    return Message(topic, member.encode(), pydantic_core.to_json(data), [*headers, *more_headers])


def balance(available: int, pending: int, reserved: int, debt: int) -> Balance:
    """Return a balance as events tell it."""
    return {"available": available, "pending": pending, "reserved": reserved, "debt": debt}


def balance_of(account: Account) -> Balance:
    """Return the account's balance as it is now."""
    return balance(account.available, account.pending, account.reserved, account.debt)


def available_at_word(terms: Terms) -> str | None:
    """Return when points become available, as events tell it: null at once, "never" until the order is fulfilled."""
    return None if terms.available_at == BEGINNING else iso(terms.available_at)


def award_of(rule: str, points: int, lot: int) -> Award:
    """Return what one rule paid, or has to give back, as events tell it, and the lot that it went to."""
    return {"rule": rule, "points": points, "lot_id": str(lot)}


def points_earned(
    program: Program,
    account: Account,
    order: OrderName,
    awards: list[Award],
    terms: Terms,
    *,
    repaid: int,
    occurred_at: str,
) -> PointsEarned:
    """Return the event about what an order, its amendment or a referral earned in one wallet.

    Args:
        program: The version that rated it.
        account: The wallet's account, after it.
        order: What earned.
        awards: At least one.
        terms: Of the first award; where rules give points other terms than the wallet's, each award says its own.
        repaid: How much of it repaid a debt.
        occurred_at: RFC 3339, when the order was made, or amended.
    """
    pending = terms.available_at > account.as_of
    return {
        "member_id": account.member,
        "program_id": program.program_id,
        "program_version": program.version,
        "wallet": account.wallet,
        "account": account.account,
        "version": account.version,
        "operation": "earn-pending" if pending else "earn",
        "points": sum([award["points"] for award in awards]),
        "order_id": order.order_id,
        "order_source": order.order_source,
        "referral_id": order.referral_id,
        "occurred_at": occurred_at,
        "available_at": available_at_word(terms),
        "expires_at": None if terms.expires_at == NEVER or terms.fulfils else iso(terms.expires_at),
        "awards": awards,
        "repaid": repaid,
        "balance": balance_of(account),
    }


def points_reversed(
    program: Program,
    account: Account,
    order: OrderName,
    awards: list[Award],
    taken: ClawbackResult,
    *,
    return_id: str,
    occurred_at: int,
) -> PointsReversed:
    """Return the event about what a return, a cancellation or an amendment took back in one wallet.

    Args:
        program: Any version.
        account: The wallet's account, after it.
        order: What had earned.
        awards: What was to be taken back of each.
        taken: From where it came.
        return_id: Of what took it back.
        occurred_at: When that happened.
    """
    return {
        "member_id": account.member,
        "program_id": program.program_id,
        "wallet": account.wallet,
        "account": account.account,
        "version": account.version,
        "operation": "reverse",
        "points": sum(taken),
        "taken": taken.taken,
        "excused": taken.excused,
        "owed": taken.owed,
        "waived": taken.waived,
        "withheld": taken.withheld,
        "return_id": return_id,
        "order_id": order.order_id,
        "order_source": order.order_source,
        "referral_id": order.referral_id,
        "occurred_at": iso(occurred_at),
        "awards": awards,
        "balance": balance_of(account),
    }


def spend_qualified(
    program: Program, account: Account, order: OrderName, operation: Operation, amount: int, occurred_at: int
) -> SpendQualified:
    """Return the event about an amount that counts towards a tier although no points moved."""
    return {
        "member_id": account.member,
        "program_id": program.program_id,
        "wallet": account.wallet,
        "account": account.account,
        "version": account.version,
        "operation": operation.word,
        "amount": amount,
        "order_id": order.order_id,
        "order_source": order.order_source,
        "occurred_at": iso(occurred_at),
    }


def points_moved(program: Program, effect: TimedEffect, operation: Operation) -> PointsMoved:
    """Return the event about points that became available, or expired."""
    account = effect.account
    return {
        "member_id": account.member,
        "program_id": program.program_id,
        "wallet": account.wallet,
        "account": account.account,
        "version": effect.version,
        "points": effect.points,
        "occurred_at": iso(effect.instant),
        "balance": balance(*effect.balance),
        "operation": operation.word,
        "lot_id": str(effect.lot),
    }


def points_expiring(program: Program, effect: TimedEffect) -> PointsExpiring:
    """Return the event about points that will expire unless they are used."""
    account = effect.account
    return {
        "member_id": account.member,
        "program_id": program.program_id,
        "wallet": account.wallet,
        "account": account.account,
        "version": effect.version,
        "points": effect.points,
        "occurred_at": iso(effect.instant),
        "balance": balance(*effect.balance),
        "operation": "expiring",
        "days_left": effect.days_left,
        "expires_at": iso(effect.expires_at),
    }


def referral_changed(
    program_id: str,
    friend: str,
    referrer: str,
    order: OrderName,
    *,
    source: str,
    state: Literal["qualified", "refused", "reversed"],
    reason: str,
    referrer_points: int,
    friend_points: int,
    occurred_at: int,
) -> ReferralChanged:
    """Return the event about what became of a referral, by which order if one decided it; it is the friend's."""
    assert order.referral_id is not None, "the event is about a referral"
    return {
        "member_id": friend,
        "program_id": program_id,
        "referral_id": order.referral_id,
        "referral_source": source,
        "referrer_id": referrer,
        "state": state,
        "reason": reason or None,
        "order_id": order.order_id or None,
        "order_source": order.order_source or None,
        "referrer_points": referrer_points,
        "friend_points": friend_points,
        "occurred_at": iso(occurred_at),
    }
