"""Load, decide, store, for one batch of purchases, returns, fulfilments and referrals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgpack

from services.earn.known_lots import lots_are_known, lots_by_member
from services.earn.parking import CHANGES, give_up
from services.earn.processor import process
from services.earn.rating.awards import Verdict
from services.earn.state import Batch, Effects, Parked, State
from services.earn.store import batch as store
from services.earn.store import parked as store_parked
from services.earn.store import referrals as store_referrals
from services.earn.store.tallies import load_budgets, load_tallies
from services.earn.tallies import order_key, tallies_of
from shared.contracts import members as told
from shared.contracts import points, purchases, referrals
from shared.contracts.catalogue import EVENTS, contracts_of
from shared.contracts.contract import Contract
from shared.database.pool import Connection
from shared.errors import LoadAgain
from shared.instants import BEGINNING
from shared.ledger import store as ledger
from shared.ledger.due_lots import load_due
from shared.ledger.model import Account
from shared.posting.ledger_handler import LedgerHandler
from shared.runtime import metrics
from shared.runtime.handler import Due, Mark
from shared.runtime.records import Decisions, Received
from shared.tier_status.read import load as load_standings

SERVICE: Final = "earn"
_ABOUT_A_MEMBER = frozenset(event.type for event in EVENTS.values() if event.topic == told.TOPIC)


class EarnHandler(LedgerHandler[State, Effects]):
    """Turns purchases into points, takes them back for returns, and rewards referrals."""

    service = SERVICE
    contracts: Mapping[str, Contract] = contracts_of(SERVICE)
    contested = frozenset({"purchase_pkey", "accepted_key_pkey", "referral_friend"})

    def __init__(self, source: str, parked_seconds: float = 7 * 86_400) -> None:
        """Make the handler.

        Args:
            source: The ``source`` of the events that it publishes.
            parked_seconds: How long a return waits for its order.
        """
        super().__init__(source)
        #: Filled, if set, with what became of each rule, by the order's key: a rehearsal can be asked why.
        self.verdicts: dict[bytes, list[Verdict]] | None = None
        self._parked = round(parked_seconds * 1_000_000)

    async def load(self, connection: Connection, events: Sequence[Received]) -> State:
        """Lock the members' accounts, then read what is known: docs/how-it-works.md says why in this order."""
        programs = self._programs
        await programs.need(connection)
        members = {received.event.member_id for received in events}
        registrations = [received.event for received in events if received.type == referrals.REGISTERED]
        pays_referrals = any(program.referral for program in programs.versions)
        links = await store_referrals.links(connection, list(members)) if pays_referrals and members else {}
        touched = members | {event.referrer_id for event in registrations} | set(links.values())
        locked = await ledger.lock_accounts(connection, list(touched), programs.wallets) if touched else []
        await programs.stay(connection)
        state = State({(a.member, a.wallet): a for a in locked}, programs.versions, ladders=programs.ladders)
        await self._load_known(connection, state, events)
        if registrations:
            await self._load_registrations(connection, state, registrations)
        if pays_referrals:
            await self._load_referrals(connection, state, members, touched)
        await self._load_lots(connection, state, events)
        await self._load_standings(connection, state, locked)
        asked = any(program.book.asks_members for program in programs.versions)
        if members and (asked or any(received.type in _ABOUT_A_MEMBER for received in events)):
            state.members, state.told_at = await store.load_members(connection, list(touched))
        await self._load_tallies(connection, state, events)
        return state

    async def _load_known(self, connection: Connection, state: State, events: Sequence[Received]) -> None:
        bought = [received.key for received in events if received.type == purchases.COMPLETED]
        others = [received for received in events if received.type != purchases.COMPLETED]
        state.known = await store.known_keys(connection, bought, [received.key for received in others])
        if bought:
            state.parked = await store_parked.load_parked(connection, self.contracts, bought)
        named = {order_key(received) for received in others if received.type in CHANGES}
        if named:
            state.orders = await store.load_orders(connection, list(named))
            missing = [key for key in named if key not in state.orders]
            state.waiting.update(await store_parked.count_waiting(connection, missing) if missing else {})

    async def _load_tallies(self, connection: Connection, state: State, events: Sequence[Received]) -> None:
        """Load what may be looked up or counted; budgets last, for they are locked."""
        needed = tallies_of(state, events)
        state.tallies = await load_tallies(connection, needed.members)
        if needed.budgets:
            with metrics.BUDGET_WAIT_SECONDS.labels(SERVICE).time():
                state.tallies |= await load_budgets(connection, needed.budgets)
        state.loaded = needed.members | {("", *budget) for budget in needed.budgets}
        state.selected = needed.selected

    async def _load_registrations(self, connection: Connection, state: State, registrations: Sequence[Any]) -> None:
        await store_referrals.lock_referrals(connection)
        state.referrer_of = await store_referrals.above(connection, [event.referrer_id for event in registrations])
        bought = await store.orders_of(connection, list({event.member_id for event in registrations}))
        # One object an order, whoever looks at it: what comes back of it in this batch is seen everywhere.
        state.bought = {
            member: [state.orders.setdefault(order.key, order) for order in of_member]
            for member, of_member in bought.items()
        }

    async def _load_referrals(self, connection: Connection, state: State, members: set[str], locked: set[str]) -> None:
        state.referrals = await store_referrals.load_referrals(connection, list(members))
        for referral in state.referrals.values():
            if referral.state in {"open", "qualified"} and referral.referrer not in locked:
                raise LoadAgain("a referral was registered meanwhile")
        if any(referral.state == "open" for referral in state.referrals.values()):
            await store_referrals.share_referrals(connection)
        # Only referrers whose accounts are locked can be rewarded, so nobody else counts them up meanwhile.
        if len(locked) > len(members) or state.referrals or state.bought:
            state.rewarded = await store_referrals.rewarded_at(connection, list(locked))

    async def _load_lots(self, connection: Connection, state: State, events: Sequence[Received]) -> None:
        """Load lots where something may be due in this batch, or where points may be taken back."""
        until: dict[str, int] = {}
        whole: set[str] = set()

        def reach(member: str, instant: int, *, takes: bool) -> None:
            until[member] = max(until.get(member, BEGINNING), instant)
            if takes:
                whole.add(member)

        waiting = [parked.received for of_order in state.parked.values() for parked in of_order]
        referrers = {friend: [referral.referrer] for friend, referral in state.referrals.items()}
        for received in events:
            if received.type == referrals.REGISTERED:
                referrers.setdefault(received.event.member_id, []).append(received.event.referrer_id)
        for received in [*events, *waiting]:
            takes = received.type in CHANGES
            member = received.event.member_id
            for one in (member, *referrers.get(member, ())):
                reach(one, received.occurred_at, takes=takes)
            for order in state.bought.get(member, ()):
                # A registration after the purchase rewards both at the time of the purchase.
                for one in (member, *referrers.get(member, ())):
                    reach(one, order.occurred_at, takes=False)
        unnamed = {
            one
            for received in [*events, *waiting]
            if not lots_are_known(state, received)
            for one in (received.event.member_id, *referrers.get(received.event.member_id, ()))
        }
        accounts = [a for (member, _), a in state.accounts.items() if member in whole]
        lots = lots_by_member(state)
        await ledger.load_lots(
            connection,
            accounts,
            [(account.account, lot) for account in accounts for lot in lots[account.member]],
            {account.account for account in accounts if account.member in unnamed},
        )
        due = [account for account in ledger.due_within(state.accounts, until) if account.member not in whole]
        ends = [until.get(account.member, BEGINNING) for account in due]
        await load_due(connection, due, ends, state.programs[-1])

    async def _load_standings(self, connection: Connection, state: State, locked: Sequence[Account]) -> None:
        ladders = {p.ladder.wallet for p in self._programs.versions if p.ladder is not None and p.needs_tier}
        accounts = [account.account for account in locked if account.wallet in ladders]
        if accounts:
            state.standings = await load_standings(connection, accounts)

    def decide(self, state: State, events: Sequence[Received], mark: Mark) -> Decisions[Effects]:
        """Decide about events in offset order; pure but for the state, which belongs to this batch."""
        batch = Batch(state, Effects(verdicts=self.verdicts), mark, self._source, points.TOPIC)
        process(batch, events)
        return batch.decisions

    async def store(self, connection: Connection, decisions: Decisions[Effects], mark: Mark) -> None:
        """Write orders, returns, referrals, entries, lots and accounts."""
        effects = decisions.effects
        await store.write(connection, effects)
        await ledger.write(connection, effects.posting, mark.recorded_at)

    async def anything_due(self, connection: Connection, due: Due) -> bool:
        """Tell whether anything has waited too long for its order."""
        before = due.recorded_at - self._parked
        return bool(await store_parked.parked_too_long(connection, before, due.shards, due.shard, 1))

    async def load_due(self, connection: Connection, due: Due) -> State | None:
        """Find what has waited too long for its order, and lock its members."""
        before = due.recorded_at - self._parked
        members = await store_parked.parked_too_long(connection, before, due.shards, due.shard, due.limit)
        if not members:
            return None
        await self._programs.need(connection)
        locked = await ledger.lock_accounts(connection, members, self._programs.wallets)
        state = State({(a.member, a.wallet): a for a in locked}, self._programs.versions)
        state.parked = await store_parked.parked_of(connection, self.contracts, members, before, due.limit)
        return state if state.parked else None

    def decide_due(self, state: State, due: Due, mark: Mark) -> Decisions[Effects]:
        """Give up on what has waited too long; ``facts`` are the keys of what waited and of its order."""
        del due
        return self._give_up(state, [parked for of_order in state.parked.values() for parked in of_order], mark)

    def replay_sweep(self, state: State, due: Due, facts: bytes, mark: Mark) -> Decisions[Effects]:
        """Give up again on what the facts name."""
        del due
        keys = [tuple(one) for one in msgpack.unpackb(facts)["given_up"]]
        given_up = {
            (order_key, parked.received.key): parked
            for order_key, _key in keys
            for parked in state.parked.get(order_key, ())
        }
        return self._give_up(state, [given_up[one] for one in keys if one in given_up], mark)

    def _give_up(self, state: State, given_up: Sequence[Parked], mark: Mark) -> Decisions[Effects]:
        batch = Batch(state, Effects(), mark, self._source, points.TOPIC)
        for parked in given_up:
            state.parked[parked.order_key] = [one for one in state.parked[parked.order_key] if one is not parked]
            give_up(batch, parked)
        keys = [[parked.order_key, parked.received.key] for parked in given_up]
        batch.decisions.facts = msgpack.packb({"given_up": keys})
        return batch.decisions

    def count(self, decisions: Decisions[Effects]) -> None:
        """Count points issued and taken back by wallet and rule; remember some accounts for the running audit."""
        effects = decisions.effects
        self._remember(effects.posting)
        for (wallet, rule), issued in effects.issued.items():
            metrics.POINTS_ISSUED.labels(wallet, rule).inc(issued)
        for (wallet, kind), reversed_points in effects.reversed.items():
            metrics.POINTS_REVERSED.labels(wallet, kind).inc(reversed_points)
