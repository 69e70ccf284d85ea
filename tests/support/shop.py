"""The product in memory under a simple program: fed with events of the oracle, or by hand, one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgpack

from shared.instants import iso, microseconds
from shared.ledger.operations import Operation
from shared.program.compiled.program import Program, compile_program
from shared.program.language.loader import load
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Record
from shared.simulation.simulator import Rehearsal
from tests.support.build import as_bytes, headers
from tests.support.oracle import Rules, Said

NOW = microseconds(datetime(2030, 1, 1, tzinfo=UTC))
TYPES = {
    "purchase": "loyalty.purchase.completed.v1",
    "return": "loyalty.purchase.returned.v1",
    "fulfil": "loyalty.purchase.fulfilled.v1",
    "claim": "loyalty.purchase.claimed.v1",
    "member": "loyalty.member.updated.v1",
    "void": "loyalty.purchase.cancelled.v1",
    "amend": "loyalty.purchase.amended.v1",
    "referral": "loyalty.referral.registered.v1",
    "request": "loyalty.redemption.requested.v1",
    "confirm": "loyalty.redemption.confirmed.v1",
    "cancel": "loyalty.redemption.cancelled.v1",
}
ABOUT_ORDERS = {"purchase", "return", "fulfil", "void", "amend", "claim"}
REDEEM = {"request", "confirm", "cancel"}
#: Rules that cover everything: short and long lives, each kind of pending points, each policy of returns.
RULES = [
    Rules(),
    Rules(cap=10, months=1),
    Rules(days=3, on_return="clamp", remind=(1, 2)),
    Rules(days=0, remind=()),
    Rules(pending=3, days=20, remind=(18, 7, 1)),
    Rules(pending=14, on_return="withhold"),
    Rules(pending="fulfilled", days=10, remind=(7, 1)),
    Rules(months=1, zone="Africa/Cairo", remind=(7,)),
    Rules(days=30, ladder=((0, 4), (5000, 5), (15000, 6))),
]
PROGRAMS: dict[Rules, Program] = {rules: compile_program(load(rules.yaml()), 1) for rules in RULES}


# ---- from an event of the oracle to a record of the product


def as_record(event: dict[str, Any], offset: int) -> Record:
    data: dict[str, Any] = {"member_id": event["member"], "occurred_at": event["at"].isoformat()}
    kind = event["kind"]
    if kind in ABOUT_ORDERS:
        data |= _about_an_order(event)
    elif kind == "member":
        data |= event["told"]
    elif kind == "referral":
        data |= {"referral_id": event["id"], "referrer_id": event["referrer"]}
    elif kind in REDEEM:
        data["redemption_id"] = event["name"]
        if kind == "request":
            data |= {"reward": event["reward"], "confirm": event["confirm"]}
    about = headers(ce_id=b"e%d" % offset, ce_type=TYPES[kind].encode())
    return Record(offset, 0, event["member"].encode(), as_bytes(data), about)


def _about_an_order(event: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {"order_id": event["order"]}
    own_id = {"return": "return_id", "void": "cancellation_id", "amend": "amendment_id", "claim": "claim_id"}.get(
        event["kind"]
    )
    if own_id:
        data[own_id] = event["id"]
    if event["kind"] in {"purchase", "amend"}:
        data["currency"] = "USD"
        data["lines"] = [{"line_id": str(i), "product_id": "p", **line} for i, line in enumerate(event["lines"])]
    elif event["kind"] == "return" and event["lines"] is not None:
        data["lines"] = [{"line_id": str(i), "quantity": q, "amount": a} for i, q, a in event["lines"]]
    return data


def service_of(event: dict[str, Any]) -> tuple[str, tuple[str, int, int]]:
    if event["kind"] in REDEEM:
        return "redeem", ("redemptions", 0, 0)
    return "earn", ("referrals" if event["kind"] == "referral" else "purchases", 0, 0)


class Product:
    """The product in memory, fed with the oracle's events."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rehearsal = Rehearsal([PROGRAMS[rules]] if rules else [])
        self.seq = 0
        self.messages: list[tuple[str, Any]] = []

    def _mark(self) -> Mark:
        self.seq += 1
        return Mark(self.seq, NOW, NOW)

    def batch(self, events: Sequence[dict[str, Any]]) -> Decisions:
        service, place = service_of(events[0])
        records = [as_record(event, offset) for offset, event in enumerate(events)]
        return self._heard(self.rehearsal.batch(records, self._mark(), service, place))

    def sweep(self, members: Iterable[str], horizon: datetime) -> Decisions:
        instant = microseconds(horizon)
        swept = [[member, "points"] for member in members if (member, "points") in self.rehearsal.accounts]
        facts = msgpack.packb({"swept": swept, "horizon": instant})
        return self._heard(self.rehearsal.sweep("redeem", instant, self._mark(), facts))

    def _heard(self, decisions: Decisions) -> Decisions:
        for message in decisions.messages:
            self.messages.append((dict(message.headers)["ce_id"].decode(), json.loads(message.value)))
        return decisions


