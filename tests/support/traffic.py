"""A program with everything in it, and reproducible random traffic on all topics, day by day."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared.contracts import members, profiles, purchases, redemptions, referrals
from shared.instants import microseconds
from tests.support.events import Sent, about, event, purchase

ZONE = ZoneInfo("America/New_York")
PROGRAM = """
program: whole-flow
name: Whole Flow
currency: USD
time_zone: America/New_York
effective: 2017-01-01
wallets:
  points:
    name: Points
    unit: point
    expiry: 2 months, to the end of that month
    pending: 3 days
    on_return: debt
    remind: [30, 7, 1]
never_earns:
  category: [FUEL]
earning:
  - rule: every-dollar
    give: 1 point per whole USD
  - rule: own-brands
    give: 1 point per whole USD
    for: { brand: Private }
referral:
  referrer: 50 points
  friend: 25 points
  purchase_of_at_least: 10 USD
  within_days: 20
  at_most_a_month: 2
rewards:
  - reward: tea
    name: A tea
    cost: 20 points
    worth: 2 USD
    hold: 2 hours
  - reward: cake
    name: A cake
    cost: 60 points
    worth: 6 USD
    limit: 3
    hold: 1 day
  - reward: party
    name: A party
    cost: 100 points
    worth: 15 USD
    tier: gold
ladder:
  metric: spend
  window: rolling 12 months
  keep: while the metric holds
  warn_days: 10
  tiers:
    - { tier: member, name: Member, from: "0" }
    - { tier: silver, name: Silver, from: 100 USD, multiplier: 1.25 }
    - { tier: gold, name: Gold, from: 300 USD, multiplier: 1.5 }
notifications:
  templates: whole-flow.templates
  tell: [points-expiring, tier-upgraded, tier-expiring, points-earned, referral-rewarded, redemption-done]
  channels: [email, sms]
  quiet_hours: 21:00 to 08:00
  points_earned_over: 60
"""
#: The same with rules that count, compete, multiply and pay several wallets.
RICH = (
    PROGRAM.replace(
        "never_earns:",
        """  stars: { name: Stars, unit: star, expiry: 31 days, on_return: clamp, cap: 40 stars per week }
  cash: { name: Cash-back, unit: USD, expiry: after 20 days without activity, remind: [5], on_return: withhold }
never_earns:""",
    )
    .replace(
        "referral:",
        """  - rule: every-third
    give: 30 points per order
    when: { purchase: every 3rd }
  - rule: two-days-running
    give: 15 points per order
    when: { visits: 2 days in a row }
    pending: until fulfilled
  - rule: double-groceries
    multiply: 2
    of: [every-dollar]
    for: { category: GROCERY }
    cap: [70 points per day, 120 points per week]
  - rule: star-an-item
    give: 1 star per item
    best_of: stars
  - rule: stars-for-silver
    give: 9 stars per order
    best_of: stars
    when: { tier: silver }
    expiry: 3 days
  - rule: first-come
    give: 7 points per order
    budget: [60 points per day, 400 points in all]
    pending: until claimed
  - rule: for-students
    give: 5 points per order
    when: { segment: [student, teacher], attribute: { favourite: [north, south] } }
    expiry: at the end of the membership year
  - rule: birthday
    give: 11 points per order
    when: { birthday: within 2 days }
  - rule: cash-back
    give: 1.5% back
    rounding: half-even per line
  - rule: more-cash-back
    give: 4% back
    for: { brand: Private }
    replaces: cash-back
    cap: 3 USD in all
