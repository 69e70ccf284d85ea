"""Decides about a batch, event by event: profiles are kept, everything else may be news to somebody. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pydantic_core

from services.notify.consumed_events import HEARD
from services.notify.decision import decide_news
from services.notify.state import Decision, Effects, NotificationRow, Profile, State, Used
from services.notify.triggers import news_of
from shared.contracts import notifications, profiles
from shared.contracts.envelope import seal
from shared.contracts.notifications import NotificationRequested
from shared.contracts.profiles import PROFILE_UPDATED
from shared.instants import iso
from shared.program.compiled.program import Program
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Message, Received


@dataclass(slots=True)
class Batch:
    """One batch in the hands of the decisions about it.

    Attributes:
        state: What is known; what is decided is added.
        effects: What is to be written.
        decisions: What is to be published and counted.
        used: The facts that decisions used.
        program: The newest version: it decides, whenever it takes effect.
        mark: The batch's place in the history.
        source: The ``source`` of outgoing events.
    """

    state: State
    effects: Effects
    decisions: Decisions[Effects]
    used: Used
    program: Program
    mark: Mark
    source: str


def process(state: State, events: Sequence[Received], mark: Mark, source: str) -> Decisions[Effects]:
    """Decide about events in offset order.

    The newest version of the program decides, so no version has to wait for what was told, and ``latest_at`` stays at
    the beginning.
    """
    effects = Effects()
    batch = Batch(state, effects, Decisions(effects), Used(), state.programs[-1], mark, source)
    for received in events:
        DECISIONS[received.type](batch, received)
    if effects.decisions:
        batch.decisions.facts = batch.used.pack(state.now)
    return batch.decisions


def _take_profile(batch: Batch, received: Received) -> None:
    """Keep a profile unless a later one is known; of one instant, the one that comes later in the topic counts."""
    member = received.event.member_id
    profile = Profile.read(received.occurred_at, PROFILE_UPDATED.adapter.dump_json(received.event).decode())
    known = batch.state.profiles.get(member)
    if known and known.occurred_at == profile.occurred_at and known.text == profile.text:
        batch.decisions.duplicates += 1
        return
    batch.decisions.accepted += 1
    if known is None or known.occurred_at <= profile.occurred_at:
        batch.state.profiles[member] = batch.effects.profiles[member] = profile


def _tell(batch: Batch, received: Received) -> None:
    """Decide about each news that an event is, unless one of the same meaning was decided before."""
    known = batch.state.known
    news = news_of(batch.program, received.type, received.event)
    fresh = [one for one in news if one.key not in known]
    if news and not fresh:
        batch.decisions.duplicates += 1
        return
    batch.decisions.accepted += 1
    for one in fresh:
        known.add(one.key)
        _accept(batch, decide_news(batch.state, batch.program, one, batch.used))


#: Who decides about an event, by type.
DECISIONS: Mapping[str, Callable[[Batch, Received], None]] = {
    **dict.fromkeys(HEARD, _tell),
    profiles.UPDATED: _take_profile,
}


def _accept(batch: Batch, decision: Decision) -> None:
    """Keep a decision, and publish it if the member is told."""
    news, mark = decision.news, batch.mark
    identity = hashlib.blake2b(news.key.encode(), digest_size=16).hexdigest()
    batch.effects.decisions.append(decision)
    batch.effects.rows.append(
        NotificationRow(
            news.key,
            identity,
            mark.seq,
            news.member,
            news.kind,
            "suppressed" if decision.reason else "sent",
            decision.reason or "",
            decision.not_before,
            news.use_by,
            news.occurred_at,
            mark.recorded_at,
        )
    )
    if decision.rendered is None:
        return
    event: NotificationRequested = {
        "notification_id": identity,
        "dedupe_key": news.key,
        "member_id": news.member,
        "program_id": batch.program.program_id,
        "kind": news.kind,
        "channels": list(decision.channels),
        "locale": decision.locale,
        "template": decision.template,
        "parameters": news.parameters,
        "rendered": decision.rendered,
        "not_before": iso(decision.not_before),
        "use_by": iso(news.use_by),
        "occurred_at": iso(news.occurred_at),
    }
    headers = seal(
        event_id=identity,
        source=batch.source,
        event_type=notifications.REQUESTED,
        time=iso(mark.recorded_at),
        key=news.member,
    )
    batch.decisions.messages.append(
        Message(notifications.TOPIC, news.member.encode(), pydantic_core.to_json(event), headers)
    )
