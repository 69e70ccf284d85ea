"""Random programs of the whole language meet random histories: what must hold for each of them, whatever they pay."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cli.rehearsal import Rehearsal
from services.earn.counting import tallies_of
from services.earn.handler import EarnHandler
from services.earn.orders import read_result
from shared.contracts.contract import business_key
from shared.contracts.members import UPDATED
from shared.contracts.purchases import AMENDED, CANCELLED, CLAIMED, COMPLETED, FULFILLED, RETURNED
from shared.contracts.redemptions import CANCELLED as RELEASED
from shared.contracts.redemptions import CONFIRMED, REQUESTED
from shared.errors import ProgramFileError
from shared.instants import BEGINNING, microseconds
from shared.ledger.model import Entry
from shared.ledger.operations import REVERSALS, Operation
from shared.program.compiled import Program, compile_program
from shared.program.loader import load
from shared.program.tallies import Limit, is_budget
from shared.stream.decode import decode
from shared.stream.handler import Mark
from shared.stream.records import Decisions, Record
from tests.unit.build import SOURCE, as_bytes, headers
from tests.unit.test_oracle import MOVES

#: The same programs and histories on every run; with RANDOM_EXAMPLES=3000 so many others.
MORE = os.environ.get("RANDOM_EXAMPLES")
properties = settings(deadline=None, max_examples=int(MORE or 120), derandomize=MORE is None)
#: To find the smallest example takes longer than the examples.
pytestmark = pytest.mark.timeout(0 if MORE else 600)
MEMBERS = ["ann", "bob", "eve", "dan"]
NOW = microseconds(datetime(2030, 1, 1, tzinfo=UTC))
FAR = datetime(2028, 1, 1, tzinfo=UTC)


# ---- programs: drawn as data, written as text, so that a failing one can be read and tried

#: Two wallets hold stars: a rule parts what it pays between them, or says which one it means.
UNITS = {"points": "point", "stars": "star", "extra": "star", "cash": "USD"}
WALLETS = st.sampled_from([
    ["points"], ["points"], ["cash"], ["points", "cash"], ["stars", "extra"], ["points", "stars"],
    ["points", "stars", "extra"], ["points", "stars", "cash"],
])  # fmt: skip
#: With the most days that points of it may wait.
EXPIRIES = [
    ("never", 366), ("10 days", 3), ("2 days", 1), ("1 month", 20), ("1 month, to the end of that month", 20),
    ("20 days, to the end of that quarter", 3), ("on 15 March", 0), ("5 days, then the next 31 March", 3),
    ("at the end of the membership year", 0),
]  # fmt: skip
PENDING = ["1 day", "3 days", "14 days", "until fulfilled", "until claimed"]
PERIODS = ["per order", "per day", "per week", "per month", "per quarter", "per year", "in all"]
MATCHES = st.sampled_from([
    {"brand": "X"}, {"brand": ["X", "Y"]}, {"category": "TEA"}, {"category": [["TEA", "GREEN"], "FUEL"]},
    {"tag": "new"}, {"product": "p1"}, [{"brand": "Y"}, {"sku": "s0"}],
])  # fmt: skip
CONDITIONS: list[dict[str, Any]] = [
    {"channel": "web"}, {"store": ["7", "8"]}, {"dates": {"from": "2017-03-01", "to": "2017-03-20"}},
    {"weekday": ["monday", "friday", "saturday"]}, {"hours": "20:00 to 11:30"}, {"order_of_at_least": "30 USD"},
    {"lines_of_at_least": "20 USD"}, {"items_of_at_least": 2}, {"purchase": "first"}, {"purchase": "every 3rd"},
    {"purchase": "2nd"}, {"visits": "2 days in a row"}, {"visits": "2 weeks in a row"}, {"segment": "students"},
    {"birthday": "within 7 days"}, {"birthday": "in the month"}, {"anniversary": "within 3 days"},
    {"attribute": {"favourite": ["north", "south"]}}, {"paid_with": {"method": "card"}},
]  # fmt: skip
ROUNDINGS = [f"{how} per {scope}" for how in ("down", "half-up", "half-even") for scope in ("order", "line")]
GIVES = [
    "1 {} per whole USD", "5 {}s per whole 10 USD", "1.25 {}s per USD", "1/3 {} per USD", "10 {}s per item",
    "30 {}s per order",
]  # fmt: skip
MONEY = ["2% back", "7/3% back", "0.50 USD per item", "2 USD per order", "0.05 USD per whole USD"]
CALCULATIONS: list[dict[str, Any]] = [
    {"kind": "every-nth-unit", "n": 2, "give": "1 {} per USD"},
    {
        "kind": "table",
        "rows": [
            {"for": {"category": "TEA"}, "bands": [{"from": "0 USD", "give": "2 {}s per whole USD"},
                                                   {"from": "25 USD", "give": "25 {}s per order"}]},
            {"for": {"brand": "X"}, "bands": [{"from": "5 USD", "give": "3 {}s per item"}]},
        ],
    },
]  # fmt: skip
LADDERS = [("calendar year", "the rest of the period and the next"), ("membership year", "while the metric holds"),
           ("rolling 12 months", "while the metric holds"), ("lifetime", "while the metric holds")]  # fmt: skip


def one_in(number: int) -> st.SearchStrategy[bool]:
    return st.sampled_from([False] * (number - 1) + [True])


@st.composite
def limits(draw: st.DrawFn, unit: str, *, budget: bool) -> list[str]:
    """Caps, or budgets: small enough to be used up, not smaller than one award."""
    numbers = [2, 3, 8, 20] if unit == "USD" else [30, 45, 100, 250]
    periods = draw(st.lists(st.sampled_from(PERIODS[budget:]), min_size=1, max_size=2, unique=True))
    return [f"{draw(st.sampled_from(numbers))} {unit}{'' if unit == 'USD' else 's'} {period}" for period in periods]


@st.composite
def terms(draw: st.DrawFn) -> dict[str, Any]:
    """How long points live, and how long they wait: not longer than that."""
    expiry, longest = draw(st.sampled_from(EXPIRIES))
    made: dict[str, Any] = {"expiry": expiry}
    if draw(st.booleans()):
        pending = draw(st.sampled_from(PENDING))
        if not pending[0].isdigit() or int(pending.split()[0]) <= longest:
            made["pending"] = pending
    return made


@st.composite
def rules(
    draw: st.DrawFn, number: int, wallets: list[str], before: list[dict[str, Any]], budgets: bool
) -> dict[str, Any]:
    wallet = draw(st.sampled_from(wallets))
    paying = [other["rule"] for other in before if "multiply" not in other and other["wallet"] == wallet]
    rule = {"rule": f"r{number}", "wallet": wallet, **draw(pay(wallet, paying)), **draw(occasion())}
    if draw(one_in(5)) and before:
        names = st.sampled_from([other["rule"] for other in before])
        rule["replaces"] = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    if draw(one_in(4)):
        rule["best_of"] = "offers"
    if draw(one_in(3)):
        rule["cap"] = draw(limits(UNITS[wallet], budget=False))
    if budgets and draw(one_in(3)):
        rule["budget"] = draw(limits(UNITS[wallet], budget=True))
    if draw(one_in(5)):
        rule |= draw(terms())
    parted = wallet in {"stars", "extra"} <= set(wallets) and "multiply" not in rule
    if parted and draw(st.booleans()):
        rule["split"] = {"stars": "60%", "extra": "40%"}
    return rule


@st.composite
def pay(draw: st.DrawFn, wallet: str, paying: list[str]) -> dict[str, Any]:
    """What a rule gives: of its own, or as a multiple of rules that pay into the same wallet."""
    unit = UNITS[wallet]
    rule: dict[str, Any] = {}
    if draw(st.booleans()):
        rule["rounding"] = draw(st.sampled_from(ROUNDINGS))
    if draw(one_in(4)) and paying:
        rule["multiply"] = draw(st.sampled_from(["2", "1.5", "7/3"]))
        if draw(st.booleans()):
            rule["of"] = draw(st.lists(st.sampled_from(paying), min_size=1, unique=True))
    elif wallet != "cash" and draw(one_in(8)):
        calculation = json.dumps(draw(st.sampled_from(CALCULATIONS)))
        rule["calculate"] = json.loads(calculation.replace("{}", unit))
    else:
        rule["give"] = draw(st.sampled_from(MONEY if wallet == "cash" else GIVES)).replace("{}", unit)
    return rule


@st.composite
def occasion(draw: st.DrawFn) -> dict[str, Any]:
    """For which lines, and for which orders."""
    rule: dict[str, Any] = {}
    if draw(one_in(3)):
        rule["for"] = draw(MATCHES)
    elif draw(one_in(4)):
        rule["except"] = {"tag": "new"}
    if draw(st.booleans()):
        rule["when"] = {}
        for condition in draw(st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2)):
            rule["when"] |= condition
    return rule


@st.composite
def programs(draw: st.DrawFn, *, budgets: bool = True) -> str:
    wallets = draw(WALLETS)
    earning: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 6))):
        earning.append(draw(rules(number, wallets, earning, budgets)))
    paid = [
        slug for slug in wallets if any(slug == rule["wallet"] or slug in rule.get("split", ()) for rule in earning)
    ]
    data: dict[str, Any] = {"multipliers": draw(st.sampled_from(["add", "multiply", "highest"]))}
    data["wallets"] = {slug: draw(a_wallet(UNITS[slug], budgets)) for slug in paid}
    unique = [slug for slug in paid if [UNITS[other] for other in paid].count(UNITS[slug]) == 1]
    if unique:
        cost = "1 USD" if unique[0] == "cash" else f"5 {UNITS[unique[0]]}s"
        data["rewards"] = [{"reward": "mug", "name": "Mug", "cost": cost, "worth": "1 USD", "hold": "1 day"}]
    if draw(one_in(3)):
        data["ladder"] = ladder = draw(ladders(draw(st.sampled_from(paid))))
        if draw(st.booleans()):
            earning[-1]["when"] = {**earning[-1].get("when", {}), "tier": ladder["tiers"][1]["tier"]}
    if draw(one_in(4)):
        data["never_earns"] = {"category": "FUEL"}
    for rule in earning:
        if "split" in rule:
            del rule["wallet"]
    return as_text(data, earning)


@st.composite
def a_wallet(draw: st.DrawFn, unit: str, budgets: bool) -> dict[str, Any]:
    wallet = {"name": "W", "unit": unit, **draw(terms())}
    if draw(one_in(6)):
        wallet |= {"expiry": "after 16 days without activity"}
        if draw(st.booleans()):
            wallet["activities"] = draw(st.sampled_from(["earn", "redeem"]))
    wallet["on_return"] = draw(st.sampled_from(["debt", "clamp", "withhold"]))
    if wallet["expiry"] != "never" and draw(one_in(3)):
        wallet["remind"] = [1, 5]
    if draw(one_in(3)):
        wallet["cap"] = draw(limits(unit, budget=False))
    if budgets and draw(one_in(4)):
        wallet["budget"] = draw(limits(unit, budget=True))
    return wallet


@st.composite
def ladders(draw: st.DrawFn, wallet: str) -> dict[str, Any]:
    window, keep = draw(st.sampled_from(LADDERS))
    metric = draw(st.sampled_from(["spend", "points"]))
    unit = "USD" if metric == "spend" or wallet == "cash" else f"{UNITS[wallet]}s"
    return {
        "metric": metric, "window": window, "keep": keep, "wallet": wallet,
        "tiers": [
            {"tier": "low", "name": "Low", "from": "0"},
            {"tier": "high", "name": "High", "from": f"60 {unit}", "multiplier": "1.25"},
            {"tier": "top", "name": "Top", "from": f"200 {unit}", "multiplier": "7/3"},
        ],
    }  # fmt: skip


def as_text(data: dict[str, Any], earning: Iterable[dict[str, Any]]) -> str:
    """A file with one line a rule; what is JSON is YAML, too."""
    head = "program: random-shop\nname: S\ncurrency: USD\ntime_zone: America/New_York\neffective: 2016-01-01\n"
    sections = "".join(f"{name}: {json.dumps(value)}\n" for name, value in data.items())
    return f"{head}{sections}earning:\n" + "".join(f"  - {json.dumps(rule)}\n" for rule in earning)


@functools.lru_cache(maxsize=1_000)
def _compiled(text: str) -> Program | None:
    try:
        return compile_program(load(text), 1)
    except ProgramFileError:
        return None


def compiled(text: str) -> Program:
    """The program; what the language refuses is no example."""
    made = _compiled(text)
    assume(made is not None)
    assert made is not None
    return made


# ---- histories


class Told(NamedTuple):
    """One event as somebody tells it."""

    type: str
    member: str
    at: datetime
    data: dict[str, Any]

    def record(self, offset: int) -> Record:
        data = {**self.data, "member_id": self.member, "occurred_at": self.at.isoformat()}
        about = headers(ce_id=f"e{offset}".encode(), ce_type=self.type.encode())
        return Record(offset, 0, self.member.encode(), as_bytes(data), about)

    @property
    def place(self) -> tuple[str, tuple[str, int, int]]:
        """Which service reads it, and where."""
        if self.type in {REQUESTED, CONFIRMED, RELEASED}:
            return "redeem", ("redemptions", 0, 0)
        return "earn", ("members" if self.type == UPDATED else "purchases", 0, 0)

    @property
    def key(self) -> bytes:
        """The business key of what is the cause of entries: an order, or what became of one."""
        words = {RETURNED: ("return", "return_id"), CANCELLED: ("cancellation", "cancellation_id"),
                 AMENDED: ("amendment", "amendment_id")}  # fmt: skip
        word, field = words.get(self.type, ("", "order_id"))
        return business_key(SOURCE, f"{word}\x1f{self.data[field]}" if word else self.data[field])


class Step(NamedTuple):
    """One drawn step: what is done, how much later, and numbers whose digits say the rest."""

    kind: str
    gap: int
    first: int
    second: int

    @property
    def late(self) -> timedelta:
        return LATE[max(0, self.first // 10_000 - 6)]

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        return (self.first % 100, self.first // 100 % 100, self.second % 100, self.second // 100)


KINDS = [
    "nothing", *["purchase"] * 7, "return", "return", "return", "cancel", "amend", "amend", "amend", "fulfil", "fulfil",
    "claim", "claim", "told", "told", "request", "request", "request", "confirm", "release", "again",
]  # fmt: skip
GAPS = [timedelta(0), timedelta(seconds=1), timedelta(minutes=20), timedelta(hours=5), timedelta(hours=13),
        *[timedelta(days=1)] * 3, timedelta(days=2), timedelta(days=6), timedelta(days=12)]  # fmt: skip
LATE = [timedelta(0), timedelta(minutes=3), timedelta(hours=7), timedelta(days=2)]
#: Monday in winter; the day before summer time; the end of a quarter; the end of a year.
STARTS = [datetime(2017, 2, 27, 17, tzinfo=UTC), datetime(2017, 3, 11, 17, tzinfo=UTC),
          datetime(2017, 3, 30, 3, 59, 59, tzinfo=UTC), datetime(2017, 12, 29, 5, tzinfo=UTC)]  # fmt: skip
AMOUNTS = [0, 1, 99, 250, 1050, 1999, 2500, 3333, 6000, 10_000]
NUMBER = st.integers(0, 99)
STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(KINDS),
        st.integers(0, len(GAPS) - 1),
        st.integers(0, 99_999),
        st.integers(0, 9_999),
    ),
    min_size=12,
    max_size=40,
)
HISTORIES = st.tuples(STEPS, st.sampled_from(STARTS))


def _buyer(order: int) -> str:
    """An order is one member's own; some buy more."""
    return MEMBERS[[0, 1, 0, 2, 0, 1, 3][order % 7]]


