"""Load, decide, store, for one batch of our own events or of profiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import prometheus_client

from services.notify import processor, store
from services.notify.consumed_events import HEARD
from services.notify.state import Effects, State
from services.notify.triggers import news_of
from shared.contracts import profiles
from shared.contracts.catalogue import PRIVATE_TOPICS, contracts_of
from shared.contracts.contract import Contract
from shared.database.pool import Connection
from shared.logs import logger
from shared.program.cache import Programs
from shared.runtime.clock import horizon
from shared.runtime.handler import Due, Mark
from shared.runtime.records import Decisions, Received
from shared.settings import Clock

SERVICE: Final = "notify"
NOTIFICATIONS = prometheus_client.Counter(
    "loyalty_notifications", "News decided: sent, or suppressed for a reason", ["kind", "state", "reason"]
)
_log = logger(__name__)


class NotifyHandler:
    """Decides who must hear what, when, once.

    An event and its member's profile come on different topics. A profile that comes after the event is too late for
    it: the decision is ``no-profile``, and it stays. What a program does not tell at all leaves no decision, so that
    the table does not grow with every purchase.
    """

    service = SERVICE
    contracts: Mapping[str, Contract] = contracts_of(SERVICE, HEARD.__getitem__)
    contested = frozenset({"notification_pkey"})
    private = PRIVATE_TOPICS
    answers = False
    sweeps = False

    def __init__(self, source: str, clock: Clock) -> None:
        """Make the handler.

        Args:
            source: The ``source`` of the events that it publishes.
            clock: Which clock says that news is too late.
        """
        self._source = source
        self._clock = clock
        self._programs = Programs()

    async def refresh(self, connection: Connection) -> None:
        """Read versions of the program that are newer than those we have."""
        await self._programs.refresh(connection)

    async def load(self, connection: Connection, events: Sequence[Received]) -> State:
        """Lock the members that there is something to decide about, then read what is known of them."""
        # Nobody can publish meanwhile: that takes the lock of our watermark.
        await self._programs.catch_up(connection)
        await self._programs.need(connection)
        programs = self._programs.versions
        heard = [received for received in events if received.type != profiles.UPDATED]
        news = [one for received in heard for one in news_of(programs[-1], received.type, received.event)]
        members = {one.member for one in news} | {r.event.member_id for r in events if r.type == profiles.UPDATED}
        await store.lock_members(connection, sorted(members))
        now, _recorded_at = await horizon(connection, self._clock, 0)
        state = State(programs, now)
        if members:
            state.profiles = await store.read_profiles(connection, list(members))
        if news:
            state.known = await store.known_keys(connection, [one.key for one in news])
            fresh = [one for one in news if one.key not in state.known]
            state.gone = await store.causes_gone(connection, fresh, programs[-1])
        return state

    def decide(self, state: State, events: Sequence[Received], mark: Mark) -> Decisions[Effects]:
        """Decide about events in offset order; pure but for the state, to which what is decided is added."""
        return processor.process(state, events, mark, self._source)

    def replay(self, state: State, events: Sequence[Received], facts: bytes, mark: Mark) -> Decisions[Effects]:
        """Decide with what was known of members then: nothing of that is in the archive but the facts."""
        state.recall(facts)
        return self.decide(state, events, mark)

    async def store(self, connection: Connection, decisions: Decisions[Effects], mark: Mark) -> None:
        """Write notifications and profiles."""
        effects = decisions.effects
        await store.add_notifications(connection, effects.rows)
        await store.keep_profiles(connection, effects.profiles, mark.recorded_at)

    async def anything_due(self, connection: Connection, due: Due) -> bool:  # noqa: ARG002 - as below
        """Return False."""
        return False

    async def load_due(self, connection: Connection, due: Due) -> None:  # noqa: ARG002 - time makes nothing happen
        """Return None: whoever makes time pass in the ledger publishes an event about it."""
        return

    def decide_due(self, state: State, due: Due, mark: Mark) -> Decisions[Effects]:  # noqa: ARG002 - as above
        """Decide nothing."""
        return Decisions(Effects())

    def replay_sweep(self, state: State, due: Due, facts: bytes, mark: Mark) -> Decisions[Effects]:  # noqa: ARG002
        """Decide nothing."""
        return Decisions(Effects())

    def touched(self) -> list[int]:
        """Return no accounts: notify writes none."""
        return []

    async def audit(self, connection: Connection, accounts: list[int]) -> list[str]:  # noqa: ARG002 - nothing to check
        """Return nothing: notify writes no ledger."""
        return []

    def count(self, decisions: Decisions[Effects]) -> None:
        """Count what was decided, and log templates that failed; neither shows who it was about."""
        effects = decisions.effects
        counted = Counter((one.news.kind, one.reason) for one in effects.decisions)
        for (kind, reason), number in counted.items():
            NOTIFICATIONS.labels(kind, "suppressed" if reason else "sent", reason or "").inc(number)
        for (template, error), number in Counter(one.failed for one in effects.decisions if one.failed).items():
            _log.error("a template failed; nobody was told", template=template, error=error, notifications=number)
