"""Decides about a batch of hints, about what time alone changes, and about either again in a replay. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgpack
import pydantic_core

from services.tiers.hints import Moved
from services.tiers.state import Effects, State
from services.tiers.tier_events import NumberedChange, TierStatus, evaluate, event_of, message_id
from shared.contracts import tiers
from shared.contracts.envelope import seal
from shared.instants import BEGINNING, iso
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Message, Received
from shared.tier_status.state import Kind

#: The event that announces a change, by its kind.
TYPES: Mapping[Kind, str] = {
    "upgraded": tiers.UPGRADED,
    "downgraded": tiers.DOWNGRADED,
    "retained": tiers.RETAINED,
    "expiring": tiers.EXPIRING,
}


class Treatment(NamedTuple):
    """A standing to treat, and how far: in time, and, in a replay, in the account's versions."""

    standing: TierStatus
    until: int
    version: int | None = None


def process(state: State, events: Sequence[Received[Moved]], mark: Mark, source: str) -> Decisions[Effects]:
    """Treat every standing that a hint names and that has entries to fold; all hints are of one kind."""
    decisions = Decisions(Effects(state.program_version))
    touched: dict[tuple[str, str], TierStatus] = {}
    for received in events:
        decisions.accepted += 1
        decisions.latest_at = max(decisions.latest_at, received.occurred_at)
        key = (received.event.member_id, received.event.wallet)
        if key in state.standings:
            touched[key] = state.standings[key]
    work = [Treatment(standing, BEGINNING) for standing in touched.values() if standing.inputs]
    return _treat(decisions, state, work, mark, source)


def process_due(state: State, horizon: int, mark: Mark, source: str) -> Decisions[Effects]:
    """Treat, up to the horizon, every standing that has anything to treat."""
    waiting = [one for one in state.standings.values() if one.inputs or one.next_due <= horizon]
    work = [Treatment(standing, horizon) for standing in waiting]
    return _treat(Decisions(Effects(state.program_version)), state, work, mark, source)


def replay(state: State, facts: bytes, mark: Mark, source: str) -> Decisions[Effects]:
    """Decide what the ``facts`` of an archived batch or sweep say, whatever the entries that wait."""
    folds = msgpack.unpackb(facts)["folds"] if facts else []
    work = [Treatment(state.standings[member, wallet], until, version) for member, version, until, wallet in folds]
    return _treat(Decisions(Effects(state.program_version)), state, work, mark, source)


def _treat(
    decisions: Decisions[Effects], state: State, work: Iterable[Treatment], mark: Mark, source: str
) -> Decisions[Effects]:
    time = iso(mark.recorded_at)
    effects = decisions.effects
    folds: list[tuple[str, int, int, str]] = []
    for standing, until, version in work:
        treated = evaluate(standing, state.ladders[standing.wallet], until, version)
        effects.treated.append(treated)
        folds.append((standing.member, standing.state.version, standing.announced.until, standing.wallet))
        decisions.messages += [_message(standing, state.program_id, one, source, time) for one in treated.news]
    decisions.facts = msgpack.packb({"folds": folds})
    return decisions


def _message(standing: TierStatus, program_id: str, numbered: NumberedChange, source: str, time: str) -> Message:
    number, change = numbered
    headers = seal(
        event_id=message_id(standing.account, number, change),
        source=source,
        event_type=TYPES[change.change],
        time=time,
        key=standing.member,
    )
    event = event_of(standing, program_id, change)
    return Message(tiers.TOPIC, standing.member.encode(), pydantic_core.to_json(event), headers)
