"""A month of real baskets of some households, and beside them what the demonstration's own extras leave out.

Written for revision af04328 and run by it, see README.md. Everything is drawn by hashes: the same for ever.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pydantic_core
from cli.completejourney import ZONE, Baskets
from cli.journey_extras import KINDS, Extra, extras

from shared.contracts import members, profiles, purchases, redemptions, referrals
from shared.contracts.envelope import seal

FIRST, LAST = date(2017, 1, 1), date(2017, 1, 31)
#: Every so many-th household: as many as keep the dump small.
ONE_IN = 20


class Month(Baskets):
    """The month's baskets of some households."""

    def __init__(self) -> None:
        """Read the data set."""
        super().__init__(FIRST, LAST)
        households = self._columns["household_id"]
        self._baskets = [(basket, rows) for basket, rows in self._baskets if households[rows[0]] % ONE_IN == 0]


def events(month: Month) -> list[Extra]:
    """Return everything that is sent, in the order of sending; some of it twice, some of it out of order."""
    bought = [
        # A till that was offline sends what it has the next day.
        Extra(p.moment + timedelta(hours=20 * one_in(40, "late", p.value)), purchases.TOPIC, *p[1:])
        for p in month
    ]
    made = [extra for kind in (_orders, _parts, _changes, _tills, _people, _friends, _debtor) for extra in kind(month)]
    found = []
    for one in sorted([*bought, *extras(month, KINDS), *made], key=lambda event: event.moment):
        found += [one, one] if one_in(15, "twice", one.value) else [one]
    return [one for one in found if one.moment.date() <= LAST]


def one_in(sides: int, kind: str, thing: object) -> bool:
    """Whether a thing is one of those of a kind."""
    return draw(sides, kind, thing) == 0


def draw(sides: int, kind: str, thing: object) -> int:
    """Draw a number below ``sides``."""
    return zlib.crc32(f"{kind} {thing!r}".encode()) % sides


def event(moment: datetime, topic: str, kind: str, source: str, data: dict[str, Any], *, sent: datetime | None = None,
          structured: bool = False) -> Extra:  # fmt: skip
    """Make an event that happened at ``moment`` and is sent then, or at ``sent``."""
    data = {"occurred_at": moment.isoformat(), **data}
    name = f"{kind}-{zlib.crc32(repr((source, data)).encode())}"
    if structured:
        value = {"specversion": "1.0", "id": name, "source": source, "type": kind, "data": data}
        headers = [("content-type", b"application/cloudevents+json; charset=utf-8")]
        return Extra(sent or moment, topic, data["member_id"], pydantic_core.to_json(value), headers)
    headers = seal(event_id=name, source=source, event_type=kind, time=data["occurred_at"], key=data["member_id"])
    return Extra(sent or moment, topic, data["member_id"], pydantic_core.to_json(data), headers)


def _orders(month: Month) -> Iterator[Extra]:
    """Deliveries, claims in the app, returns that come before their orders, orders of a web shop in Canada."""
    everybody = sorted(month.members)
    for basket in month.all():
        number, store = basket.number, f"/stores/{basket.store}"
        about = {"order_id": str(number), "member_id": basket.member}
        if one_in(4, "shipped", number):
            yield event(basket.moment + timedelta(days=2), purchases.TOPIC, purchases.FULFILLED, store, about)
        if one_in(5, "claimed", number):
            claim = {**about, "claim_id": f"claim-{number}", "order_source": store}
            yield event(basket.moment + timedelta(days=1), purchases.TOPIC, purchases.CLAIMED, "/app", claim,
                        structured=True)  # fmt: skip
        if one_in(60, "early", number):
            early = {**about, "return_id": f"early-{number}", "order_source": store}
            if one_in(2, "other", number):
                early["member_id"] = everybody[draw(len(everybody), "whose", number)]
            yield event(basket.moment + timedelta(seconds=30), purchases.TOPIC, purchases.RETURNED, "/returns", early,
                        sent=basket.moment - timedelta(minutes=1))  # fmt: skip
        if one_in(100, "lost", number):
            lost = {**about, "return_id": f"lost-{number}", "order_id": f"lost-{number}"}
            yield event(basket.moment, purchases.TOPIC, purchases.RETURNED, "/returns", lost)
        if one_in(25, "web", number):
            yield event(basket.moment + timedelta(hours=5), purchases.TOPIC, purchases.COMPLETED, "/web",
                        web_order(f"web-{number}", basket.member, number % 9_000 + 1_000))  # fmt: skip


