"""Random programs of the whole language on random histories: what must hold for all of them, whatever they pay."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.earn.orders import Order
from shared.contracts.contract import business_key
from shared.contracts.members import UPDATED
from shared.contracts.purchases import AMENDED, CANCELLED, COMPLETED, RETURNED
from shared.errors import ProgramFileError
from shared.instants import BEGINNING
from shared.ledger.model import Entry
from shared.ledger.operations import REVERSALS, Operation
from shared.program.compiled.tallies import Limit, is_budget
from shared.program.language.loader import load
from tests.support.build import SOURCE
from tests.support.examples import examples
from tests.support.histories import (
    GAPS,
    HISTORIES,
    MEMBERS,
    NUMBER,
    History,
    Step,
    Told,
    Worker,
    bought,
    entries_of,
    lines,
)  # fmt: skip
from tests.support.moves import LOT_MOVES, MOVES
from tests.support.random_programs import Draft, compiled, file_of, programs

properties = examples(40, deep=2_000)
FAR = datetime(2028, 1, 1, tzinfo=UTC)


@examples(15, deep=500)
@given(programs())
def test_a_program_as_data_is_what_the_loader_makes_of_its_text(draft: Draft) -> None:
    """The tests below build programs from data; this one checks that the loader builds the same."""
    try:
        made = file_of(draft.data)
    except (ProgramFileError, ValidationError):
        with pytest.raises(ProgramFileError):
            load(draft.text)
    else:
        assert load(draft.text) == made


# ---- what makes no difference


@properties
@given(programs(), HISTORIES, st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_batches_make_no_difference(draft: Draft, drawn: tuple[list[Step], datetime], sizes: list[int]) -> None:
    program = compiled(draft)
    told = History(*drawn).told
    single, whole, cut = Worker(program), Worker(program), Worker(program, forgets=True)
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
    draft: Draft, drawn: tuple[list[Step], datetime], sweeps: list[tuple[int, int, int]]
) -> None:
    program = compiled(draft)
    told = History(*drawn).told
    calm, swept = Worker(program), Worker(program)
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
def test_what_others_do_makes_no_difference(draft: Draft, drawn: tuple[list[Step], datetime]) -> None:
    program = compiled(draft)
    told = History(*drawn).told
    mixed, apart = Worker(program), Worker(program)
    for shop, order in ((mixed, told), (apart, sorted(told, key=lambda one: one.member))):
        for one in order:
            shop.batch([one])
    assert entries_of(apart) == entries_of(mixed)
    assert apart.rehearsal.accounts == mixed.rehearsal.accounts
    assert apart.tallies() == mixed.tallies()


# ---- what always holds


class Auditor:
    """Follows the entries one by one with a table of its own."""

    def __init__(self) -> None:
        self.lots: Counter[tuple[int, int]] = Counter()
        self._earned: set[tuple[int, int, int]] = set()
        self._last: dict[int, tuple[int, tuple[int, ...], int]] = {}
        self._seen = 0

    def look(self, shop: Worker) -> None:
        """Check new entries, and that accounts equal the sum of their entries."""
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
        """Nothing expires at the instant at which an order earned it, unless the order came late or was amended."""
        here = (entry.account, entry.lot, entry.occurred_at)
        earned = entry.operation in {Operation.EARN, Operation.EARN_PENDING}
        if earned and at_once and entry.event_at == entry.occurred_at:
            self._earned.add(here)
        assert entry.operation != Operation.EXPIRE or here not in self._earned


def limits_hold(shop: Worker) -> None:
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
def test_no_lot_is_overdrawn_and_no_limit_passed_at_any_time(draft: Draft, drawn: tuple[list[Step], datetime]) -> None:
    shop, auditor = Worker(compiled(draft)), Auditor()
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


def paid_by_cause(shop: Worker, told: Sequence[Told]) -> dict[bytes, Counter[Share]]:
    """What each event about an order paid, less what it took back, by the causes in the ledger alone."""
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


def recounted(shop: Worker, paid: dict[bytes, Counter[Share]]) -> dict[tuple[str, str, int], int]:
    """What caps and budgets should have counted, on the day on which the order was made.

    A cap counts what is left of the orders; a budget counts what was paid, whatever is returned later.
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


