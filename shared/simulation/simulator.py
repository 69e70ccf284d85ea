"""Runs a program in memory over events: the same decode and decide as in the workers, no database, no Kafka.

One state is kept for ever, where a worker loads what a batch needs; the decisions cannot tell the difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgpack

from services.earn import handler as earn
from services.earn import state as earn_state
from services.earn.awards import Verdict
from services.earn.referring import Referral
from services.notify import handler as notify
from services.notify import processor as notify_state
from services.redeem import handler as redeem
from services.redeem import processor as redeem_deciding
from services.redeem import state as redeem_state
from services.tiers import handler as tiers
from services.tiers.tier_events import TierStatus
from shared.contracts import referrals
from shared.instants import BEGINNING
from shared.ledger.model import Account, Entry
from shared.ledger.posting import Posting
from shared.program.compiled.ladders import ladders_by_wallet
from shared.program.compiled.program import Program, compile_program
from shared.program.language.loader import load
from shared.runtime.decode import decode, refuse_future
from shared.runtime.handler import Due, Mark
from shared.runtime.records import Decisions, Received, Record
from shared.settings import Clock
from shared.tier_status.lookup import append_entries
from shared.tier_status.read import Loaded, tier_input
from shared.tier_status.state import Change

SERVICES = (earn.SERVICE, redeem.SERVICE, tiers.SERVICE, notify.SERVICE)


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
        self.tiers_state: tiers.State | None = None
        rating = earn.EarnHandler("/loyalty/rehearsal/earn")
        self.verdicts: dict[bytes, list[Verdict]] | None = {} if explain else None
        rating.verdicts = self.verdicts
        self._handlers: dict[str, Any] = {
            earn.SERVICE: rating,
            redeem.SERVICE: redeem.RedeemHandler("/loyalty/rehearsal/redeem"),
            tiers.SERVICE: tiers.TiersHandler("/loyalty/rehearsal/tiers"),
            notify.SERVICE: notify.NotifyHandler("/loyalty/rehearsal/notify", Clock.MANUAL),
        }
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
        self.tiers_state = tiers.State.under(self.programs, list(known.values()))
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
        if service == tiers.SERVICE and facts is not None:
            return self._tiers(lambda state: handler.replay(state, facts, mark))
        decoded = decode(records, handler.contracts, self._record_bytes, place, handler.private)
        events, from_the_future = refuse_future(decoded.events, mark.judged_at)
        if service == tiers.SERVICE:
            return self._tiers(lambda state: handler.decide(state, events, mark))
        if service == notify.SERVICE:
            if facts is not None:
                self.notify_state.recall(facts)
            decisions: Decisions = handler.decide(self.notify_state, events, mark)
            self.notifications.extend(decisions.effects.decisions)
            return decisions
        self._prepare(decoded.events)
        state = self.earn_state if service == earn.SERVICE else self.redeem_state
        decisions = handler.decide(state, events, mark)
        if service == earn.SERVICE:
            self.referrals |= {referral.key: referral for referral, _, _ in decisions.effects.registered}
        decisions.refused = [*decoded.refused, *from_the_future, *decisions.refused]
        self._keep(decisions.effects.posting)
        return decisions

    def sweep(self, service: str, horizon: int, mark: Mark, facts: bytes | None = None) -> Decisions:
        """Do what a sweep did.

        Args:
            service: Whose sweep.
            horizon: Up to when.
            mark: The sweep's place in the history.
            facts: What it treated, from the archive; None: everything that is due.
        """
        handler = self._handlers[service]
        due = Due(horizon, mark.recorded_at, 0, 1, 0)
        if service == tiers.SERVICE:
            if facts is None:
                return self._tiers(lambda state: handler.decide_due(state, due, mark))
            return self._tiers(lambda state: handler.replay(state, facts, mark))
        told: dict[str, Any] = {"swept": list(self.accounts), "given_up": []}
        if facts is not None:
            told |= msgpack.unpackb(facts)
        if service == redeem.SERVICE:
            swept = {(member, wallet): self.accounts[member, wallet] for member, wallet in told["swept"]}
            known = self.redeem_state
            state: Any = redeem_state.State(swept, self.programs, redemptions=known.redemptions, had=known.had)
        else:
            parked = self._given_up(told["given_up"])
            state = earn_state.State(
                self.accounts,
                self.programs,
                known=self.earn_state.known,
                parked=parked,
                waiting=self.earn_state.waiting,
            )
        decisions: Decisions = handler.decide_due(state, due, mark)
        self._keep(decisions.effects.posting)
        return decisions

    def _tiers(self, decide: Any) -> Decisions:
        assert self.tiers_state is not None, "a program is published first"
        decisions: Decisions = decide(self.tiers_state)
        for treated in decisions.effects.treated:
            for number, change in treated.news:
                if number:
                    self.tier_changes.append((treated.standing.member, number, change))
        return decisions

    def _given_up(self, keys: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[earn_state.Parked]]:
        found: dict[bytes, list[earn_state.Parked]] = {}
        for order_key, key in keys:
            waiting = self.earn_state.parked[order_key]
            found.setdefault(order_key, []).extend(one for one in waiting if one.received.key == key)
            self.earn_state.parked[order_key] = [one for one in waiting if one.received.key != key]
        return found

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

    def _keep(self, posting: Posting) -> None:
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
