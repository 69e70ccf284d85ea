"""Runs a program in memory over events: the same decode and decide as in the workers, no database, no Kafka.

One state is kept for ever, where a worker loads what a batch needs; the decisions cannot tell the difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.earn import handler as earn
from services.earn import state as earn_state
from services.earn.rating.awards import Verdict
from services.earn.state import Referral
from services.notify import handler as notify
from services.notify import state as notify_state
from services.redeem import handler as redeem
from services.redeem import processor as redeem_deciding
from services.redeem import state as redeem_state
from services.tiers import handler as tiers
from services.tiers import state as tiers_state
from services.tiers.tier_events import TierStatus
from shared.contracts import referrals
from shared.instants import BEGINNING
from shared.ledger.model import Account, Entry
from shared.ledger.posting import Posting
from shared.posting.ledger_batch import LedgerEffects, LedgerState
from shared.program.compiled.ladders import ladders_by_wallet
from shared.program.compiled.program import Program, compile_program
from shared.program.language.loader import load
from shared.runtime.batch.decode import decode, refuse_future
from shared.runtime.handler import Due, Handler, Mark
from shared.runtime.records import Decisions, Received, Record
from shared.settings import Clock
from shared.tier_status.lookup import append_entries
from shared.tier_status.read import Loaded, tier_input
from shared.tier_status.state import Change


class Rehearsal:
    """A deployment in memory.

    Attributes:
        entries: Everything posted, in order.
        accounts: By (member, wallet); their numbers are the rehearsal's own.
        tier_changes: What tiers announced and keeps: (member, number in the history, change).
        notifications: What notify decided, in order.
        referrals: Every registration by key, also a refused one.
        verdicts: What became of each rule, by the order's key, if asked for.
    """

    def __init__(
        self, programs: Sequence[Program] = (), record_bytes: int = 1_000_000, *, explain: bool = False
    ) -> None:
        """Make an empty ledger under some versions of a program; ``explain`` fills ``verdicts``."""
        self.programs: list[Program] = []
        self.entries: list[Entry] = []
        self.accounts: dict[tuple[str, str], Account] = {}
        self.tier_changes: list[tuple[str, int, Change]] = []
        self.notifications: list[notify_state.Decision] = []
        self.referrals: dict[bytes, Referral] = {}
        self.earn_state = earn_state.State(self.accounts, self.programs)
        self.redeem_state = redeem_state.State(self.accounts, self.programs)
        self.redeem_state.standings = self.earn_state.standings
        self.notify_state = notify_state.State(self.programs, BEGINNING)
        self.tiers_state: tiers_state.State | None = None
        rating = earn.EarnHandler("/loyalty/rehearsal/earn")
        self.verdicts: dict[bytes, list[Verdict]] | None = {} if explain else None
        rating.verdicts = self.verdicts
        handlers: tuple[Handler, ...] = (
            rating,
            redeem.RedeemHandler("/loyalty/rehearsal/redeem"),
            tiers.TiersHandler("/loyalty/rehearsal/tiers"),
            notify.NotifyHandler("/loyalty/rehearsal/notify", Clock.MANUAL),
        )
        self._handlers: dict[str, Handler] = {handler.service: handler for handler in handlers}
        self._record_bytes = record_bytes
        for program in programs:
            self._add(program)

    def publish(self, text: str, templates: Mapping[str, str] | None = None) -> None:
        """Add the next version of the program."""
        self._add(compile_program(load(text), len(self.programs) + 1, templates))

    def _add(self, program: Program) -> None:
        self.programs.append(program)
        self.earn_state.ladders = self.redeem_state.ladders = ladders_by_wallet(self.programs)
        known = self.tiers_state.standings if self.tiers_state else {}
        self.tiers_state = tiers_state.State.under(self.programs, list(known.values()))
        self._make_accounts({member for member, _wallet in self.accounts})

    def batch(
        self,
        records: Sequence[Record],
        mark: Mark,
        service: str = earn.SERVICE,
        place: tuple[str, int, int] = ("purchases", 0, 0),
        facts: bytes | None = None,
    ) -> Decisions:
        """Handle records as one batch of a service.

        Args:
            records: In offset order.
            mark: The batch's place in the history.
            service: Who handles it.
            place: Topic (short name), partition and epoch.
            facts: What the worker knew beside the records, from the archive; None if this is no replay.
        """
        handler = self._handlers[service]
        decoded = decode(records, handler.contracts, self._record_bytes, place, handler.private)
        events, from_the_future = refuse_future(decoded.events, mark.judged_at)
        state = self._state(service)
        if isinstance(state, LedgerState):
            self._prepare(decoded.events)
        decisions = handler.decide(state, events, mark) if facts is None else handler.replay(state, events, facts, mark)
        decisions.refused = [*decoded.refused, *from_the_future, *decisions.refused]
        self._keep(decisions.effects)
        return decisions

    def sweep(self, service: str, horizon: int, mark: Mark, facts: bytes | None = None) -> Decisions:
        """Do what a sweep did.

        Args:
            service: Whose sweep.
            horizon: Up to when.
            mark: The sweep's place in the history.
            facts: What it treated, from the archive; None: everything that is due.
        """
        handler, state = self._handlers[service], self._state(service)
        due = Due(horizon, mark.recorded_at, 0, 1, 0)
        if facts is None:
            decisions = handler.decide_due(state, due, mark)
        else:
            decisions = handler.replay_sweep(state, due, facts, mark)
        self._keep(decisions.effects)
        return decisions

    def _state(self, service: str) -> Any:
        states = {
            earn.SERVICE: self.earn_state,
            redeem.SERVICE: self.redeem_state,
            tiers.SERVICE: self.tiers_state,
            notify.SERVICE: self.notify_state,
        }
        assert self.tiers_state is not None, "a program is published first"
        return states[service]

    def _prepare(self, events: Sequence[Received]) -> None:
        """Make accounts and lists of what a worker would make or load."""
        members = {received.event.member_id for received in events}
        for member in members:
            self.earn_state.bought.setdefault(member, [])
        members |= {received.event.referrer_id for received in events if received.type == referrals.REGISTERED}
        self._make_accounts(members)

    def _make_accounts(self, members: Iterable[str]) -> None:
        wallets = {wallet for program in self.programs for wallet in program.wallets}
        for member in sorted(members):
            for wallet in sorted(wallets):
                key = (member, wallet)
                if key not in self.accounts:
                    self.accounts[key] = Account(_number(member, wallet), member, wallet)
                number = self.accounts[key].account
                if wallet in self.earn_state.ladders and number not in self.earn_state.standings:
                    self._begin_standing(key, number)

    def _begin_standing(self, key: tuple[str, str], number: int) -> None:
        assert self.tiers_state is not None, "a ladder came with a program"
        # A new account has no entries; one that is there already gets a standing when a version brings a ladder.
        posted = self.entries if self.accounts[key].version else ()
        steps = [tier_input(entry) for entry in posted if entry.account == number]
        self.earn_state.standings[number] = Loaded(inputs=list(steps))
        self.tiers_state.standings[key] = TierStatus(number, *key, inputs=list(steps))

    def _keep(self, effects: object) -> None:
        """Keep what a worker would write, and show one service what another one wrote."""
        if isinstance(effects, LedgerEffects):
            self._post(effects.posting)
        if isinstance(effects, earn_state.Effects):
            self.referrals |= {referral.key: referral for referral, _, _ in effects.registered}
        if isinstance(effects, tiers_state.Effects):
            self.tier_changes += [
                (treated.standing.member, number, change)
                for treated in effects.treated
                for number, change in treated.news
                if number
            ]
        if isinstance(effects, notify_state.Effects):
            self.notifications += effects.decisions

    def _post(self, posting: Posting) -> None:
        self.entries.extend(posting.entries)
        append_entries(self.earn_state.standings, posting.entries)
        assert self.tiers_state is not None, "a program is published first"
        for entry in posting.entries:
            account = posting.accounts[entry.account]
            standing = self.tiers_state.standings.get((account.member, account.wallet))
            if standing is not None:
                standing.inputs.append(tier_input(entry))
        for key, instant in posting.timed_out.items():
            redemption = self.redeem_state.redemptions[key]
            if redemption.state == "reserved":
                redeem_deciding.time_out(redemption, instant)
                self.redeem_state.had[redemption.member, redemption.reward] -= 1


def _number(member: str, wallet: str) -> int:
    """Return an account number that does not depend on the order in which members came."""
    return int.from_bytes(hashlib.blake2b(f"{member}\x00{wallet}".encode(), digest_size=8).digest()) >> 1
