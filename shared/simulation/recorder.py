"""Plays events in memory through all four services, in the order of a file, with everything due at its own instant."""

from __future__ import annotations

from typing import NamedTuple

from services.earn import handler as earn
from services.earn.rating.awards import Verdict
from services.earn.state import Referral
from services.notify import handler as notify
from services.redeem import handler as redeem
from services.tiers import handler as tiers
from services.tiers.state import Effects as TierEffects
from shared.contracts.catalogue import EVENTS
from shared.errors import InvariantBroken
from shared.instants import BEGINNING, NEVER
from shared.ledger.model import TIME, Entry
from shared.posting.ledger_batch import LedgerEffects
from shared.queries.views.of_members import CauseView
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Received, Record, Refusal
from shared.simulation.events_file import RECORD_BYTES, Line
from shared.simulation.simulator import Rehearsal

#: The year 9000, in microseconds: whatever a file says happened, it is not in the future.
_JUDGED_AT = 221_845_392_000_000_000
#: The topics of what our own services say to each other.
_HEARD = frozenset(event.topic for event in EVENTS.values() if event.readers and event.contract is None)


class Explained(NamedTuple):
    """What an event led to, and why.

    Attributes:
        outcome: ``accepted``, ``duplicate``, or why it was refused.
        posted: The entries that it caused, of all members.
        verdicts: Of a purchase: what became of each rule.
    """

    number: int
    received: Received
    outcome: str
    posted: list[Entry]
    verdicts: list[Verdict]


class Play:
    """One run of a program over events.

    Attributes:
        rehearsal: The deployment in memory.
        now: How far time has come.
        explained: Every event in order, if asked for.
        names: What stands behind the causes of entries.
        referrals: Every registration, also a refused one.
        refused: (line, refusal), in order.
    """

    def __init__(self, text: str, templates: dict[str, str], *, explain: bool = False) -> None:
        """Begin with an empty ledger under a program without mistakes; ``explain`` fills ``explained``."""
        self.rehearsal = Rehearsal(record_bytes=RECORD_BYTES, explain=explain)
        self.explained: list[Explained] = []
        self.rehearsal.publish(text, templates)
        self.now = BEGINNING
        self.names: dict[bytes, CauseView] = {TIME: CauseView("time")}
        self.referrals: list[Referral] = []
        self.refused: list[tuple[int, Refusal]] = []
        self.events = self.accepted = self.duplicates = 0
        self._seq = 0
        #: Nothing is due before; something may be due then.
        self._quiet_until = NEVER

    def play(self, line: Line) -> None:
        """Let time come to an event, if it is not late, and handle it."""
        self.events += 1
        received = line.received
        if received is None:
            self.refused += [(line.number, refusal) for refusal in line.refused]
            return
        if received.occurred_at <= _JUDGED_AT:  # else it is refused, and time stands still
            self.advance(received.occurred_at)
        field = EVENTS[received.type].name_field
        if field is not None:
            kind = EVENTS[received.type].word
            self.names.setdefault(received.key, CauseView(kind, getattr(received.event, field), received.source))
        posted_before = len(self.rehearsal.entries)
        mark = self._mark(received.occurred_at)
        decisions = self.rehearsal.batch([line.record], mark, line.service, (line.topic, 0, 0))
        self.accepted += decisions.accepted
        self.duplicates += decisions.duplicates
        self.refused += [(line.number, refusal) for refusal in decisions.refused]
        for refusal in decisions.refused_later:
            # A return that came before its order, and does not fit it: its offset is the line where it stands.
            assert refusal.origin is not None, "it was received before"
            self.refused.append((refusal.origin.record.offset, refusal))
        if line.service == earn.SERVICE:
            self.referrals += [referral for referral, _seq, _position in decisions.effects.registered]
        self._hand_on(decisions)
        if self.rehearsal.verdicts is not None:
            posted = [entry for entry in self.rehearsal.entries[posted_before:] if entry.cause == received.key]
            verdicts = self.rehearsal.verdicts.get(received.key, [])
            self.explained.append(Explained(line.number, received, _outcome(decisions), posted, verdicts))

    def advance(self, until: int) -> None:
        """Let time come to an instant: what is due on the way happens when it is due, as where sweeps always run."""
        until = max(until, self.now)  # time does not go back for a late event
        while self._quiet_until <= until:
            due = self._next_due()
            if due <= until:
                self.now = max(self.now, due)
                for service in (redeem.SERVICE, tiers.SERVICE):
                    self._hand_on(self.rehearsal.sweep(service, self.now, self._mark(self.now)))
                if self._next_due() <= due:
                    raise InvariantBroken("something stays due, however often it is swept")
            self._quiet_until = self._next_due()
        self.now = until

    def finish(self, until: int) -> None:
        """Let time come to the end, and tiers treat everything once more."""
        self.advance(until)
        self._hand_on(self.rehearsal.sweep(tiers.SERVICE, self.now, self._mark(self.now)))

    def _next_due(self) -> int:
        state = self.rehearsal.tiers_state
        assert state is not None, "a program is published"
        accounts = [account.next_due for account in self.rehearsal.accounts.values()]
        # Before its first treatment a standing is due in any case; there is nothing yet that could happen to it.
        standings = [one.next_due for one in state.standings.values() if one.next_due > BEGINNING]
        return min([NEVER, *accounts, *standings])

    def _hand_on(self, decisions: Decisions) -> None:
        """Give a service's events to those that hear them, and note what is due because of its decisions."""
        effects = decisions.effects
        if isinstance(effects, TierEffects):
            moved: list[int] = [treated.standing.next_due for treated in effects.treated]
        elif isinstance(effects, LedgerEffects):
            moved = [account.next_due for account in effects.posting.accounts.values()]
        else:
            return  # nobody here hears what notify says
        self._quiet_until = min([self._quiet_until, *moved])
        heard = [
            Record(offset, 0, message.key, message.value, tuple(message.headers))
            for offset, message in enumerate(decisions.messages)
            if message.topic in _HEARD
        ]
        if not heard:
            return
        if not isinstance(effects, TierEffects):
            self._hand_on(self.rehearsal.batch(heard, self._mark(self.now), tiers.SERVICE))
        self.rehearsal.notify_state.now = self.now
        self.rehearsal.batch(heard, self._mark(self.now), notify.SERVICE)

    def _mark(self, recorded_at: int) -> Mark:
        self._seq += 1
        return Mark(self._seq, recorded_at, _JUDGED_AT)


def _outcome(decisions: Decisions) -> str:
    if decisions.refused:
        return f"refused ({decisions.refused[0].reason}): {decisions.refused[0].detail}"
    return "duplicate" if decisions.duplicates else "accepted"
