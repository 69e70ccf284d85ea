"""Random histories go through the product and through an oracle that shares no code with it: they must agree."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.rehearsal import Rehearsal
from shared.contracts.contract import business_key
from shared.instants import BEGINNING, NEVER, iso, microseconds
from shared.ledger.model import Entry, Terms
from shared.ledger.operations import Operation
from shared.program.compiled import Program, compile_program
from shared.program.loader import load
from shared.stream.handler import Mark
from shared.stream.records import Decisions, Record
from tests.support.build import SOURCE, as_bytes, headers
from tests.support.oracle import FOR_EVER, LONG_AGO, Key, Oracle, Rules, Said

#: The same histories on every run; with ORACLE_EXAMPLES=5000 so many others.
MORE = os.environ.get("ORACLE_EXAMPLES")
properties = settings(deadline=None, max_examples=int(MORE or 200), derandomize=MORE is None)
MEMBERS = ["ann", "bob", "eve", "dan", "fay"]
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
#: Rules that bring everything about: short lives, long ones, each way of waiting, each way of returning.
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
        """Buy lines of so many cents, or (cents, quantity), or (cents, quantity, brand)."""
        return self._tell("purchase", at, order=order, member=member, lines=_lines(lines))

    def back(self, name: str, order: str, *lines: tuple[int, int, int], at: str, member: str = "ann") -> Said:
        """Return (line, quantity, cents), or everything that is left."""
        return self._tell("return", at, id=name, order=order, member=member, lines=list(lines) or None)

    def fulfil(self, order: str, *, at: str, member: str = "ann") -> Said:
        return self._tell("fulfil", at, order=order, member=member)

    def claim(self, name: str, order: str, *, at: str, member: str = "ann") -> Said:
        return self._tell("claim", at, id=name, order=order, member=member)

    def tell(self, member: str, *, at: str, **fields: Any) -> Said:
        """Tell what rules may ask about a member."""
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


# ---- what the product knows and said, in the oracle's words


def tie(key: Key | str) -> Any:
    """Of what is alike, the product takes what has the lower id: lots that wait for orders, holds that end together."""
    if isinstance(key, str):
        return business_key(SOURCE, f"redemption {key}")
    expires, available, order = key
    fulfils = business_key(SOURCE, order) if order else b""
    return Terms(instant(available), instant(expires), fulfils).lot_id()


def instant(at: datetime) -> int:
    return {LONG_AGO: BEGINNING, FOR_EVER: NEVER}.get(at, microseconds(at))


def stands(rehearsal: Rehearsal, member: str) -> tuple[Any, ...]:
    account = rehearsal.accounts[member, "points"]
    lots = sorted((*lot.terms[:2], lot.pending, lot.remaining) for lot in account.lots.values())
    return account.available, account.pending, account.reserved, account.debt, account.lifetime, lots


def should_stand(oracle: Oracle, member: str) -> tuple[Any, ...]:
    wallet = oracle.wallet(member)
    lots = sorted(
        (instant(available), instant(expires), pending, points)
        for (expires, available, _), (points, pending) in wallet.lots.items()
    )
    return wallet.available, wallet.pending, wallet.reserved, wallet.debt, wallet.lifetime, lots


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


def comparable(said: Said) -> Said:
    """Answers after a time-out carry a balance or not, depending on who says it; one form for both."""
    said.answers = [answer[:3] if answer[1] == "timed-out" else tuple(answer) for answer in said.answers]
    return said


# ---- histories

GAPS = [
    timedelta(0), timedelta(seconds=1), timedelta(minutes=20), timedelta(hours=5), timedelta(hours=13),
    timedelta(days=1), timedelta(days=2), timedelta(days=6), timedelta(days=24), timedelta(days=50),
]  # fmt: skip
STARTS = [
    datetime(2018, 1, 30, 4, 59, 59, tzinfo=UTC),  # 29 January, 23:59:59 in New York
    datetime(2018, 3, 10, 12, tzinfo=UTC),  # the day before summer time
    datetime(2016, 2, 28, 23, tzinfo=UTC),
    datetime(2017, 12, 30, 5, tzinfo=UTC),
]
NUMBER = st.integers(0, 99)


class Step(NamedTuple):
    """One drawn step: what is done, how much later, how much it comes late, and numbers to choose by."""

    kind: str
    gap: int
    late: int
    numbers: tuple[int, int, int, int]


KINDS = [
    "purchase", "purchase", "purchase", "return", "return", "fulfil", "void", "amend", "amend", "referral",
    "request", "request", "confirm",
    "cancel", "again", "other", "sweep",
]  # fmt: skip
STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(KINDS),
        st.integers(0, len(GAPS) - 1),
        st.sampled_from([0, 0, 0, 1, 2, 3]),
        st.tuples(NUMBER, NUMBER, NUMBER, NUMBER),
    ),
    min_size=4,
    max_size=40,
)
LATE = [timedelta(0), timedelta(minutes=3), timedelta(hours=2), timedelta(hours=7)]
AMOUNTS = [0, 99, 100, 250, 1999, 2500, 2501, 4000, 10_000]


def _buyer(order: int) -> str:
    """An order is one member's own; some buy more."""
    return MEMBERS[[0, 1, 0, 2, 1, 0, 3, 4, 2][order % 9]]