class History:
    """Turns drawn steps into events."""

    def __init__(self, steps: Sequence[Step], start: datetime, *, late: bool = True) -> None:
        self.told: list[Told] = []
        self._lines: dict[int, list[dict[str, Any]]] = {}
        self._orders = self._asked = 0
        latest = start
        for number, step in enumerate(steps):
            latest += GAPS[step.gap]
            tell = getattr(self, f"_{step.kind}", None)
            at = latest - step.late if late else latest
            made = tell(at, f"{step.kind}{number}", *step.numbers) if tell else None
            if made is not None:
                self.told.append(made)

    def _purchase(self, at: datetime, _id: str, a: int, b: int, c: int, d: int) -> Told:
        order = self._orders
        self._orders += 1
        self._lines[order] = _lines(a, b, c)
        return Told(COMPLETED, _buyer(order), at, {"order_id": f"o{order}", **_bought(self._lines[order], d)})

    def _amend(self, at: datetime, name: str, a: int, b: int, c: int, d: int) -> Told:
        order, member = self._order(a, d)
        self._lines[order] = _lines(a, b, c)
        data = {"amendment_id": name, "order_id": f"o{order}", **_bought(self._lines[order], d)}
        return Told(AMENDED, member, at, data)

    def _return(self, at: datetime, name: str, a: int, b: int, c: int, d: int) -> Told:
        order, member = self._order(a, d)
        back = []
        for number, line in enumerate(self._lines.get(order, ())):
            share = [0, 1, 2, 4][(b + number * c) % 4]
            quantity, amount = line["quantity"] * share // 4, line["amount"] * share // 4
            if quantity or amount:
                back.append({"line_id": line["line_id"], "quantity": quantity, "amount": amount})
        return Told(RETURNED, member, at, {"return_id": name, "order_id": f"o{order}", "lines": back or None})

    def _cancel(self, at: datetime, name: str, a: int, _b: int, _c: int, d: int) -> Told:
        order, member = self._order(a, d)
        return Told(CANCELLED, member, at, {"cancellation_id": name, "order_id": f"o{order}"})

    def _fulfil(self, at: datetime, _name: str, a: int, _b: int, _c: int, d: int) -> Told:
        order, member = self._order(a, d)
        return Told(FULFILLED, member, at, {"order_id": f"o{order}"})

    def _claim(self, at: datetime, name: str, a: int, _b: int, _c: int, d: int) -> Told:
        order, member = self._order(a, d)
        return Told(CLAIMED, member, at, {"claim_id": name, "order_id": f"o{order}"})

    def _order(self, a: int, d: int) -> tuple[int, str]:
        """One of the latest orders, sometimes one that is not there yet; sometimes of another member than tells it."""
        order = max(0, self._orders - 1 - a % 4) if a >= 8 else self._orders
        return order, MEMBERS[a % 4] if d == 13 else _buyer(order)

    def _told(self, at: datetime, _name: str, a: int, b: int, c: int, d: int) -> Told:
        data = {
            "segments": [["students"], ["students", "staff"], []][b % 3],
            "birthday": ["03-02", "02-29", "12-31", None][c % 4],
            "joined_on": ["2015-03-05", "2016-02-29", None][d % 3],
            "attributes": [{"favourite": "north"}, {"favourite": "west"}, {}][(b + c) % 3],
        }
        return Told(UPDATED, MEMBERS[a % 4], at, data)

    def _request(self, at: datetime, _name: str, a: int, b: int, _c: int, _d: int) -> Told:
        self._asked += 1
        data = {"redemption_id": f"r{self._asked - 1}", "reward": "mug", "confirm": b % 2 == 0}
        member = MEMBERS[a % 4] if a % 3 == 0 else _buyer(max(0, self._orders - 1))
        return Told(REQUESTED, member, at, data)

    def _confirm(self, at: datetime, _name: str, a: int, _b: int, _c: int, _d: int) -> Told | None:
        asked = [one for one in self.told if one.type == REQUESTED]
        if not asked:
            return None
        which = asked[-1 - a % min(3, len(asked))]
        return Told(CONFIRMED, which.member, at, {"redemption_id": which.data["redemption_id"]})

    def _release(self, at: datetime, name: str, a: int, b: int, c: int, d: int) -> Told | None:
        confirmed = self._confirm(at, name, a, b, c, d)
        return confirmed and confirmed._replace(type=RELEASED)

    def _again(self, _at: datetime, _name: str, a: int, _b: int, _c: int, _d: int) -> Told | None:
        """A till that is not sure sends again what it sent."""
        return self.told[-1 - a % len(self.told)] if self.told else None


