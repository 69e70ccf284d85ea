"""Events that the Complete Journey does not contain, generated reproducibly from it.

- returns: 4 % of the baskets, drawn by a hash of the basket id, are returned 1 to 14 days later, at the same time of
  day: half of them whole, the others one line;
- referrals: 5 % of the households, drawn the same way, were referred by one that had bought before; they are
  registered an hour before their first basket;
- redemptions: each coupon redemption of the data (household, day) is a request for the fuel voucher at noon; five of
  ten are confirmed at once, four 5 minutes later, one never;
- profiles: every household has an address ``member-<id>@example.invalid`` and no name;
- amendments: 2 % of the baskets are changed 10 minutes later: half of the first line, or one line less;
- cancellations: 1 % of the baskets are cancelled an hour later;
- members: every household joined in 2015 or 2016 and has a birthday; one in five is a student's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow
import pydantic_core
from pyarrow import parquet

from devstack.completejourney import ZONE, Baskets, data_file
from shared.contracts import members, profiles, purchases, redemptions, referrals
from shared.contracts.envelope import seal

KINDS = ("returns", "referrals", "redemptions", "profiles", "amendments", "cancellations", "members")
REWARD = "fuel-voucher"
_RETURNS, _WHOLE = 4, 50
_REFERRALS = 5
_AMENDMENTS, _CANCELLATIONS = 2, 1
_CONFIRMED_AT_ONCE, _CONFIRMED_LATER = 5, 9


class Extra(NamedTuple):
    """One event to publish, and when."""

    moment: datetime
    topic: str
    member_id: str
    value: bytes
    headers: list[tuple[str, bytes]]


def extras(baskets: Baskets, kinds: Iterable[str]) -> list[Extra]:
    """Return the events of some kinds for a part of the year, in order of time."""
    makers = {
        "returns": _returns,
        "referrals": _referrals,
        "redemptions": _redemptions,
        "profiles": _profiles,
        "amendments": _amendments,
        "cancellations": _cancellations,
        "members": _members,
    }
    last = baskets.last_day
    found = [extra for kind in kinds for extra in makers[kind](baskets) if extra.moment.date() <= last]
    return sorted(found, key=lambda extra: (extra.moment, extra.topic, extra.member_id))


def _draw(kind: str, number: object, sides: int) -> int:
    """Draw a number below ``sides``: always the same one, whatever part of the year is replayed."""
    return zlib.crc32(f"{kind} {number}".encode()) % sides


def _event(moment: datetime, topic: str, event_type: str, event_id: str, source: str, data: dict[str, Any]) -> Extra:
    occurred_at = moment.isoformat()
    member = data["member_id"]
    headers = seal(event_id=event_id, source=source, event_type=event_type, time=occurred_at, key=member)
    return Extra(moment, topic, member, pydantic_core.to_json({**data, "occurred_at": occurred_at}), headers)


def _returns(baskets: Baskets) -> Iterator[Extra]:
    for basket in baskets.all():
        if _draw("return", basket.number, 100) >= _RETURNS:
            continue
        moment = basket.moment + timedelta(days=1 + _draw("days", basket.number, 14))
        data: dict[str, Any] = {
            "return_id": f"r-{basket.number}",
            "order_id": str(basket.number),
            "member_id": basket.member,
        }
        if _draw("whole", basket.number, 100) >= _WHOLE:
            lines = [line for line in baskets.lines(basket) if line["quantity"] or line["amount"]]
            if lines:
                line = lines[_draw("line", basket.number, len(lines))]
                data["lines"] = [{name: line[name] for name in ("line_id", "quantity", "amount")}]
        yield _event(
            moment, purchases.TOPIC, purchases.RETURNED, f"return-{basket.number}", f"/stores/{basket.store}", data
        )


def _referrals(baskets: Baskets) -> Iterator[Extra]:
    before: list[str] = []
    for basket in baskets.first_of_each():
        if before and _draw("referral", basket.member, 100) < _REFERRALS:
            moment = max(basket.moment - timedelta(hours=1), datetime(2017, 1, 1, tzinfo=ZONE))
            data = {
                "referral_id": f"ref-{basket.member}",
                "member_id": basket.member,
                "referrer_id": before[_draw("referrer", basket.member, len(before))],
                "code": f"FRIEND-{basket.member}",
            }
            yield _event(moment, referrals.TOPIC, referrals.REGISTERED, f"referral-{basket.member}", "/crm", data)
        before.append(basket.member)


def _redemptions(baskets: Baskets) -> Iterator[Extra]:
    table = parquet.read_table(data_file("coupon_redemptions"))
    columns = (table.column("household_id"), table.column("redemption_date").cast(pyarrow.date32()))
    rows: Iterable[tuple[int, date]] = zip(*(column.to_pylist() for column in columns), strict=True)
    households = baskets.members
    for number, (household, day) in enumerate(rows):
        member = str(household)
        if member not in households:
            continue
        moment = datetime.combine(day, datetime.min.time(), ZONE) + timedelta(hours=12)
        draw = _draw("confirm", number, 10)
        data = {"redemption_id": f"c-{number}", "member_id": member}
        yield _event(
            moment,
            redemptions.TOPIC,
            redemptions.REQUESTED,
            f"request-{number}",
            "/coupons",
            {**data, "reward": REWARD, "confirm": draw < _CONFIRMED_AT_ONCE},
        )
        if _CONFIRMED_AT_ONCE <= draw < _CONFIRMED_LATER:
            yield _event(
                moment + timedelta(minutes=5),
                redemptions.TOPIC,
                redemptions.CONFIRMED,
                f"confirm-{number}",
                "/coupons",
                data,
            )


def _amendments(baskets: Baskets) -> Iterator[Extra]:
    for basket in baskets.all():
        if _draw("amendment", basket.number, 100) >= _AMENDMENTS:
            continue
        first, *others = baskets.lines(basket)
        half = {**first, "amount": first["amount"] // 2}
        data: dict[str, Any] = {
            "amendment_id": f"a-{basket.number}",
            "order_id": str(basket.number),
            "member_id": basket.member,
            "channel": "store",
            "store_id": basket.store,
            "currency": "USD",
            "lines": others if others and _draw("less", basket.number, 2) else [half, *others],
        }
        yield _event(
            basket.moment + timedelta(minutes=10),
            purchases.TOPIC,
            purchases.AMENDED,
            f"amendment-{basket.number}",
            f"/stores/{basket.store}",
            data,
        )


def _cancellations(baskets: Baskets) -> Iterator[Extra]:
    for basket in baskets.all():
        if _draw("cancellation", basket.number, 100) < _CANCELLATIONS:
            data = {
                "cancellation_id": f"x-{basket.number}",
                "order_id": str(basket.number),
                "member_id": basket.member,
            }
            yield _event(
                basket.moment + timedelta(hours=1),
                purchases.TOPIC,
                purchases.CANCELLED,
                f"cancellation-{basket.number}",
                f"/stores/{basket.store}",
                data,
            )


def _members(baskets: Baskets) -> Iterator[Extra]:
    moment = datetime(2017, 1, 1, tzinfo=ZONE)
    for member in sorted(baskets.members):
        joined = date(2015, 1, 1) + timedelta(days=_draw("joined", member, 730))
        birthday = date(2016, 1, 1) + timedelta(days=_draw("birthday", member, 366))
        data = {
            "member_id": member,
            "joined_on": joined.isoformat(),
            "birthday": f"{birthday:%m-%d}",
            "segments": ["student"] if _draw("student", member, 5) == 0 else [],
        }
        yield _event(moment, members.TOPIC, members.UPDATED, f"member-{member}", "/crm", data)


def _profiles(baskets: Baskets) -> Iterator[Extra]:
    moment = datetime(2017, 1, 1, tzinfo=ZONE)
    for member in sorted(baskets.members):
        data = {
            "member_id": member,
            "email": f"member-{member}@example.invalid",
            "locale": "en-US",
            "consent": ["email"],
        }
        yield _event(moment, profiles.TOPIC, profiles.UPDATED, f"profile-{member}", "/crm", data)
