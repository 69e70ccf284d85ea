"""What a changed program would have paid, compared with what was paid: tiers, days, sweeps; worked out by hand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import msgpack
import pytest

from shared.contracts.members import UPDATED
from shared.contracts.purchases import COMPLETED
from shared.instants import microseconds
from shared.program.compiled.program import compile_program
from shared.program.language.loader import load
from shared.runtime.handler import Mark
from shared.simulation.comparison import paid_in, rehearsal_of, tier_at
from tests.support.build import program_text
from tests.support.histories import Told

NOW = microseconds(datetime(2018, 1, 1, tzinfo=UTC))
GIVE = "give: 1 point per whole USD"
LADDER = """
  metric: spend
  window: WINDOW
  keep: while the metric holds
  tiers: [{tier: low, name: Low, from: 0}, {tier: high, name: High, from: 60 USD, multiplier: 2}]"""


def shop(expiry: str = "never", window: str = "lifetime", **fields: str) -> str:
    wallets = f"{{points: {{name: P, unit: point, expiry: {expiry}}}}}"
    return program_text(GIVE, wallets=wallets, ladder=LADDER.replace("WINDOW", window), **fields)


def buys(order: str, at: datetime, amount: int) -> Told:
    lines = [{"line_id": "1", "product_id": "p", "amount": amount}]
    return Told(COMPLETED, "ann", at, {"order_id": order, "currency": "USD", "lines": lines})


def test_the_purchase_that_lifts_a_member_counts_under_the_tier_that_they_came_with() -> None:
    file = load(shop())
    rehearsal = rehearsal_of(file, [compile_program(file, 1)], 1_000_000)
    for number, day in enumerate([1, 2, 3]):
        record = buys(f"o{number}", datetime(2017, 3, day, tzinfo=UTC), 5000).record(number)
        rehearsal.batch([record], Mark(number + 1, NOW, NOW))
    # 50 and 50 of the low tier; the second one reaches 60 USD, and the third pays twice.
    assert paid_in(rehearsal, NOW).by_tier == Counter({("points", "low"): 100, ("points", "high"): 100})


def test_before_the_first_change_it_is_the_lowest() -> None:
    made = compile_program(load(shop()), 1)
    history = {"ann": [(10, "high"), (20, "low")]}
    assert [tier_at(history, "ann", at, made) for at in (9, 10, 11, 20, 21)] == ["low", "low", "high", "high", "low"]
    assert tier_at(history, "bob", 11, made) == "low"


@pytest.mark.parametrize("window", ["membership year", "calendar year", "rolling 12 months", "lifetime"])
def test_who_was_only_told_of_has_no_tier_yet(window: str) -> None:
    file = load(shop(window=window))
    rehearsal = rehearsal_of(file, [compile_program(file, 1)], 1_000_000)
    told = Told(UPDATED, "bob", datetime(2017, 3, 1, tzinfo=UTC), {"segments": ["students"]})
    rehearsal.batch([told.record(0)], Mark(1, NOW, NOW), place=("members", 0, 0))
    assert not paid_in(rehearsal, NOW).by_member


def test_it_begins_when_the_first_version_began_wherever_the_changed_one_lives() -> None:
    first = compile_program(load(shop(time_zone="UTC")), 1)
    rehearsal = rehearsal_of(load(shop(time_zone="America/New_York", effective="2017-06-01")), [first], 1_000_000)
    at = datetime(2017, 1, 1, 1, tzinfo=UTC)  # in New York it is still 2016
    decisions = rehearsal.batch([buys("o1", at, 1000).record(0)], Mark(1, NOW, NOW))
    assert (decisions.accepted, decisions.refused) == (1, [])


def test_what_came_late_finds_the_account_as_a_sweep_left_it() -> None:
    file = load(shop("10 days"))
    paid = []
    for swept in (False, True):
        rehearsal = rehearsal_of(file, [compile_program(file, 1)], 1_000_000)
        rehearsal.batch([buys("o1", datetime(2017, 3, 21, 12, tzinfo=UTC), 1000).record(0)], Mark(1, NOW, NOW))
        if swept:  # the 10 points expire at 4 o'clock; who is not here is left out
            horizon = microseconds(datetime(2017, 4, 1, 5, tzinfo=UTC))
            facts = msgpack.packb(
                {"swept": [["ann", "points"], ["bob", "points"], ["ann", "gone"]], "horizon": horizon}
            )
            rehearsal.sweep("redeem", horizon, Mark(2, NOW, horizon), facts)
        for number, hour in enumerate([22, 23], start=3):
            late = buys(f"o{number}", datetime(2017, 3, 31, hour, tzinfo=UTC), 10_000)
            rehearsal.batch([late.record(number)], Mark(number, NOW, NOW))
        found = paid_in(rehearsal, NOW)
        assert set(found.by_month) == {("points", "2017-03")}, "by the orders' own time"
        paid.append(found.by_member["points", "ann"])
    # Without the sweep the first late order lifts ann at 22:00; with it, when the account stands: at 4:00.
    assert paid == [310, 210]
