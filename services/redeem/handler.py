"""Load, decide, store, for one batch of redemptions; and for the sweep of what is due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack
import pydantic_core

from services.redeem import redeeming, store
from services.redeem.redeeming import Answer, Redemption, Standing
from shared.contracts import redemptions, rewards
from shared.contracts.contract import Contract
from shared.contracts.envelope import seal
from shared.database.pool import Connection
from shared.errors import LoadAgain, Transient
from shared.instants import iso
from shared.ledger import store as ledger
from shared.ledger.book import Book
from shared.ledger.model import Account, Hold, Posting
from shared.program.compiled import Program, in_force
from shared.program.store import load_versions, newest_version
from shared.standings.following import Following
from shared.standings.read import Loaded
from shared.standings.read import load as load_standings
from shared.standings.state import Ladders, ladders_by_wallet
from shared.stream import metrics
from shared.stream.handler import Due, Mark
from shared.stream.lapses import announce
from shared.stream.packing import pack, unpack_messages
from shared.stream.records import Decisions, Message, Received, Refusal

SERVICE = "redeem"
_AUDITED = 2000


@dataclass(slots=True)
class State:
    """What a batch of redemptions must know before it decides.

    Attributes:
        accounts: Locked, with all their lots, by (member, wallet).
        programs: Every version, oldest first.
        redemptions: Those that the batch names, by key.
        had: How often members have rewards, by (member, reward).
        standings: Tiers by account, where the program has a ladder.
        ladders: The ladders of all versions, by wallet.
    """

    accounts: dict[tuple[str, str], Account]
    programs: Sequence[Program]
    redemptions: dict[bytes, Redemption] = field(default_factory=dict)
    had: dict[tuple[str, str], int] = field(default_factory=dict)
    standings: dict[int, Loaded] = field(default_factory=dict)
    ladders: dict[str, Ladders] = field(default_factory=dict)


@dataclass(slots=True)
class Effects:
    """What a batch, or a sweep, writes."""

    posting: Posting = field(default_factory=Posting)
    new: list[tuple[Redemption, int, int]] = field(default_factory=list)
    changed: dict[bytes, Redemption] = field(default_factory=dict)
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    lapsed: Counter[tuple[str, str]] = field(default_factory=Counter)


class RedeemHandler:
    """Turns points into rewards, and lets lapse what is due."""

    service = SERVICE
    contracts: Mapping[str, Contract] = redemptions.CONTRACTS
    private: frozenset[str] = frozenset()
    sweeps = True

    def __init__(self, source: str) -> None:
        """Make the handler; ``source`` is the ``source`` of the events that it publishes."""
        self._source = source
        self._programs: list[Program] = []
        self._ladders: dict[str, Ladders] = {}
        self._touched: set[int] = set()

    async def refresh(self, connection: Connection) -> None:
        """Read versions of the program that are newer than those we have."""
        after = self._programs[-1].version if self._programs else 0
        self._programs += [p for p in await load_versions(connection, after) if p.version > after]
        self._ladders = ladders_by_wallet(self._programs)

    async def load(self, connection: Connection, events: Sequence[Received]) -> State:
        """Lock the members' accounts, then read what is known (the order matters: design §4 step 3)."""
        await self._need_program(connection)
        wallets = self._wallets()
        members = list({received.event.member_id for received in events})
        locked = await ledger.lock_accounts(connection, members, wallets) if members else []
        if await newest_version(connection) > self._programs[-1].version:
            await self.refresh(connection)
            raise LoadAgain("a new version of the program", _nothing)
        state = State({(a.member, a.wallet): a for a in locked}, tuple(self._programs), ladders=self._ladders)
        await ledger.load_lots(connection, locked)
        state.redemptions = await store.load(connection, list({received.key for received in events}))
        state.had = await store.counts(connection, members)
        ladders = {program.ladder.wallet for program in self._programs if program.ladder is not None}
        state.standings = await load_standings(connection, [a.account for a in locked if a.wallet in ladders])
        return state

    async def _need_program(self, connection: Connection) -> None:
        if not self._programs:
            await self.refresh(connection)
            if not self._programs:
                raise Transient("no program is published; run `loyalty program publish FILE`")

    def decide(self, state: State, events: Sequence[Received], mark: Mark) -> Decisions:
        """Decide about events in offset order; pure but for the state, which belongs to this batch."""
        deciding = _Deciding(state, mark, self._source)
        for received in events:
            deciding.one(received)
        return deciding.decisions

    async def store(self, connection: Connection, decisions: Decisions, mark: Mark) -> None:
        """Write redemptions, entries, lots and accounts."""
        effects: Effects = decisions.effects
        await ledger.write(connection, effects.posting, mark.recorded_at)
        await store.write(connection, effects.new, list(effects.changed.values()))

    async def load_due(self, connection: Connection, due: Due) -> State | None:
        """Lock accounts that have something due."""
        await self._need_program(connection)
        locked = await ledger.lock_due(connection, due.horizon, due.shards, due.shard, due.limit)
        if not locked:
            return None
        await ledger.load_lots(connection, locked)
        if await newest_version(connection) > self._programs[-1].version:
            await self.refresh(connection)
        return State({(a.member, a.wallet): a for a in locked}, tuple(self._programs))

    def decide_due(self, state: State, due: Due, mark: Mark) -> Decisions:
        """Apply what is due; ``facts`` are the accounts and up to when."""
        deciding = _Deciding(state, mark, self._source)
        deciding.apply_due(due.horizon)
        swept = [[member, wallet] for member, wallet in state.accounts]
        deciding.decisions.facts = msgpack.packb({"swept": swept, "horizon": due.horizon})
        return deciding.decisions

    def touched(self) -> list[int]:
        """Return (once) accounts that were written lately, for the running audit."""
        touched, self._touched = sorted(self._touched)[:_AUDITED], set()
        return touched

    def count(self, decisions: Decisions) -> None:
        """Count answers and lapses; remember some accounts for the running audit."""
        effects: Effects = decisions.effects
        if len(self._touched) < _AUDITED:
            self._touched.update(effects.posting.accounts)
        for (state, reason), number in effects.answered.items():
            metrics.REDEMPTIONS.labels(state, reason).inc(number)
        for (wallet, what), points in effects.lapsed.items():
            metrics.POINTS_DUE.labels(wallet, what).inc(points)

    def _wallets(self) -> list[str]:
        return sorted({wallet for program in self._programs for wallet in program.wallets})


