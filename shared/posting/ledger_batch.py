"""A batch of a service that writes the ledger: what is known, what it led to so far, and what may be done. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from shared.instants import iso
from shared.ledger.book import Book
from shared.ledger.due import TimedEffect
from shared.ledger.model import Account
from shared.ledger.posting import Posting
from shared.posting.events import message
from shared.posting.timed_effects import announce
from shared.program.compiled.ladders import Ladders
from shared.program.compiled.program import Program
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Message, Received, Refusal
from shared.tier_status.lookup import TierLookup
from shared.tier_status.read import Loaded


@dataclass(slots=True)
class LedgerState:
    """What is known before a batch is decided. A worker loads what its batch needs; a rehearsal keeps everything.

    Attributes:
        accounts: Locked, by (member, wallet).
        programs: Every version, oldest first.
        standings: Tiers by account, where anything depends on them.
        ladders: The ladders of all versions, by wallet.
    """

    accounts: dict[tuple[str, str], Account]
    programs: Sequence[Program]
    standings: dict[int, Loaded] = field(default_factory=dict)
    ladders: Mapping[str, Ladders] = field(default_factory=dict)


@dataclass(slots=True)
class LedgerEffects:
    """What a batch, or a sweep, posts."""

    posting: Posting = field(default_factory=Posting)


State = TypeVar("State", bound=LedgerState)
Effects = TypeVar("Effects", bound=LedgerEffects)


class LedgerBatch(Generic[State, Effects]):
    """One batch, or one sweep, in the hands of the decisions about it.

    Attributes:
        state: What is known; changed in place.
        effects: What is to be written.
        decisions: What is to be published, refused and counted.
        mark: The batch's place in the history.
        book: The locked accounts.
        tiers: Of the members, as of what the batch has posted so far.
        newest: The newest version of the program.
        versions: All of them, by number.
    """

    __slots__ = (
        "_on_timed_effect",
        "_source",
        "_time",
        "_topic",
        "book",
        "decisions",
        "effects",
        "mark",
        "newest",
        "state",
        "tiers",
        "versions",
    )

    def __init__(
        self,
        state: State,
        effects: Effects,
        mark: Mark,
        source: str,
        topic: str,
        on_timed_effect: Callable[[TimedEffect], None] | None = None,
    ) -> None:
        """Begin.

        Args:
            state: What is known.
            effects: Empty.
            mark: The batch's place in the history.
            source: The ``source`` of outgoing events.
            topic: Where the service tells what it decides.
            on_timed_effect: Called with everything that time made happen, before it is announced.
        """
        self.state = state
        self.effects = effects
        self.decisions = Decisions(effects)
        self.mark = mark
        self.newest = state.programs[-1]
        self.versions: Mapping[int, Program] = {program.version: program for program in state.programs}
        self.book = Book(state.accounts, effects.posting, self.newest)
        self.tiers = TierLookup(state.standings, state.ladders, effects.posting)
        self._source = source
        self._topic = topic
        self._time = iso(mark.recorded_at)
        self._on_timed_effect = on_timed_effect

    def announce_timed_effects(self) -> None:
        """Tell what time made happen so far, before what is decided next."""
        timed_effects = self.book.timed_effects
        if timed_effects:
            if self._on_timed_effect is not None:
                for effect in timed_effects:
                    self._on_timed_effect(effect)
            self.decisions.messages.extend(announce(timed_effects, self.newest, self._source, self._time))
            timed_effects.clear()

    def expire_overdue(self, member: str) -> None:
        """Let expire at once what came so late that its time is over."""
        for wallet in self.newest.wallets:
            account = self.state.accounts.get((member, wallet))
            if account is not None and account.next_due <= account.as_of:
                self.book.apply_overdue(account)
        if self.book.timed_effects:
            self.announce_timed_effects()

    def send(self, event_type: str, event_id: str, member: str, data: Any, *more_headers: tuple[str, bytes]) -> Message:
        """Publish an event about a member, and return its message."""
        made = message(self._topic, event_type, event_id, self._source, self._time, member, data, *more_headers)
        self.decisions.messages.append(made)
        return made

    def accept(self, received: Received) -> None:
        """Count an event that had an effect, or a stored reason for having none."""
        decisions = self.decisions
        decisions.accepted += 1
        decisions.latest_at = max(decisions.latest_at, received.occurred_at)

    def refuse(self, received: Received, reason: str, detail: str) -> None:
        """Make a dead letter of an event of this batch."""
        self.decisions.refused.append(Refusal.of(received, reason, detail))
