"""Random histories of events about some members, and the product in memory that handles them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgpack
from hypothesis import strategies as st

from services.earn.handler import EarnHandler
from services.earn.orders import read_result
from services.earn.tallies import tallies_of
from shared.contracts.contract import business_key
from shared.contracts.members import UPDATED
from shared.contracts.purchases import AMENDED, CANCELLED, CLAIMED, COMPLETED, FULFILLED, RETURNED
from shared.contracts.redemptions import CANCELLED as RELEASED
from shared.contracts.redemptions import CONFIRMED, REQUESTED
from shared.instants import microseconds
from shared.ledger.model import Entry
from shared.program.compiled.program import Program
from shared.runtime.batch.decode import decode
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Record
from shared.simulation.simulator import Rehearsal
from tests.support.build import SOURCE, as_bytes, headers

MEMBERS = ["ann", "bob", "eve", "dan"]
NOW = microseconds(datetime(2030, 1, 1, tzinfo=UTC))


class Told(NamedTuple):
    """One event as it is sent."""

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
        """The service that reads it, and its position."""
        if self.type in {REQUESTED, CONFIRMED, RELEASED}:
            return "redeem", ("redemptions", 0, 0)
        return "earn", ("members" if self.type == UPDATED else "purchases", 0, 0)

    @property
    def key(self) -> bytes:
        """The business key that is the cause of entries: of an order, or of a change of one."""
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
        self._lines[order] = lines(a, b, c)
        return Told(COMPLETED, _buyer(order), at, {"order_id": f"o{order}", **bought(self._lines[order], d)})

    def _amend(self, at: datetime, name: str, a: int, b: int, c: int, d: int) -> Told:
        order, member = self._order(a, d)
        self._lines[order] = lines(a, b, c)
        data = {"amendment_id": name, "order_id": f"o{order}", **bought(self._lines[order], d)}
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
        """A till that is not sure sends an event again."""
        return self.told[-1 - a % len(self.told)] if self.told else None


def lines(a: int, b: int, c: int) -> list[dict[str, Any]]:
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


def bought(lines: list[dict[str, Any]], d: int) -> dict[str, Any]:
    return {
        "currency": "USD", "lines": lines, "channel": ["web", "store", None][d % 3], "store_id": ["7", None][d % 2],
        "tenders": [{"method": ["card", "cash"][d % 2], "amount": 1}],
    }  # fmt: skip


# ---- the product, fed with them


class Worker:
    """The product in memory.

    Attributes:
        forgets: Whether in each batch it has only those orders and tallies that a worker would have stored and loaded.
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
        state.tallies, state.loaded = forgotten | state.tallies, None
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
        state.loaded = wanted
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


def entries_of(shop: Worker) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = defaultdict(list)
    for entry in shop.rehearsal.entries:
        found[entry.account].append(entry)
    return dict(found)