class Shop(Product):
    """The product under a program of one wallet, for examples; events happen in New York unless they say otherwise."""

    def __init__(self, wallet: str = "expiry: never", more: str = "", zone: str = "America/New_York") -> None:
        super().__init__()
        self.text = f"""
program: corner-shop
name: Corner Shop
currency: USD
time_zone: {zone}
effective: 2010-01-01
wallets:
  points: {{name: P, unit: point, {wallet}}}
earning:
  - {{rule: every-dollar, give: 1 point per whole USD}}
  - {{rule: brand-x, give: 1 point per whole USD, for: {{brand: X}}}}
{more}
"""
        self.rehearsal.publish(self.text)

    def _tell(self, kind: str, at: str, **fields: Any) -> Said:
        decisions = self.batch([{"kind": kind, "at": datetime.fromisoformat(at), **fields}])
        return what_was_said(decisions)

    def buy(self, order: str, *lines: Any, at: str, member: str = "ann") -> Said:
        """Buy lines, given as cents, (cents, quantity) or (cents, quantity, brand)."""
        return self._tell("purchase", at, order=order, member=member, lines=_lines(lines))

    def back(self, name: str, order: str, *lines: tuple[int, int, int], at: str, member: str = "ann") -> Said:
        """Return (line, quantity, cents), or everything that is left."""
        return self._tell("return", at, id=name, order=order, member=member, lines=list(lines) or None)

    def fulfil(self, order: str, *, at: str, member: str = "ann") -> Said:
        return self._tell("fulfil", at, order=order, member=member)

    def claim(self, name: str, order: str, *, at: str, member: str = "ann") -> Said:
        return self._tell("claim", at, id=name, order=order, member=member)

    def tell(self, member: str, *, at: str, **fields: Any) -> Said:
        """Send what rules may know about a member."""
        return self._tell("member", at, member=member, told=fields)

    def void(self, name: str, order: str, *, at: str, member: str = "ann") -> Said:
        return self._tell("void", at, id=name, order=order, member=member)

    def amend(self, name: str, order: str, *lines: Any, at: str, member: str = "ann") -> Said:
        return self._tell("amend", at, id=name, order=order, member=member, lines=_lines(lines))

    def refer(self, name: str, friend: str, referrer: str, *, at: str) -> Said:
        return self._tell("referral", at, id=name, member=friend, referrer=referrer)

    def ask(self, name: str, reward: str, *, at: str, member: str = "ann", confirm: bool = False) -> Said:
        return self._tell("request", at, name=name, reward=reward, member=member, confirm=confirm)

    def confirm(self, name: str, *, at: str, member: str = "ann") -> Said:
        return self._tell("confirm", at, name=name, member=member)

    def cancel(self, name: str, *, at: str, member: str = "ann") -> Said:
        return self._tell("cancel", at, name=name, member=member)

    def until(self, at: str, *members: str) -> Said:
        """Sweep."""
        return what_was_said(self.sweep(members or ("ann",), datetime.fromisoformat(at)))

    def balance(self, member: str = "ann") -> tuple[int, int, int, int]:
        account = self.rehearsal.accounts[member, "points"]
        return account.available, account.pending, account.reserved, account.debt

    def entries(self, member: str = "ann") -> list[tuple[str, int]]:
        number = self.rehearsal.accounts[member, "points"].account
        return [
            (Operation(entry.operation).word, entry.points)
            for entry in self.rehearsal.entries if entry.account == number
        ]  # fmt: skip

    def posted_at(self, member: str = "ann") -> str:
        """The instant of the last entry."""
        number = self.rehearsal.accounts[member, "points"].account
        return iso(next(one.occurred_at for one in reversed(self.rehearsal.entries) if one.account == number))


def _lines(lines: Sequence[Any]) -> list[dict[str, Any]]:
    made = []
    for line in lines:
        values = line if isinstance(line, tuple) else (line, 1)
        made.append(dict(zip(("amount", "quantity", "brand"), values, strict=False)))
    return made


def what_was_said(decisions: Decisions) -> Said:
    said = Said(refused=[one.reason for one in [*decisions.refused, *decisions.refused_later]])
    for message in decisions.messages:
        data = json.loads(message.value)
        kind = dict(message.headers)["ce_type"].decode().removeprefix("loyalty.").removesuffix(".v1")
        if message.topic == "rewards":
            said.answers.append(_answer(data))
        elif kind == "points.expiring":
            at, expires = (datetime.fromisoformat(data[name]) for name in ("occurred_at", "expires_at"))
            said.reminders.append((data["member_id"], data["points"], data["days_left"], expires, at))
        elif kind.startswith("referral"):
            said.referrals.append((data["referral_id"], data["state"], data["reason"]))
        elif kind == "points.reversed":
            name = data["referral_id"] or data["order_id"]
            missing = data["owed"] + data["waived"] + data["withheld"]
            said.reversed.append((name, data["points"], data["taken"], missing))
    return said


def _answer(data: dict[str, Any]) -> tuple[Any, ...]:
    state, reason, name = data["state"], data["reason"], data["redemption_id"]
    if state == "rejected":
        return (state, reason, name, data["points_available"])
    if reason == "timed-out":
        return (state, reason, name)
    return (state, reason, name, *(data["balance"][which] for which in ("available", "pending", "reserved", "debt")))