def _lines(a: int, b: int, c: int) -> list[dict[str, Any]]:
    return [
        {
            "line_id": str(number), "product_id": f"p{(b + number) % 3}", "sku": f"s{c % 2}",
            "amount": AMOUNTS[(c + 3 * number) % len(AMOUNTS)], "quantity": (b + 2 * number) % 4,
            "brand": "XY"[(a + number) % 2], "tags": ["new"] if (a + b + number) % 4 == 0 else [],
            "category": [["TEA", "GREEN"], ["TEA"], ["FUEL"], ["BREAD"]][(b + c + number) % 4],
            "is_gift_card": (a + c + number) % 11 == 0,
        }
        for number in range(1 + a % 3)
    ]  # fmt: skip


def _bought(lines: list[dict[str, Any]], d: int) -> dict[str, Any]:
    return {
        "currency": "USD", "lines": lines, "channel": ["web", "store", None][d % 3], "store_id": ["7", None][d % 2],
        "tenders": [{"method": ["card", "cash"][d % 2], "amount": 1}],
    }  # fmt: skip


# ---- the product, fed with them


class Shop:
    """The product in memory.

    Attributes:
        forgets: Whether it knows of orders and tallies in a batch only what a worker would have written down, and load.
    """

    def __init__(self, program: Program, *, forgets: bool = False) -> None:
        self.program = program
        self.rehearsal = Rehearsal([program])
        self.messages: list[tuple[str, bytes]] = []
        self.refused: list[tuple[str | None, str]] = []
        self._forgets = forgets
        self._seq = 0
        self._sent = 0

    def batch(self, told: Sequence[Told]) -> Decisions:
        service, place = told[0].place
        records = [one.record(self._sent + number) for number, one in enumerate(told)]
        self._sent += len(told)
        forgotten = self._forget(records) if self._forgets and service == "earn" else {}
        decisions = self._heard(self.rehearsal.batch(records, self._mark(), service, place))
        state = self.rehearsal.earn_state
        state.tallies, state.budgets = forgotten | state.tallies, None
        self.refused += [(one.event_id, one.reason) for one in decisions.refused]
        return decisions

    def _forget(self, records: Sequence[Record]) -> dict[tuple[str, str, int], int]:
        """Keep what is written with orders, and the tallies that a worker loads for these records; return them all."""
        state = self.rehearsal.earn_state
        for order in state.orders.values():
            order.lines, order.awards, order.kept = read_result(json.dumps(order.result(None)))
        for orders in state.bought.values():
            orders.clear()  # so that purchases are counted by their tally alone
        needed = tallies_of(state, decode(records, EarnHandler.contracts, 1_000_000).events)
        wanted = needed.members | {("", *budget) for budget in needed.budgets}
        known = state.tallies
        state.tallies = {key: number for key, number in known.items() if key in wanted}
        state.budgets = frozenset(needed.budgets)
        return known

    def sweep(self, members: Iterable[str], horizon: datetime) -> None:
        instant = microseconds(horizon)
        swept = [[*key] for key in self.rehearsal.accounts if key[0] in set(members)]
        facts = msgpack.packb({"swept": swept, "horizon": instant})
        self._heard(self.rehearsal.sweep("redeem", instant, self._mark(), facts))

    def _mark(self) -> Mark:
        self._seq += 1
        return Mark(self._seq, NOW, NOW)

    def _heard(self, decisions: Decisions) -> Decisions:
        self.messages += [(dict(one.headers)["ce_id"].decode(), one.value) for one in decisions.messages]
        return decisions

    def tallies(self) -> dict[tuple[str, str, int], int]:
        """What is counted; what was never counted and what counts 0 are the same."""
        return {key: number for key, number in self.rehearsal.earn_state.tallies.items() if number}