referral:""",
        1,
    )
    .replace("ladder:\n", "ladder:\n  wallet: points\n")
)
TEMPLATES = {
    f"{kind}.en.txt": f"Subject: {kind}\n\nNews of {kind} for you.\n"
    for kind in (
        "points-expiring", "tier-upgraded", "tier-expiring", "points-earned", "referral-rewarded", "redemption-done",
    )
}  # fmt: skip
FIRST_DAY = date(2017, 3, 1)
_BUYERS = 7


def end_of(day: int) -> int:
    """Midnight after a day of the traffic, where the program lives."""
    return microseconds(datetime.combine(FIRST_DAY + timedelta(days=day + 1), datetime.min.time(), ZONE))


def orders(count: int, first: int = 0) -> list[Sent]:
    """Orders of a few members; every seventh is sent twice."""
    found = []
    for number in range(first, first + count):
        one = event(purchase(f"o{number}", f"m{number % _BUYERS}", [100 * (number % 50) + 99, 250]))
        found += [one, one] if number % 7 == 0 else [one]
    return found


class Traffic:
    """Random events of a few members, in the order of time; the same for the same seed."""

    def __init__(self, seed: int, members: int = 12) -> None:
        self._random = random.Random(seed)
        self._members = [f"m{number}" for number in range(members)]
        self._orders: list[dict[str, Any]] = []
        self._requests: list[dict[str, Any]] = []
        self._number = 0

    def profiles(self) -> list[Sent]:
        moment = datetime(2017, 3, 1, tzinfo=ZONE).isoformat()
        return [
            about(profiles.UPDATED, {
                "member_id": member, "occurred_at": moment, "name": f"Planted {member}",
                "email": f"planted-{member}@example.invalid", "consent": ["email"],
                "time_zone": "Asia/Tokyo" if member.endswith("3") else None,
            })
            for member in self._members if not member.endswith("5")
        ]  # fmt: skip

    def day(self, number: int, events: int = 40) -> list[Sent]:
        """The events of one day, some of them sent twice, some of them hours late."""
        begin = datetime.combine(FIRST_DAY + timedelta(days=number), datetime.min.time(), ZONE)
        moments = sorted(begin + timedelta(seconds=self._random.randrange(86_399)) for _ in range(events))
        found: list[Sent] = []
        for moment in moments:
            late = timedelta(minutes=self._random.randrange(50)) if self._random.random() < 0.2 else timedelta()
            for sent in self._one((moment - late).astimezone(self._random.choice([ZONE, UTC]))):
                found += [sent, sent] if self._random.random() < 0.1 else [sent]
        return found

    def _one(self, moment: datetime) -> Iterator[Sent]:
        roll = self._random.random()
        member = self._random.choice(self._members)
        self._number += 1
        base = {"member_id": member, "occurred_at": moment.isoformat()}
        if roll < 0.5 or not self._orders:
            yield self._purchase(base)
        elif roll < 0.66:
            yield self._about_an_order(moment)
        elif roll < 0.70:
            data = {**base, "referral_id": f"r{self._number}", "referrer_id": self._random.choice(self._members)}
            if self._random.random() < 0.6:  # a new member, who buys a little later
                data["member_id"] = f"m{self._number}"
                soon = (moment + timedelta(minutes=9)).isoformat()
                yield self._purchase({"member_id": data["member_id"], "occurred_at": soon})
                self._number += 1
            yield about(referrals.REGISTERED, data, "/crm")
        elif roll < 0.74:
            yield about(members.UPDATED, {**base, **self._told()}, "/crm")
        elif roll < 0.9 or not self._requests:
            request: dict[str, Any] = {
                **base, "redemption_id": f"q{self._number}", "confirm": self._random.random() < 0.4,
                "reward": self._random.choice(["tea", "tea", "cake", "party", "nothing"]),
            }  # fmt: skip
            self._requests.append(request)
            yield about(redemptions.REQUESTED, request, "/till")
        else:
            request = self._random.choice(self._requests[-10:])
            kind = redemptions.CONFIRMED if self._random.random() < 0.6 else redemptions.CANCELLED
            data = {**base, "member_id": request["member_id"], "redemption_id": request["redemption_id"]}
            yield about(kind, data, "/till")

    def _purchase(self, base: dict[str, Any]) -> Sent:
        data = {**base, "order_id": f"o{self._number}", "currency": "USD", "lines": self._lines()}
        self._orders.append(data)
        if self._random.random() < 0.05:  # the return comes before its purchase
            self._orders.append({**data, "order_id": f"o{self._number + 1}", "lines": None})
        # A copy: an amendment changes what is remembered of the order, not what was sent.
        return about(purchases.COMPLETED, {**data})

    def _lines(self) -> list[dict[str, Any]]:
        return [
            {
                "line_id": str(line), "product_id": f"p{line}", "quantity": self._random.randrange(4),
                "brand": self._random.choice(["Private", "National"]),
                "category": self._random.choice([["GROCERY"], ["GROCERY"], ["FUEL"]]),
                "amount": self._random.choice([0, 99, 1000, 2599, 5000]),
            }
            for line in range(self._random.randrange(1, 4))
        ]  # fmt: skip

    def _told(self) -> dict[str, Any]:
        return {
            "joined_on": f"201{self._random.randrange(7)}-0{self._random.randrange(1, 10)}-15",
            "birthday": self._random.choice(["03-02", "03-05", "02-29", "12-31"]),
            "segments": self._random.choice([[], ["student"], ["student", "senior"]]),
            "attributes": {"favourite": self._random.choice(["north", "south"])},
        }

    def _about_an_order(self, moment: datetime) -> Sent:
        """Mostly a return; a change, or the end of the whole order."""
        order = self._random.choice(self._orders[-40:])
        data = {"order_id": order["order_id"], "member_id": order["member_id"], "occurred_at": moment.isoformat()}
        roll = self._random.random()
        if roll < 0.12:
            return about(purchases.CANCELLED, {**data, "cancellation_id": f"c{self._number}"})
        if roll < 0.35:
            order = self._orders[-1] if self._random.random() < 0.5 else order
            data |= {name: order[name] for name in ("order_id", "member_id")}
            order["lines"] = self._lines()
            more = {"amendment_id": f"a{self._number}", "currency": "USD", "lines": order["lines"]}
            return about(purchases.AMENDED, {**data, **more})
        if roll < 0.45:
            return about(purchases.FULFILLED, data)
        if roll < 0.52:
            return about(purchases.CLAIMED, {**data, "claim_id": f"claim{self._number}"})
        data["return_id"] = f"b{self._number}"
        lines = [line for line in order["lines"] or [] if line["amount"] or line["quantity"]]
        if lines and self._random.random() < 0.7:
            line = self._random.choice(lines)
            data["lines"] = [{
                "line_id": line["line_id"], "quantity": self._random.randrange(line["quantity"] + 1),
                "amount": self._random.randrange(line["amount"] + 1),
            }]  # fmt: skip
        return about(purchases.RETURNED, data)
