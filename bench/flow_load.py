"""The load of the whole flow: members with profiles and points, then all events mixed, over two months (seeded)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.load import Event, event_of, order_of, purchase
from shared.contracts import profiles, purchases, redemptions, referrals

#: The program for this load.
FLOW = Path(__file__).with_name("flow.yaml")
#: Before the mixed events, so that points are available for the first redemption.
_PREPARED = datetime(2017, 2, 15, 17, tzinfo=UTC)
_START = datetime(2017, 3, 1, 5, tzinfo=UTC)
_DAYS = 60
_EVENTS_A_MEMBER = 8
#: Returns are drawn from this many newest orders.
_RECENT = 200
#: Cumulative: purchases 90 %, returns 4 %, redemptions 5 %, referrals 1 %.
_PURCHASE, _RETURN, _REDEMPTION = 0.90, 0.94, 0.99


def members_of(events: int) -> int:
    """Return the number of members for a number of events, so that each member has equally many at every size."""
    return max(10, events // _EVENTS_A_MEMBER)


def profiles_of(members: int) -> Iterator[Event]:
    """Yield a profile of every member."""
    for number in range(members):
        data: dict[str, object] = {
            "member_id": _member(number),
            "occurred_at": _PREPARED.isoformat(),
            "name": f"Planted {number}",
            "email": f"planted-{number}@example.invalid",
            "consent": ["email"],
        }
        yield event_of(profiles.UPDATED, data, f"profile-{number}", "/crm")


def first_purchases(members: int, count: int | None = None) -> Iterator[Event]:
    """Yield purchases of 150 USD, which earn enough points for a notification: one per member, or ``count``."""
    for number in range(members if count is None else count):
        occurred_at = _PREPARED + timedelta(minutes=number // members)
        line = {"line_id": "1", "product_id": "0000001", "category": ["GROCERY"], "brand": "National", "amount": 15_000}
        yield order_of(f"first-{number}", _member(number % members), occurred_at.isoformat(), [line])


def monthly_purchases(members: int, months: int) -> Iterator[Event]:
    """Yield one purchase per member and month, month by month, so that each member has as many lots."""
    rng = random.Random(3)
    for month in range(1, months + 1):
        occurred_at = datetime(2017, month, 10, tzinfo=UTC).isoformat()
        for number in range(members):
            line: dict[str, object] = {
                "line_id": "1",
                "product_id": "0000001",
                "category": ["GROCERY"],
                "amount": rng.randrange(1000, 9000),
            }
            yield order_of(f"{month}-{number}", _member(number), occurred_at, [line])


def requests(count: int, members: int, first: int = 0) -> Iterator[Event]:
    """Yield redemptions of the cheapest reward, confirmed at once."""
    rng = random.Random(4 + first)
    for number in range(first, first + count):
        yield _request(number, _member(rng.randrange(members)), _START.isoformat())


def mixed(events: int) -> Iterator[Event]:
    """Yield all kinds of events mixed, in order of time.

    Nothing depends on which service is faster: every friend is new, and no referrer was referred.
    """
    rng = random.Random(5)
    members = members_of(events)
    orders: list[tuple[str, str]] = []
    friends: list[str] = []
    for number in range(events):
        occurred_at = (_START + timedelta(days=_DAYS) * number / events).isoformat()
        member = _member(rng.randrange(members))
        kind = rng.random()
        if kind < _PURCHASE or not orders:
            buyer = friends.pop() if friends else member
            if buyer == member:
                orders = [*orders[-_RECENT:], (f"{number:010d}", member)]
            yield purchase(rng, f"{number:010d}", buyer, occurred_at)
        elif kind < _RETURN:
            order, member = orders.pop(rng.randrange(len(orders)))
            data: dict[str, object] = {
                "return_id": str(number),
                "order_id": order,
                "member_id": member,
                "occurred_at": occurred_at,
            }
            yield event_of(purchases.RETURNED, data, f"return-{number}")
        elif kind < _REDEMPTION:
            yield _request(number, member, occurred_at)
        else:
            friends.append(f"friend-{number}")
            data = {
                "referral_id": str(number),
                "member_id": friends[-1],
                "referrer_id": member,
                "occurred_at": occurred_at,
            }
            yield event_of(referrals.REGISTERED, data, f"referral-{number}", "/crm")


def _request(number: int, member: str, occurred_at: str) -> Event:
    data: dict[str, object] = {
        "redemption_id": redemption_id(number),
        "member_id": member,
        "reward": "tea",
        "confirm": True,
        "occurred_at": occurred_at,
    }
    return event_of(redemptions.REQUESTED, data, f"request-{number}", "/till")


def redemption_id(number: int) -> str:
    """Return the id of a redemption, which is also the correlation id of its answer."""
    return f"q{number}"


def _member(number: int) -> str:
    return f"{number:06d}"