def _tallies_of(shop: Worker, share: Share) -> Iterator[tuple[str, str, int]]:
    order = shop.rehearsal.earn_state.orders[share.order]
    day = shop.program.day_at(order.occurred_at)
    wallet = next(one.wallet for one in shop.rehearsal.accounts.values() if one.account == share.account)
    for limit in (*shop.program.rules[share.rule].caps, *shop.program.book.caps[wallet]):
        if limit.per != "order":
            yield "" if limit.name.startswith("budget of ") else order.member, *limit.key(day)


@properties
@given(programs(), HISTORIES)
def test_an_order_that_came_back_whole_leaves_nothing_behind(draft: Draft, drawn: tuple[list[Step], datetime]) -> None:
    shop = Worker(compiled(draft))
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


def _of_limits(shop: Worker) -> dict[tuple[str, str, int], int]:
    """Everything counted but purchases and visits."""
    names = ("rule ", "wallet ", "budget of ")
    return {key: number for key, number in shop.tallies().items() if key[1].startswith(names)}


# ---- amendments


@properties
@given(
    programs(budgets=False, ladder=False),
    HISTORIES,
    st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), min_size=1, max_size=3),
)
def test_an_amended_order_is_as_if_it_had_been_bought_so(
    draft: Draft, drawn: tuple[list[Step], datetime], before: list[tuple[int, int, int, int]]
) -> None:
    """Under programs without tiers: one that was reached for a moment is kept, and so is what it gave."""
    program = compiled(draft)
    # A later order sees what an earlier one left of a cap: then it is amended at once.
    later = not program.book.limits
    told = [one for one in in_order(History(*drawn, late=False).told) if one.type in {COMPLETED, UPDATED} or not later]
    direct, amended = Worker(program), Worker(program, forgets=True)
    last: list[Told] = []
    for one in told:
        direct.batch([one])
        if one.type != COMPLETED:
            amended.batch([one])
            continue
        order = one.data["order_id"]
        forms = [bought(lines(a, b, c), d) for a, b, c, d in before] + [one.data]
        amended.batch([one._replace(data={**forms[0], "order_id": order})])
        last += [
            one._replace(type=AMENDED, data={**form, "order_id": order, "amendment_id": f"{order} {number}"})
            for number, form in enumerate(forms[1:])
        ]
        while last and not later:
            amended.batch([last.pop(0)])
    for one in last:
        amended.batch([one._replace(at=told[-1].at)])
    assert awards_of(amended) == awards_of(direct)
    assert amended.tallies() == direct.tallies()
    # What was earned for a moment is an activity.
    if told and not later and "without activity" not in draft.text:
        for shop in (amended, direct):
            shop.sweep(MEMBERS, told[-1].at)
        assert stands(amended) == stands(direct)


def stands(shop: Worker) -> dict[tuple[str, str], tuple[object, ...]]:
    return {
        key: (one.available, one.pending, one.debt, one.lifetime, one.lots)
        for key, one in shop.rehearsal.accounts.items()
    }


def in_order(told: Iterable[Told]) -> Iterator[Told]:
    """What tells of orders that are there, once each; nobody redeems."""
    made: set[str] = set()
    for one in told:
        order = one.data.get("order_id")
        if one.place[0] != "earn" or (order is not None and (one.type == COMPLETED) == (order in made)):
            continue
        if order is not None:
            made.add(order)
        yield one


def awards_of(shop: Worker) -> dict[str, list[tuple[int, str, list[int]]]]:
    def named(order: Order) -> list[tuple[int, str, list[int]]]:
        return sorted((one.rule, one.wallet, one.line_points) for one in order.awards)

    return {order.order_id: named(order) for order in shop.rehearsal.earn_state.orders.values()}
