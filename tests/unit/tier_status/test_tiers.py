"""Tiers: every window and keep rule by hand, and what must hold whatever the entries and sweeps."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgpack
import pydantic_core
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from services.tiers.handler import TiersHandler
from services.tiers.hints import Moved
from services.tiers.state import State
from services.tiers.tier_events import Announced, TierStatus, evaluate
from shared.contracts.tiers import TIER_CHANGED
from shared.errors import InvariantBroken
from shared.instants import NEVER, iso, microseconds
from shared.ledger.operations import Operation
from shared.program.compiled.ladders import Ladders
from shared.program.compiled.program import Program
from shared.runtime.handler import Due, Mark
from shared.runtime.records import Origin, Received, Record
from shared.tier_status import fold as standings
from shared.tier_status.fold import Change, TierInput, advance, dump, fold, load, next_due, tier_at
from shared.tier_status.read import Loaded, tier_number_at, tier_slug_at
from tests.support.build import program
from tests.support.examples import examples

ZONE = ZoneInfo("America/New_York")
PERIOD, METRIC = "the rest of the period and the next", "while the metric holds"
TIERS = "[{tier: blue, name: B, from: 0}, {tier: silver, name: S, from: 100 USD}, {tier: gold, name: G, from: 500 USD}]"


def ladder_program(window: str = "calendar year", keep: str = PERIOD, **fields: Any) -> Program:
    version, effective = fields.pop("version", 1), fields.pop("effective", "2016-01-01")
    parts = {"metric": "spend", "window": window, "keep": keep, "tiers": TIERS, **fields}
    text = "{" + ", ".join(f"{name}: {value}" for name, value in parts.items()) + "}"
    return program("give: 1 point per whole USD", ladder=text, version=version, effective=effective)


def ladders(window: str = "calendar year", keep: str = PERIOD, **fields: Any) -> Ladders:
    return Ladders([ladder_program(window, keep, **fields)], "points")


def at(text: str) -> int:
    """A local time in New York; a day alone is its beginning."""
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=ZONE))


def entries(*amounts: tuple[str, int] | tuple[str, int, str]) -> list[TierInput]:
    """One entry of so many dollars each: (posted, dollars), or (posted, dollars, when it happened)."""
    return [
        TierInput(number, at(posted), at(rest[0] if rest else posted), 1, dollars * 100, Operation.EARN)
        for number, (posted, dollars, *rest) in enumerate(amounts, 1)
    ]


def run(ladder_at: Ladders, until: str, *amounts: Any) -> tuple[standings.State, list[tuple[str, str, str]]]:
    """Fold and advance; the changes as (local day, change, tier)."""
    state, changes = fold(standings.State(), entries(*amounts), ladder_at)
    changes += advance(state, at(until), ladder_at)
    return state, [(local(change.occurred_at), change.change, change.tier) for change in changes]


def local(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1e6, ZONE).date().isoformat() if instant < NEVER else "never"


def test_a_tier_is_reached_at_once_and_kept_to_the_end_of_the_next_year() -> None:
    ladder_at = ladders()
    state, changes = run(ladder_at, "2018-12-31T23:59:59", ("2017-03-01", 60), ("2017-05-01", 40), ("2018-02-01", 99))
    assert changes == [("2017-05-01", "upgraded", "silver")]
    assert (local(state.since), local(state.valid_until)) == ("2017-05-01", "2019-01-01")
    assert next_due(state, ladder_at) == at("2019-01-01")
    (fallen,) = advance(state, at("2019-01-01"), ladder_at)
    assert (fallen.change, fallen.old_tier, fallen.tier) == ("downgraded", "silver", "blue")
    assert fallen.reason == "spend of 99.00 USD in 2018, silver needs 100.00 USD"
    assert state.valid_until == NEVER == next_due(state, ladder_at)


def test_a_tier_is_retained_by_the_year_that_just_closed() -> None:
    state, changes = run(ladders(), "2019-06-01", ("2017-05-01", 500), ("2018-02-01", 500))
    assert changes == [("2017-05-01", "upgraded", "gold"), ("2019-01-01", "retained", "gold")]
    assert local(state.since) == "2017-05-01"
    assert local(state.valid_until) == "2020-01-01"


def test_a_member_falls_to_what_the_year_reaches_or_one_step_if_the_landing_is_soft() -> None:
    assert run(ladders(), "2020-06-01", ("2017-05-01", 500))[1][1:] == [("2019-01-01", "downgraded", "blue")]
    _, changes = run(ladders(), "2021-06-01", ("2017-05-01", 500), ("2018-02-01", 100), ("2019-02-01", 100))
    assert changes[1:] == [
        ("2019-01-01", "downgraded", "silver"), ("2020-01-01", "retained", "silver"),
        ("2021-01-01", "downgraded", "blue"),
    ]  # fmt: skip
    _, changes = run(ladders(soft_landing="yes"), "2021-06-01", ("2017-05-01", 500))
    assert changes[1:] == [("2019-01-01", "downgraded", "silver"), ("2020-01-01", "downgraded", "blue")]


def test_grace_delays_the_end_and_what_is_bought_meanwhile_keeps_the_tier() -> None:
    ladder_at = ladders(grace_days=31)
    state, changes = run(ladder_at, "2019-06-01", ("2017-05-01", 100))
    assert changes[1:] == [("2019-02-01", "downgraded", "blue")]
    state, changes = run(ladder_at, "2019-06-01", ("2017-05-01", 100), ("2019-01-20", 100))
    assert changes[1:] == [("2019-02-01", "retained", "silver")]
    assert local(state.valid_until) == "2021-02-01"


def test_a_closed_year_reopens_upwards_only() -> None:
    # Bought on the last evening of 2017, heard of on 3 January 2018: gold, as if it had come in time.
    late = ("2018-01-03", 450, "2017-12-31T23:59:59")
    state, changes = run(ladders(), "2018-06-01", ("2017-05-01", 50), late)
    assert changes == [("2018-01-03", "upgraded", "gold")]
    assert local(state.valid_until) == "2019-01-01"
    # A late return in the closed year takes nothing, and neither does one in the open year.
    state, changes = run(ladders(), "2018-12-31", ("2017-05-01", 100), ("2018-01-03", -100, "2017-12-30"))
    assert [change[2] for change in changes] == ["silver"]
    assert run(ladders(), "2018-12-31", ("2017-05-01", 100), ("2017-05-02", -100))[0].tier == "silver"
    # What a year earned that ended long ago is over.
    assert run(ladders(), "2019-06-01", ("2019-01-03", 500, "2017-12-30"))[0].tier == "blue"


def test_midnight_is_that_of_the_program_zone() -> None:
    years = [state.amounts for state in (run(ladders(), "2018-02-01", (f"{moment}", 1))[0]
             for moment in ("2017-12-31T23:59:59.999999", "2018-01-01"))]  # fmt: skip
    assert [list(amounts) for amounts in years] == [
        [datetime(2017, 1, 1).toordinal()], [datetime(2018, 1, 1).toordinal()],
    ]  # fmt: skip
    # Clocks went forward on 12 March 2017: that day had 23 hours, and its amount leaves at a midnight in summer time.
    state, _ = run(ladders("rolling 12 months", METRIC), "2017-03-13", ("2017-03-12T23:30:00", 100))
    assert state.valid_until == at("2018-03-12")
    state, _ = run(ladders("rolling 12 months", METRIC), "2017-03-13", ("2017-03-10T23:30:00", 100))
    assert state.valid_until == at("2018-03-10")
    assert at("2018-03-12") - at("2018-03-10") == 47 * 3600 * 1_000_000


def test_membership_years_begin_on_the_day_of_the_first_entry_also_on_29_february() -> None:
    ladder_at = ladders("membership year")
    amounts = ("2016-02-29T12:00:00", 50), ("2017-02-27T12:00:00", 50)
    state, changes = run(ladder_at, "2017-06-01", *amounts)
    assert changes == [("2017-02-27", "upgraded", "silver")]
    assert local(state.valid_until) == "2018-02-28"
    # 28 February 2017 is a new year of membership already; in 2020 it begins on the 29th again.
    assert run(ladder_at, "2017-06-01", amounts[0], ("2017-02-28", 50))[1] == []
    state, changes = run(ladder_at, "2020-06-01", amounts[0], ("2020-02-28T23:59:59", 100))
    assert local(state.valid_until) == "2021-02-28"
    assert run(ladder_at, "2020-06-01", amounts[0], ("2020-02-29", 100))[0].valid_until == at("2022-02-28")


def test_rolling_months_lower_the_tier_when_the_day_leaves_the_window() -> None:
    ladder_at = ladders("rolling 12 months", METRIC)
    amounts = ("2017-03-01T18:00:00", 60), ("2017-09-01T18:00:00", 40)
    state, changes = run(ladder_at, "2018-02-28T23:59:59", *amounts)
    assert changes == [("2017-09-01", "upgraded", "silver")]
    assert state.valid_until == next_due(state, ladder_at) == at("2018-03-01")
    (fallen,) = advance(state, at("2018-03-01"), ladder_at)
    assert (fallen.tier, fallen.reason) == ("blue", "spend of 40.00 USD in the last 12 months, silver needs 100.00 USD")
    # A return lowers it at once; and when the returned day leaves the window before the purchase, the tier is back.
    _, changes = run(ladder_at, "2018-09-02", ("2017-03-01", 100), ("2017-04-01", -50), ("2018-02-20", 60))
    assert changes == [
        ("2017-03-01", "upgraded", "silver"), ("2017-04-01", "downgraded", "blue"),
        ("2018-02-20", "upgraded", "silver"), ("2018-03-01", "downgraded", "blue"),
    ]  # fmt: skip
    _, changes = run(ladder_at, "2018-04-01", ("2017-03-01", -50), ("2017-04-02", 100))
    assert changes == [("2018-03-01", "upgraded", "silver")]


def test_where_the_metric_must_hold_years_end_and_a_lifetime_does_not() -> None:
    _, changes = run(ladders(keep=METRIC), "2018-06-01", ("2017-05-01", 500), ("2017-06-01", -300))
    assert changes == [
        ("2017-05-01", "upgraded", "gold"), ("2017-06-01", "downgraded", "silver"), ("2018-01-01", "downgraded", "blue")
    ]  # fmt: skip
    state, changes = run(ladders("lifetime", METRIC), "2030-01-01", ("2017-05-01", 60), ("2019-05-01", 40))
    assert changes == [("2019-05-01", "upgraded", "silver")]
    assert state.valid_until == NEVER


def test_points_count_once_when_earned_and_are_taken_off_when_reversed() -> None:
    ladder_at = ladders(
        "lifetime", METRIC, metric="points", tiers="[{tier: a, name: A, from: 0}, {tier: b, name: B, from: 10 points}]"
    )
    steps = entries(*[(f"2017-01-0{day}", 0) for day in range(1, 5)])
    kinds = [Operation.EARN_PENDING, Operation.ACTIVATE, Operation.REDEEM, Operation.REVERSE]
    steps = [step._replace(operation=kind, points=10) for step, kind in zip(steps, kinds, strict=True)]
    state, changes = fold(standings.State(), steps, ladder_at)
    assert [(change.version, change.tier) for change in changes] == [(1, "b"), (4, "a")]
    assert standings.metric_value(state, ladder_at(state.as_of), state.as_of) == 0  # type: ignore[arg-type]


def test_the_end_is_announced_once_unless_the_tier_is_kept_already() -> None:
    ladder_at = ladders(warn_days=30)
    _, changes = run(ladder_at, "2019-06-01", ("2017-05-01", 100), ("2018-12-15", 20), ("2018-12-20", 20))
    assert changes[1:] == [("2018-12-02", "expiring", "silver"), ("2019-01-01", "downgraded", "blue")]
    _, changes = run(ladder_at, "2018-12-31", ("2017-05-01", 100), ("2018-05-01", 100))
    assert changes[1:] == []


def test_distances_are_those_of_the_present_period() -> None:
    ladder_at = ladders()
    state, _ = run(ladder_at, "2018-06-01", ("2017-05-01", 120), ("2018-05-01", 30))
    ladder = ladder_at(state.as_of)
    assert ladder is not None
    assert standings.to_keep(state, ladder, state.as_of) == 7000
    assert standings.to_next(state, ladder, state.as_of) == ("gold", 47000)


def test_a_new_version_brings_its_ladder_and_leaves_what_was_earned() -> None:
    old = ladder_program()
    new_tiers = TIERS.replace("silver", "jade").replace("500 USD", "300 USD")
    new = ladder_program(version=2, effective="2017-07-01", tiers=new_tiers)
    ladder_at = Ladders([old, new], "points")
    assert run(ladder_at, "2017-08-01", ("2017-05-01", 350))[1] == [
        ("2017-05-01", "upgraded", "silver"), ("2017-07-01", "upgraded", "gold"),
    ]  # fmt: skip
    state, changes = run(ladder_at, "2017-08-01", ("2017-05-01", 150))
    assert changes[1:] == [("2017-07-01", "upgraded", "jade")]
    assert tier_at(state, at("2017-06-30")) == "silver"
    # Without a ladder nobody has a tier; the wallet of another ladder has none either.
    assert Ladders([old], "stars")(at("2018-01-01")) is None
    assert fold(standings.State(), entries(("2017-05-01", 500)), Ladders([old], "stars"))[0].tier == ""


def test_a_version_that_is_missing_stops_everything() -> None:
    with pytest.raises(InvariantBroken):
        fold(standings.State(), entries(("2017-05-01", 5))[0:1] * 2, ladders())


LADDERS = st.sampled_from([
    ladders(soft_landing="yes", grace_days=40, warn_days=30),
    ladders("membership year", warn_days=60),
    ladders("rolling 12 months", METRIC, warn_days=30),
    ladders("calendar year", METRIC),
    Ladders([
        ladder_program(), ladder_program("rolling 12 months", METRIC, version=2, effective="2017-04-01"),
        ladder_program("membership year", soft_landing="yes", version=3, effective="2018-04-01"),
    ], "points"),
])  # fmt: skip
DAY = 86_400_000_000


@st.composite
def histories(draw: st.DrawFn) -> list[TierInput]:
    """Three years of entries, some of them late, some returns, some on the seconds around midnight."""
    instant, steps = at("2016-02-28T23:59:58"), []
    for version in range(1, draw(st.integers(1, 14)) + 1):
        instant += draw(st.one_of(st.integers(0, 120).map(lambda days: days * DAY), st.integers(0, 3_000_000)))
        late = draw(st.one_of(st.just(0), st.integers(0, 400 * DAY)))
        dollars = draw(st.sampled_from([0, 40, 99, 100, 400, 500, -60, -400]))
        steps.append(TierInput(version, instant, instant - late, 1, dollars * 100, Operation.EARN))
    return steps


@examples(30)
@given(LADDERS, histories(), st.data())
def test_neither_cuts_nor_sweeps_change_what_comes_of_the_entries(
    ladder_at: Ladders, steps: list[TierInput], data: st.DataObject
) -> None:
    whole, changes = fold(standings.State(), steps, ladder_at)
    state, rest = standings.State(), steps
    found: list[Change] = []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        state, more = fold(load(dump(state)), rest[:size], ladder_at)
        found, rest = found + more, rest[size:]
        ahead = state.copy()
        before = dump(state)
        advance(ahead, state.as_of + data.draw(st.integers(0, 800)) * DAY, ladder_at)
        assert dump(state) == before
    assert (dump(state), found) == (dump(whole), changes)
    # The same time in one stride and in several.
    end, one = whole.as_of + 1000 * DAY, whole.copy()
    at_once = advance(one, end, ladder_at)
    several: list[Change] = []
    for days in (*sorted(data.draw(st.lists(st.integers(0, 999), max_size=4))), 1000):
        several += advance(whole, state.as_of + days * DAY, ladder_at)
    assert (several, dump(whole)) == (at_once, dump(one))
    # The history and the changes tell the same, and an upgrade is one.
    for change in [*changes, *at_once]:
        last = [c for c in [*changes, *at_once] if c.change != "expiring" and c.occurred_at == change.occurred_at]
        assert change.change == "expiring" or tier_at(one, change.occurred_at) == last[-1].tier
        assert (change.old_tier == change.tier) == (change.change in {"retained", "expiring"})
        assert change.valid_until > change.occurred_at
    assert next_due(one, ladder_at) > end


@examples(30)
@given(histories(), st.lists(st.integers(0, 500), min_size=1, max_size=8))
def test_a_rolling_tier_is_what_the_last_12_months_reach_on_any_day(steps: list[TierInput], days: list[int]) -> None:
    ladder_at = ladders("rolling 12 months", METRIC)
    state, _ = fold(standings.State(), steps, ladder_at)
    for instant in [state.as_of + day * DAY for day in sorted(days)]:
        advance(state, instant, ladder_at)
        today = datetime.fromtimestamp(instant / 1e6, ZONE).date()
        happened = [(datetime.fromtimestamp(step.event_at / 1e6, ZONE).date(), step.qualifying) for step in steps]
        spent = sum(amount for day, amount in happened if day + relativedelta(months=12) > today)
        assert state.tier == ("gold" if spent >= 50_000 else "silver" if spent >= 10_000 else "blue")


@examples(30)
@given(LADDERS, histories(), st.data())
def test_what_is_told_is_a_chain_without_gaps_that_ends_at_the_truth(
    ladder_at: Ladders, steps: list[TierInput], data: st.DataObject
) -> None:
    standing, told = TierStatus(1, "m1", "points"), "blue"
    ids = set()
    for step in steps:
        standing.inputs.append(step)
        horizon = step.occurred_at + data.draw(st.integers(-1, 500)) * DAY
        standing.announced = Announced.load(standing.announced.dump())
        treated = evaluate(standing, ladder_at, horizon)
        for number, change in treated.news:
            assert change.old_tier == told
            told = change.tier
            key = (change.change, number or change.valid_until)
            assert key not in ids or change.change == "expiring"
            ids.add(key)
        assert treated.shown.tier == told
        assert dump(standing.state) == dump(fold(standings.State(), steps[: step.version], ladder_at)[0])
    again = evaluate(standing, ladder_at)
    assert again.news == []
    loaded = Loaded(inputs=list(steps))
    for instant in itertools.accumulate([steps[0].occurred_at - DAY, *[90 * DAY] * 20]):
        assert tier_slug_at(loaded, ladder_at, instant) == (
            tier_at(_advanced(steps, ladder_at, instant), instant) or "blue"
        )


def _advanced(steps: list[TierInput], ladder_at: Ladders, instant: int) -> standings.State:
    state, _ = fold(standings.State(), steps, ladder_at)
    advance(state, instant, ladder_at)
    return state


def hint(step: TierInput, member: str = "m1", wallet: str = "points") -> Received:
    event = Moved(
        member_id=member, account=7, wallet=wallet, version=step.version,
        occurred_at=iso(step.occurred_at),  # type: ignore[arg-type]
    )  # fmt: skip
    record = Record(0, 0, None, None, ())
    return Received(0, "e", "/s", "t", event, b"", b"", step.occurred_at, Origin("", 0, 0, record))


def test_the_handler_announces_in_memory_and_its_facts_repeat_it() -> None:
    handler, programs = TiersHandler("/loyalty/test/tiers"), [ladder_program(warn_days=30)]
    steps = entries(("2017-05-01", 100), ("2017-06-01", 400), ("2018-01-05", 1))
    state = State.under(programs, [TierStatus(7, "m1", "points", inputs=list(steps))])
    mark = Mark(1, at("2019-06-01"), at("2019-06-01"))
    hints = [hint(steps[0]), hint(steps[2]), hint(steps[2], wallet="stars"), hint(steps[2], member="m2")]
    first = handler.decide(state, hints, mark)
    assert (first.accepted, first.duplicates, first.latest_at) == (4, 0, at("2018-01-05"))
    assert msgpack.unpackb(first.facts) == {"folds": [["m1", 3, at("2018-01-05"), "points"]]}
    assert handler.decide(state, hints, mark).messages == []
    second = handler.decide_due(state, Due(at("2019-02-01"), mark.recorded_at, 0, 1, 10), mark)
    assert handler.decide_due(state, Due(at("2019-02-01"), mark.recorded_at, 0, 1, 10), mark).messages == []
    events = [TIER_CHANGED.validate_json(message.value) for message in [*first.messages, *second.messages]]
    assert [(event["change"], event["tier"], event["version"]) for event in events] == [
        ("upgraded", "silver", 1), ("upgraded", "gold", 2), ("expiring", "gold", 3), ("downgraded", "blue", 3),
    ]  # fmt: skip
    assert [dict(message.headers)["ce_id"] for message in [*first.messages, *second.messages]] == [
        b"tier-upgraded-7-1", b"tier-upgraded-7-2", b"tier-expiring-7-%d" % at("2019-01-01"), b"tier-downgraded-7-3",
    ]  # fmt: skip
    handler.count(first)
    fresh = State.under(programs, [TierStatus(7, "m1", "points", inputs=list(steps))])
    again = [
        *handler.replay(fresh, hints, first.facts, mark).messages,
        *handler.replay_sweep(fresh, Due(at("2019-02-01"), mark.recorded_at, 0, 1, 10), second.facts, mark).messages,
    ]
    assert again == [*first.messages, *second.messages]
    assert fresh.standings == state.standings


def test_a_late_entry_before_what_a_sweep_told_sets_it_right() -> None:
    ladder_at = ladders()
    standing = TierStatus(1, "m1", "points", inputs=entries(("2017-05-01", 100), ("2018-12-31T22:00:00", 100)))
    late = standing.inputs.pop()
    assert [change.tier for _, change in evaluate(standing, ladder_at, at("2019-01-02")).news] == ["silver", "blue"]
    standing.inputs.append(late)
    ((number, change),) = evaluate(standing, ladder_at).news
    assert (number, change.change, change.old_tier, change.tier) == (3, "upgraded", "blue", "silver")
    ladder = ladder_at(0) or ladder_at(at("2019-01-02"))
    assert ladder is not None
    assert tier_number_at(Loaded(standing.state), ladder_at, ladder, at("2019-01-02")) == 1


def test_events_are_decoded_whatever_else_they_carry() -> None:
    contract = next(iter(TiersHandler.contracts.values()))
    data = {"member_id": "m1", "account": 7, "wallet": "points", "version": 3, "occurred_at": "2017-05-01T00:00:00Z"}
    event = contract.decode(pydantic_core.to_json({**data, "points": 5}))
    assert contract.business_key(event) == "7 3"