class _Deciding:
    """The decisions about one batch or one sweep."""

    def __init__(self, state: State, mark: Mark, source: str) -> None:
        self.effects = Effects()
        self.decisions = Decisions(self.effects)
        self._state = state
        self._mark = mark
        self._source = source
        self._newest = state.programs[-1]
        self._book = Book(state.accounts, self.effects.posting, self._newest)
        self._tiers = Following(state.standings, state.ladders, self.effects.posting)
        self._time = iso(mark.recorded_at)

    def apply_due(self, horizon: int) -> None:
        """Apply what is due to every account of the state."""
        for account in self._state.accounts.values():
            self._book.apply_due(account, horizon)
        self._announce_lapses()

    def one(self, received: Received) -> None:
        """Decide about one event."""
        redemption = self._state.redemptions.get(received.key)
        if received.type == redemptions.REQUESTED:
            if redemption is None:
                self._request(received)
            elif redemption.content_hash != received.content_hash:
                self._refuse(received, "conflict", f"redemption {redemption.redemption_id} of {received.source} "
                             "was asked for with other content; nothing was changed")  # fmt: skip
            else:
                self._repeat(redemption, redeeming.REQUEST)
            return
        if redemption is None:
            self._refuse(received, "unknown-redemption", f"no redemption {received.event.redemption_id!r} of "
                         f"{received.source} was asked for; send the request first")  # fmt: skip
        elif redemption.member != received.event.member_id:
            self._refuse(received, "other-member", f"redemption {redemption.redemption_id} is not of this member")
        else:
            self._settle(received, redemption)

    def _request(self, received: Received) -> None:
        event = received.event
        program = in_force(self._state.programs, event.occurred_at)
        reward = program.rewards.get(event.reward) if program else None
        wallet = reward.wallet if reward is not None else redeeming.wallet_shown(self._newest)
        self._bring_to(event.member_id, wallet, received.occurred_at)
        redemption, answer = redeeming.request(
            event, key=received.key, content_hash=received.content_hash, source=received.source,
            occurred_at=received.occurred_at, program=program, newest=self._newest,
            standing=self._standing(program, received), had=self._state.had, book=self._book,
        )  # fmt: skip
        self._state.redemptions[received.key] = redemption
        self.effects.new.append((redemption, self._mark.seq, received.position))
        self._count(redemption, 1)
        self._accept(received, redemption, redeeming.REQUEST, answer)

    def _settle(self, received: Received, redemption: Redemption) -> None:
        asked = redeeming.CONFIRM if received.type == redemptions.CONFIRMED else redeeming.CANCEL
        if asked in redemption.answers:
            self._repeat(redemption, asked)
            return
        if redemption.state == "rejected" or (asked == redeeming.CONFIRM and redemption.state == "redeemed"):
            self._repeat(redemption, redeeming.REQUEST)
            return
        self._bring_to(redemption.member, redemption.wallet, received.occurred_at)
        counted = redemption.counts
        if asked == redeeming.CONFIRM and redemption.state != "refunded":
            answer = redeeming.confirm(
                redemption, occurred_at=received.occurred_at, program=self._newest,
                standing=self._standing(self._newest, received), had=self._state.had, book=self._book,
            )  # fmt: skip
        elif asked == redeeming.CONFIRM:
            self._repeat(redemption, redeeming.CANCEL)
            return
        else:
            answer = redeeming.cancel(
                redemption, occurred_at=received.occurred_at, program=self._newest, book=self._book
            )
        self._count(redemption, redemption.counts - counted)
        self._accept(received, redemption, asked, answer)
        self.effects.changed[redemption.key] = redemption

    def _bring_to(self, member: str, wallet: str, instant: int) -> None:
        """Apply what is due first: a hold that times out changes what is possible."""
        self._book.bring_to(self._state.accounts[member, wallet], instant)
        self._announce_lapses()

    def _count(self, redemption: Redemption, change: int) -> None:
        key = (redemption.member, redemption.reward)
        if redemption.counts or change < 0:
            self._state.had[key] = self._state.had.get(key, 0) + change

    def _standing(self, program: Program | None, received: Received) -> Standing:
        if program is None or program.ladder is None:
            return Standing(None, 0)
        account = self._state.accounts[received.event.member_id, program.ladder.wallet]
        number = self._tiers.number_at(account, program.ladder, received.occurred_at)
        return Standing(program.ladder.tiers[number].tier, number)

    def _accept(self, received: Received, redemption: Redemption, asked: str, answer: Answer) -> None:
        self._announce_lapses()
        headers = [
            *seal(event_id=answer.id, source=self._source, event_type=answer.type, time=self._time,
                  key=redemption.member),
            ("ce_correlationid", redemption.redemption_id.encode()),
        ]  # fmt: skip
        message = Message(rewards.TOPIC, redemption.member.encode(), pydantic_core.to_json(answer.data), headers)
        redemption.answers[asked] = pack([message])
        self.decisions.messages.append(message)
        self.decisions.accepted += 1
        self.decisions.latest_at = max(self.decisions.latest_at, received.occurred_at)
        self.effects.answered[answer.data["state"], answer.data["reason"] or ""] += 1

    def _repeat(self, redemption: Redemption, asked: str) -> None:
        """Say again, word for word, what was said."""
        self.decisions.messages.extend(unpack_messages(redemption.answers[asked]))
        self.decisions.duplicates += 1

    def _announce_lapses(self) -> None:
        if self._book.lapses:
            for lapse in self._book.lapses:
                self.effects.lapsed[lapse.account.wallet, lapse.what] += lapse.points
                if lapse.hold is not None:
                    self._note_time_out(lapse.account.member, lapse.hold, lapse.instant)
            self.decisions.messages.extend(announce(self._book.lapses, self._newest, self._source, self._time))
            self._book.lapses.clear()

    def _note_time_out(self, member: str, hold: Hold, instant: int) -> None:
        key = (member, hold.reward)
        self._state.had[key] = self._state.had.get(key, 0) - 1
        redemption = self._state.redemptions.get(hold.key)
        if redemption is not None:
            time_out(redemption, instant)

    def _refuse(self, received: Received, reason: str, detail: str) -> None:
        self.decisions.refused.append(Refusal.of(received, reason, detail))


def time_out(redemption: Redemption, instant: int) -> None:
    """Note that a hold was released because nobody confirmed it in time."""
    redemption.state, redemption.reason, redemption.settled_at = "released", "timed-out", instant


async def _nothing(_connection: Any) -> None:
    """Loading again is all that is needed."""