def entries_of(shop: Shop) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = defaultdict(list)
    for entry in shop.rehearsal.entries:
        found[entry.account].append(entry)
    return dict(found)


# ---- what makes no difference


@properties
@given(programs(), HISTORIES, st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_batches_make_no_difference(text: str, drawn: tuple[list[Step], datetime], sizes: list[int]) -> None:
    program = compiled(text)
    told = History(*drawn).told
    single, whole, cut = Shop(program), Shop(program), Shop(program, forgets=True)
    for one in told:
        single.batch([one])
    size = itertools.cycle(sizes)
    for _, run in itertools.groupby(told, lambda one: one.place):
        rest = list(run)
        whole.batch(rest)
        while rest:
            length = next(size)
            cut.batch(rest[:length])
            rest = rest[length:]
    # The one that is cut knows in each batch what a worker would have loaded.
    for other in (whole, cut):
        assert other.rehearsal.entries == single.rehearsal.entries
        assert other.rehearsal.accounts == single.rehearsal.accounts
        assert other.tallies() == single.tallies()
        assert other.messages == single.messages
        assert other.refused == single.refused


@properties
@given(programs(), HISTORIES, st.lists(st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=10))
def test_sweeps_make_no_difference(
    text: str, drawn: tuple[list[Step], datetime], sweeps: list[tuple[int, int, int]]
) -> None:
    program = compiled(text)
    told = History(*drawn).told
    calm, swept = Shop(program), Shop(program)
    for number, one in enumerate(told):
        earliest = min(later.at for later in told[number:])
        for when, back, who in sweeps:
            if when % len(told) == number:
                swept.sweep([name for i, name in enumerate(MEMBERS) if who & (1 << i)], earliest - GAPS[back % 11])
        calm.batch([one])
        swept.batch([one])
    for shop in (calm, swept):
        shop.sweep(MEMBERS, FAR)
    assert entries_of(swept) == entries_of(calm)
    assert swept.tallies() == calm.tallies()
    assert Counter(swept.messages) == Counter(calm.messages)


@properties
@given(programs(budgets=False), HISTORIES)
def test_what_others_do_makes_no_difference(text: str, drawn: tuple[list[Step], datetime]) -> None:
    program = compiled(text)
    told = History(*drawn).told
    mixed, apart = Shop(program), Shop(program)
    for shop, order in ((mixed, told), (apart, sorted(told, key=lambda one: one.member))):
        for one in order:
            shop.batch([one])
    assert entries_of(apart) == entries_of(mixed)
    assert apart.rehearsal.accounts == mixed.rehearsal.accounts
    assert apart.tallies() == mixed.tallies()


# ---- what always holds

#: By how much an operation changes what is left of a lot: written down once more.
LOT_MOVES = {1: 1, 2: 1, 4: -1, 5: 1, 7: -1, 8: -1, 9: -1, 10: -1, 14: 1}


class Auditor:
    """Follows the entries one by one with a table of its own."""

    def __init__(self) -> None:
        self.lots: Counter[tuple[int, int]] = Counter()
        self._earned: set[tuple[int, int, int]] = set()
        self._last: dict[int, tuple[int, tuple[int, ...], int]] = {}
        self._seen = 0

    def look(self, shop: Shop) -> None:
        """Check what is new, and that what accounts say is what their entries come to."""
        for entry in shop.rehearsal.entries[self._seen :]:
            self._entry(entry)
            self._lapsing(entry, at_once=entry.cause in shop.rehearsal.earn_state.orders)
        self._seen = len(shop.rehearsal.entries)
        for account in shop.rehearsal.accounts.values():
            balances = (account.available, account.pending, account.reserved, account.debt)
            version, after, at = self._last.get(account.account, (0, (0, 0, 0, 0), BEGINNING))
            assert (account.version, balances) == (version, after)
            assert account.as_of >= at
            for lot in account.lots.values():
                assert lot.remaining == self.lots[account.account, lot.lot] > 0
            assert sum(lot.remaining for lot in account.lots.values()) == account.available + account.pending
            assert sum(hold.points for hold in account.holds.values()) == account.reserved
            assert not (account.debt and account.available)

    def _entry(self, entry: Entry) -> None:
        version, before, at = self._last.get(entry.account, (0, (0, 0, 0, 0), BEGINNING))
        after = (entry.available, entry.pending, entry.reserved, entry.debt)
        assert entry.version == version + 1
        assert after == tuple(old + way * entry.points for old, way in zip(before, MOVES[entry.operation], strict=True))
        assert min(after) >= 0
        assert entry.points or entry.qualifying
        assert entry.event_at <= entry.occurred_at
        assert at <= entry.occurred_at
        if entry.lot:
            self.lots[entry.account, entry.lot] += LOT_MOVES.get(entry.operation, 0) * entry.points
            assert self.lots[entry.account, entry.lot] >= 0
        self._last[entry.account] = entry.version, after, entry.occurred_at

    def _lapsing(self, entry: Entry, *, at_once: bool) -> None:
        """Nothing lapses in the instant in which an order earned it, unless the order came late, or was amended."""
        here = (entry.account, entry.lot, entry.occurred_at)
        earned = entry.operation in {Operation.EARN, Operation.EARN_PENDING}
        if earned and at_once and entry.event_at == entry.occurred_at:
            self._earned.add(here)
        assert entry.operation != Operation.EXPIRE or here not in self._earned


def limits_hold(shop: Shop) -> None:
    """Nothing is counted below 0 or above its limit; nor does one order get more than a cap for one order."""
    book = shop.program.book
    most = {limit.name: limit.most for limit in book.limits}
    for (member, name, _period), number in shop.rehearsal.earn_state.tallies.items():
        assert (member == "") == is_budget((name, 0)) == name.startswith("budget of ")
        if name.startswith(("rule ", "wallet ", "budget of ")):
            assert 0 <= number <= most[name], name
    for order in shop.rehearsal.earn_state.orders.values():
        paid: Counter[Limit] = Counter()
        for award in order.awards:
            rule = shop.program.rules[award.rule]
            for limit in (*rule.caps, *book.caps[award.wallet or rule.wallet]):
                paid[limit] += sum(award.line_points)
        assert all(points <= limit.most for limit, points in paid.items() if limit.per == "order")


@properties
@given(programs(), HISTORIES)
def test_no_lot_is_overdrawn_and_no_limit_passed_at_any_time(text: str, drawn: tuple[list[Step], datetime]) -> None:
    shop, auditor = Shop(compiled(text)), Auditor()
    for one in History(*drawn).told:
        shop.batch([one])
        auditor.look(shop)
        limits_hold(shop)
    shop.sweep(MEMBERS, FAR)
    auditor.look(shop)


class Share(NamedTuple):
    """What an order has of one rule in one account."""

    order: bytes
    account: int
    rule: int


def paid_by_cause(shop: Shop, told: Sequence[Told]) -> dict[bytes, Counter[Share]]:
    """What each event about an order paid, less what it took back: by the causes that stand in the ledger alone."""
    about = [one for one in told if one.type in {COMPLETED, RETURNED, CANCELLED, AMENDED}]
    order_of = {one.key: business_key(SOURCE, one.data["order_id"]) for one in about}
    paid: dict[bytes, Counter[Share]] = defaultdict(Counter)
    for entry in shop.rehearsal.entries:
        if entry.cause in order_of:
            way = -1 if entry.operation in REVERSALS else entry.operation in {Operation.EARN, Operation.EARN_PENDING}
            paid[entry.cause][Share(order_of[entry.cause], entry.account, entry.rule)] += way * entry.points
    return paid


def what_is_left(paid: dict[bytes, Counter[Share]]) -> Counter[Share]:
    left: Counter[Share] = Counter()
    for shares in paid.values():
        left.update(shares)
    return left


def recounted(shop: Shop, paid: dict[bytes, Counter[Share]]) -> dict[tuple[str, str, int], int]:
    """What caps and budgets should have counted, on the day on which the order was made.

    Of a cap, what is left of the orders. Of a budget, what was paid: what comes back later is gone.
    """
    counted: Counter[tuple[str, str, int]] = Counter()
    for shares in paid.values():
        by_event: Counter[tuple[str, str, int]] = Counter()
        for share, points in shares.items():
            if points:
                for tally in _tallies_of(shop, share):
                    by_event[tally] += points
        counted.update({tally: max(0, points) if tally[0] == "" else points for tally, points in by_event.items()})
    return {tally: points for tally, points in counted.items() if points}


def _tallies_of(shop: Shop, share: Share) -> Iterator[tuple[str, str, int]]:
    order = shop.rehearsal.earn_state.orders[share.order]
    day = shop.program.day_at(order.occurred_at)
    wallet = next(one.wallet for one in shop.rehearsal.accounts.values() if one.account == share.account)
    for limit in (*shop.program.rules[share.rule].caps, *shop.program.book.caps[wallet]):
        if limit.per != "order":
            yield "" if limit.name.startswith("budget of ") else order.member, *limit.key(day)


@properties
@given(programs(), HISTORIES)
def test_an_order_that_came_back_whole_leaves_nothing_behind(text: str, drawn: tuple[list[Step], datetime]) -> None:
    shop = Shop(compiled(text))
    told = History(*drawn).told
    for one in told:
        shop.batch([one])
    paid = paid_by_cause(shop, told)
    left = what_is_left(paid)
    assert all(points >= 0 for points in left.values())
    assert _of_limits(shop) == recounted(shop, paid)
    # What stands with the orders is what stands in the ledger.
    for order in shop.rehearsal.earn_state.orders.values():
        if not order.returned:
            mine = sum(points for share, points in left.items() if share.order == order.key)
            assert mine == sum(sum(award.line_points) for award in order.awards)
    last = max((one.at for one in told), default=FAR)
    bought = {one.data["order_id"]: one for one in told if one.type == COMPLETED}
    for name, one in bought.items():
        back = Told(RETURNED, one.member, last, {"return_id": f"last {name}", "order_id": name})
        told.append(back)
        shop.batch([back])
        limits_hold(shop)
    assert not {share: points for share, points in what_is_left(paid_by_cause(shop, told)).items() if points}
    assert not [tally for tally in _of_limits(shop) if tally[0]]


def _of_limits(shop: Shop) -> dict[tuple[str, str, int], int]:
    """Everything counted but purchases and visits."""
    names = ("rule ", "wallet ", "budget of ")
    return {key: number for key, number in shop.tallies().items() if key[1].startswith(names)}