def _parts(month: Month) -> Iterator[Extra]:
    """Parts of a line come back, one after the other; what each takes depends on what the one before took."""
    for basket in month.all():
        if one_in(10, "part", basket.number):
            line = max(month.lines(basket), key=lambda line: (line["quantity"] > 1, line["amount"]))
            part = {"line_id": line["line_id"], "quantity": line["quantity"] // 2, "amount": line["amount"] // 3}
            for days in (2, 3) if part["amount"] else ():
                data = {"order_id": str(basket.number), "member_id": basket.member, "lines": [part],
                        "return_id": f"part-{basket.number}-{days}"}  # fmt: skip
                yield event(basket.moment + timedelta(days=days), purchases.TOPIC, purchases.RETURNED,
                            f"/stores/{basket.store}", data)  # fmt: skip


def web_order(order: str, member: str, cents: int) -> dict[str, Any]:
    """Return an order with everything that the data set does not have: tenders, tax, tags, a gift card."""
    return {
        "order_id": order, "member_id": member, "channel": "web", "currency": "CAD", "tax": cents // 10,
        "shipping": 499,
        "tenders": [{"method": "gift-card", "amount": 500},
                    {"method": "card", "brand": "visa", "card": "market-card", "amount": cents + cents // 10 + 1_999}],
        "lines": [
            {"line_id": "a", "product_id": "hamper", "sku": "H-1", "category": ["DELI", "HAMPERS"],
             "brand": "Private", "tags": ["gift", "new"], "quantity": 2, "amount": cents},
            {"line_id": "b", "product_id": "card", "amount": 2_000, "is_gift_card": True},
        ],
    }  # fmt: skip


def _changes(month: Month) -> Iterator[Extra]:
    """Second thoughts: amendments that pay more, two of them in the wrong order, and ones that come too late."""
    for basket in month.all():
        if not one_in(30, "again", basket.number):
            continue
        first, *others = month.lines(basket)
        for number, cents in enumerate((1_500, 700, 0), start=1):
            moment = basket.moment + timedelta(hours=number)
            data = {
                "amendment_id": f"again-{basket.number}-{number}", "order_id": str(basket.number),
                "member_id": basket.member, "currency": "USD",
                "lines": [{**first, "amount": first["amount"] + cents}, *others],
            }  # fmt: skip
            wrong = one_in(3, "wrong order", basket.number) and number == 1
            yield event(moment, purchases.TOPIC, purchases.AMENDED, f"/stores/{basket.store}", data,
                        sent=moment + timedelta(hours=3 * wrong))  # fmt: skip


def _tills(month: Month) -> Iterator[Extra]:
    """Requests for rewards and all that may become of them."""
    rewards = ("fuel-voucher", "fuel-voucher", "coffee", "coffee", "money", "gold-basket", "no-such-reward")
    for basket in month.all():
        if not one_in(3, "spends", basket.number):
            continue
        at = basket.moment + timedelta(minutes=2)
        data = {"redemption_id": f"q-{basket.number}", "member_id": basket.member}
        fate = draw(7, "fate", basket.number)
        request = {**data, "reward": rewards[draw(len(rewards), "reward", basket.number)], "confirm": fate in {0, 1}}
        # Sent after the confirmation, which is a dead letter then.
        late = timedelta(minutes=5) if one_in(20, "confirmed first", basket.number) else timedelta()
        yield event(at, redemptions.TOPIC, redemptions.REQUESTED, "/tills", request, sent=at + late)
        #: Confirmed at once, and taken back; confirmed, cancelled, forgotten, confirmed after the time-out.
        settled = {1: (redemptions.CANCELLED, 1_440), 2: (redemptions.CONFIRMED, 3), 3: (redemptions.CONFIRMED, 3),
                   4: (redemptions.CANCELLED, 3), 5: (redemptions.CONFIRMED, 180)}.get(fate)  # fmt: skip
        if settled:
            kind, minutes = settled
            yield event(at + timedelta(minutes=minutes), redemptions.TOPIC, kind, "/tills", data)


def _people(month: Month) -> Iterator[Extra]:
    """What else is told of members, and whom the program may write to."""
    noon = datetime(2017, 1, 8, 12, tzinfo=ZONE)
    for member in sorted(month.members):
        if one_in(3, "attributes", member):
            told = {"joined_on": f"2016-01-{draw(28, 'joined', member) + 1:02}", "birthday": "01-20",
                    "attributes": {"favourite": ("north", "south", "east")[draw(3, "favourite", member)]}}  # fmt: skip
            yield event(noon, members.TOPIC, members.UPDATED, "/crm", {"member_id": member, **told})
            older = {"member_id": member, "segments": ["student"]}  # an older story changes nothing
            yield event(noon - timedelta(days=3), members.TOPIC, members.UPDATED, "/crm", older, sent=noon)
        profile: dict[str, Any] = {"member_id": member, "locale": "es-US", "time_zone": "Asia/Tokyo"}
        match draw(8, "profile", member):
            case 0:
                profile |= {"consent": []}
            case 1:
                profile |= {"consent": ["sms"]}
            case 2:
                profile |= {"consent": ["sms", "email"], "phone": "+15550100", "email": f"m-{member}@example.invalid"}
            case _:
                continue
        yield event(noon, profiles.TOPIC, profiles.UPDATED, "/crm", profile)


def _friends(month: Month) -> Iterator[Extra]:
    """Registrations that are refused, and first orders that come back and take the rewards with them."""
    registered = {one.member_id: one for one in extras(month, ["referrals"])}
    for number, basket in enumerate(month.first_of_each()):
        data = {"member_id": basket.member, "referrer_id": basket.member}
        if basket.member in registered:
            again = {**data, "referral_id": f"again-{basket.member}", "referrer_id": "1"}
            yield event(basket.moment - timedelta(minutes=30), referrals.TOPIC, referrals.REGISTERED, "/crm", again)
            if number % 2:
                back = {"member_id": basket.member, "order_id": str(basket.number), "return_id": f"back-{number}"}
                yield event(basket.moment + timedelta(days=1), purchases.TOPIC, purchases.RETURNED,
                            f"/stores/{basket.store}", back)  # fmt: skip
        elif number % 20 == 0:
            yield event(basket.moment - timedelta(minutes=30), referrals.TOPIC, referrals.REGISTERED, "/crm",
                        {**data, "referral_id": f"self-{number}"})  # fmt: skip
        elif number % 20 == 1:
            yield event(basket.moment + timedelta(minutes=30), referrals.TOPIC, referrals.REGISTERED, "/crm",
                        {**data, "referral_id": f"late-{number}", "referrer_id": "1"})  # fmt: skip


def _debtor(_month: Month) -> Iterator[Extra]:
    """A member who spends of all wallets, gives back what earned it, and buys again."""
    noon, about = datetime(2017, 1, 2, 12, tzinfo=ZONE), {"member_id": "debtor"}
    lines = [{"line_id": "1", "product_id": "ham", "category": ["DELI"], "quantity": 5, "amount": 8_000}]
    order = {**about, "order_id": "spent", "currency": "USD", "lines": lines}
    yield event(noon, purchases.TOPIC, purchases.COMPLETED, "/web", order)
    for reward in ("fuel-voucher", "coffee", "money"):
        request = {**about, "redemption_id": f"spent-{reward}", "reward": reward, "confirm": True}
        yield event(noon + timedelta(days=7), redemptions.TOPIC, redemptions.REQUESTED, "/tills", request)
    yield event(noon + timedelta(days=8), purchases.TOPIC, purchases.RETURNED, "/web",
                {**about, "order_id": "spent", "return_id": "spent"})  # fmt: skip
    yield event(noon + timedelta(days=9), purchases.TOPIC, purchases.COMPLETED, "/web", {**order, "order_id": "again"})


def a_year_later(month: Month) -> list[Extra]:
    """Return orders that come back long after their points expired, and an order of each tenth household.

    Some keep their tier by it; others repay what they owe.
    """
    moment = datetime(2018, 1, 20, 12, tzinfo=ZONE)
    back = [
        event(moment, purchases.TOPIC, purchases.RETURNED, f"/stores/{basket.store}",
              {"order_id": str(basket.number), "member_id": basket.member, "return_id": f"late-{basket.number}"})
        for basket in month.all() if one_in(20, "very late", basket.number)
    ]  # fmt: skip
    return back + [
        event(moment, purchases.TOPIC, purchases.COMPLETED, "/web", web_order(f"later-{member}", member, 40_000))
        for member in sorted(month.members)[::10]
    ]  # fmt: skip


def at_the_end(moment: datetime, member: str) -> list[Extra]:
    """Return what is still open when the dump is made: points held for a reward, a friend who has not bought yet."""
    held = {"redemption_id": "held", "member_id": member, "reward": "fuel-voucher"}
    friend = {"referral_id": "friend", "member_id": "friend", "referrer_id": member}
    return [
        event(moment, redemptions.TOPIC, redemptions.REQUESTED, "/tills", held),
        event(moment, referrals.TOPIC, referrals.REGISTERED, "/crm", friend),
    ]