def history(steps: Sequence[Step], start: int) -> list[dict[str, Any]]:  # noqa: C901, PLR0912 - a branch a kind
    """Turn drawn steps into events, and sweeps at instants behind the latest one."""
    latest, orders, names = STARTS[start], 0, 0
    events: list[dict[str, Any]] = []
    bought: dict[int, dict[str, Any]] = {}
    for number, step in enumerate(steps):
        a, b, c, d = step.numbers
        latest += GAPS[step.gap]
        at = latest - LATE[step.late]
        member = MEMBERS[a % len(MEMBERS)]
        event: dict[str, Any] = {"kind": step.kind, "id": f"e{number}", "member": member, "at": at}
        if step.kind in {"purchase", "amend"}:
            event["lines"] = lines = [
                {"amount": AMOUNTS[(c + 7 * i) % len(AMOUNTS)], "quantity": (d + i) % 4, "brand": "XY"[(b + i) % 2]}
                for i in range(1 + b % 3)
            ]
        if step.kind == "purchase":
            event |= {"id": f"o{orders}", "order": f"o{orders}", "lines": lines}
            event["member"] = _buyer(orders)
            bought[orders] = event
            orders += 1
        elif step.kind in ABOUT_ORDERS:
            order = (orders + 1 - b % (orders + 2)) if b > 15 else orders  # sometimes one that is not there yet
            event |= {"id": f"{step.kind}{number}", "order": f"o{order}"}
            if step.kind == "fulfil":
                event["id"] = f"fulfil o{order}"
            if d != 13:
                event["member"] = _buyer(order)
            if step.kind == "return":
                event["lines"] = _some_lines(bought.get(order), c, d)
        elif step.kind == "referral":
            event["referrer"] = MEMBERS[b % len(MEMBERS)]
        elif step.kind == "request":
            reward = ["small", "small", "big", "big", "none"][b % 5]
            event |= {"name": f"r{names}", "reward": reward, "confirm": c % 3 == 0}
            names += 1
        elif step.kind in {"confirm", "cancel"}:
            name = max(names - 1 - b % 3, 0) if b > 5 else names
            asked = next((one for one in events if one["kind"] == "request" and one["name"] == f"r{name}"), None)
            event |= {"name": f"r{name}", "member": asked["member"] if asked and d != 13 else member}
        elif step.kind in {"again", "other"}:
            sent = [one for one in events if one["kind"] != "sweep"]
            if not sent:
                continue
            event = dict(sent[b % len(sent)])
            if step.kind == "other" and event["kind"] not in {"confirm", "cancel"}:
                event["at"] += timedelta(seconds=1)
        elif step.kind == "sweep":
            event["members"] = [name for i, name in enumerate(MEMBERS) if b & (1 << i)]
            event["at"] = latest - LATE[c % 4]
        events.append(event)
    return events


def _some_lines(order: dict[str, Any] | None, c: int, d: int) -> list[tuple[int, int, int]] | None:
    if c % 3 == 0:
        return None
    if order is None:
        return [(0, 1, 50)]
    back = []
    for i, line in enumerate(order["lines"]):
        share = [0, 1, 2, 3, 4][(c + i + d) % 5]
        quantity, amount = line["quantity"] * share // 4, line["amount"] * share // 4
        if quantity or amount:
            back.append((i, quantity, amount))
    if d == 7:
        back.append((9, 1, 0))
    return back or None


HISTORIES = st.tuples(STEPS, st.integers(0, len(STARTS) - 1))


@properties
@given(st.sampled_from(RULES), HISTORIES)
def test_the_product_agrees_with_the_oracle_after_every_event(rules: Rules, drawn: tuple[list[Step], int]) -> None:
    oracle, product = Oracle(rules, tie), Product(rules)
    for event in history(*drawn):
        if event["kind"] == "sweep":
            said = what_was_said(product.sweep(event["members"], event["at"]))
            should = oracle.sweep([m for m in event["members"] if m in _known(product)], event["at"])
        else:
            said = what_was_said(product.batch([event]))
            should = oracle.tell(event)
        assert comparable(said) == comparable(should), event
        for member in _known(product):
            assert stands(product.rehearsal, member) == should_stand(oracle, member), (event, member)
    _sound(product.rehearsal.entries)


def _known(product: Product) -> list[str]:
    return [member for member, _ in product.rehearsal.accounts]


#: By how much an operation moves available, pending, reserved, debt: written down once more.
MOVES = {
    1: (1, 0, 0, 0), 2: (0, 1, 0, 0), 3: (1, -1, 0, 0), 4: (-1, 0, 1, 0), 5: (1, 0, -1, 0), 6: (0, 0, -1, 0),
    7: (-1, 0, 0, 0), 8: (-1, 0, 0, 0), 9: (0, -1, 0, 0), 10: (-1, 0, 0, -1), 11: (0, 0, 0, 1), 12: (0, 0, 0, 0),
    13: (0, 0, 0, 0), 14: (1, 0, 0, 0),
}  # fmt: skip


