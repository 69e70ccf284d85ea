"""Random histories go through the product and through an oracle that shares no code with it: they must agree."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.contract import business_key
from shared.instants import BEGINNING, NEVER, microseconds
from shared.ledger.model import Entry, Terms
from shared.simulation.simulator import Rehearsal
from tests.support.build import SOURCE
from tests.support.examples import examples
from tests.support.moves import MOVES
from tests.support.oracle import FOR_EVER, LONG_AGO, Key, Oracle, Rules, Said
from tests.support.oracle_histories import GAPS, HISTORIES, MEMBERS, NUMBER, STARTS, Step, history
from tests.support.shop import RULES, Product, service_of, what_was_said

properties = examples(100, deep=3_000)


def tie(key: Key | str) -> Any:
    """Break ties as the product does, by the lower id: lots that wait for orders, holds that end together."""
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


def comparable(said: Said) -> Said:
    """Normalize answers after a time-out, which have a balance or not, depending on who gives them."""
    said.answers = [answer[:3] if answer[1] == "timed-out" else tuple(answer) for answer in said.answers]
    return said


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


def _sound(entries: Sequence[Entry]) -> None:
    """Check that versions have no gaps, balances follow from each other and are not negative, time does not go back."""
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
            parts = ("taken", "excused", "owed", "waived", "withheld")
            assert data["points"] == sum(data[part] for part in parts)
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