def _sound(entries: Sequence[Entry]) -> None:
    """Versions without gaps, each balance from the one before, never negative, time never back."""
    last: dict[int, tuple[int, tuple[int, ...], int]] = {}
    for entry in entries:
        version, before, at = last.get(entry.account, (0, (0, 0, 0, 0), BEGINNING))
        after = (entry.available, entry.pending, entry.reserved, entry.debt)
        moved = tuple(old + way * entry.points for old, way in zip(before, MOVES[entry.operation], strict=True))
        assert entry.version == version + 1
        assert after == moved
        assert min(after) >= 0
        assert entry.occurred_at >= at
        assert entry.event_at <= entry.occurred_at
        last[entry.account] = entry.version, after, entry.occurred_at


# ---- batches and sweeps make no difference


def _by_account(entries: Iterable[Entry]) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.account].append(entry)
    return dict(found)


def _in_time(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["kind"] != "sweep"]


def _runs(events: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [list(run) for _, run in itertools.groupby(events, service_of)]


@properties
@given(st.sampled_from(RULES), HISTORIES, st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_batches_make_no_difference(rules: Rules, drawn: tuple[list[Step], int], sizes: list[int]) -> None:
    events = _in_time(history(*drawn))
    single, whole, cut = Product(rules), Product(rules), Product(rules)
    for event in events:
        single.batch([event])
    size = itertools.cycle(sizes)
    for run in _runs(events):
        whole.batch(run)
        rest = run
        while rest:
            length = next(size)
            cut.batch(rest[:length])
            rest = rest[length:]
    for other in (whole, cut):
        assert other.rehearsal.entries == single.rehearsal.entries
        assert other.rehearsal.accounts == single.rehearsal.accounts
        assert other.messages == single.messages


@properties
@given(st.sampled_from(RULES), HISTORIES, st.lists(st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=10))
def test_sweeps_make_no_difference(
    rules: Rules, drawn: tuple[list[Step], int], sweeps: list[tuple[int, int, int]]
) -> None:
    events = _in_time(history(*drawn))
    calm, swept = Product(rules), Product(rules)
    end = STARTS[drawn[1]] + timedelta(days=5000)
    for number, event in enumerate(events):
        earliest = min(one["at"] for one in events[number:])
        for when, back, who in sweeps:
            if when % len(events) == number:
                members = [name for i, name in enumerate(MEMBERS) if who & (1 << i)]
                swept.sweep(members, earliest - GAPS[back % len(GAPS)])
        calm.batch([event])
        swept.batch([event])
    for product in (calm, swept):
        product.sweep(MEMBERS, end)
    assert _by_account(swept.rehearsal.entries) == _by_account(calm.rehearsal.entries)
    # A repeated answer is the same message again, so they are counted.
    assert _counted(swept) == _counted(calm)


def _counted(product: Product) -> Counter[tuple[str, str]]:
    return Counter((name, json.dumps(data, sort_keys=True)) for name, data in product.messages)


# ---- what always holds


@properties
@given(st.sampled_from(RULES), HISTORIES)
def test_an_order_that_came_back_whole_earned_nothing(rules: Rules, drawn: tuple[list[Step], int]) -> None:
    product = Product(rules)
    events = _in_time(history(*drawn))
    for event in events:
        product.batch([event])
    last = max((event["at"] for event in events), default=STARTS[0])
    for order in {event["order"]: event for event in events if event["kind"] == "purchase"}.values():
        product.batch([{"kind": "return", "id": f"last {order['order']}", "order": order["order"],
                        "member": order["member"], "at": last, "lines": None}])  # fmt: skip
    earned, back = Counter[str](), Counter[str]()
    for name, data in product.messages:
        if name.startswith("earned") and data["referral_id"] is None:
            earned[data["order_id"]] += data["points"]
        elif name.startswith("reversed") and data["referral_id"] is None:
            assert data["points"] == data["taken"] + data["owed"] + data["waived"] + data["withheld"]
            assert data["points"] == sum(award["points"] for award in data["awards"])
            back[data["order_id"]] += data["points"]
    assert back == earned
    _sound(product.rehearsal.entries)


@properties
@given(st.sampled_from(RULES), HISTORIES)
def test_nobody_owes_points_and_has_some(rules: Rules, drawn: tuple[list[Step], int]) -> None:
    product = Product(rules)
    for event in history(*drawn):
        if event["kind"] == "sweep":
            product.sweep(event["members"], event["at"])
        else:
            product.batch([event])
        for account in product.rehearsal.accounts.values():
            assert not (account.debt and account.available), event
            assert sum(lot.remaining for lot in account.lots.values()) == account.available + account.pending
            assert sum(hold.points for hold in account.holds.values()) == account.reserved
