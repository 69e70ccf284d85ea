"""Load, decide, store, for one batch of purchases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pydantic_core

from services.earn import store
from services.earn.earning import Earned, Refused, earn
from shared.contracts import points, purchases
from shared.contracts.contract import Contract
from shared.contracts.envelope import seal
from shared.contracts.points import PointsEarned
from shared.database.pool import Connection
from shared.errors import LoadAgain, Transient
from shared.instants import iso
from shared.ledger import store as ledger
from shared.ledger.model import Account, Posting
from shared.program.compiled import Program, in_force
from shared.program.store import load_versions, newest_version
from shared.stream import metrics
from shared.stream.handler import Mark
from shared.stream.records import Decisions, Message, Received, Refusal

SERVICE = "earn"
#: Accounts that the running audit looks at each time: enough to see a bug at once, cheap enough to run for ever.
_AUDITED = 2000


@dataclass(slots=True)
class State:
    """What a batch of purchases must know before it decides.

    Attributes:
        accounts: Locked, by (member, wallet).
        known: Content hashes of orders that were accepted before, by key.
        programs: Every version, oldest first.
    """

    accounts: dict[tuple[str, str], Account]
    known: dict[bytes, bytes]
    programs: Sequence[Program]


@dataclass(slots=True)
class Effects:
    """What a batch of purchases writes."""

    posting: Posting = field(default_factory=Posting)
    orders: list[tuple[object, ...]] = field(default_factory=list)
    issued: Counter[tuple[str, str]] = field(default_factory=Counter)


class EarnHandler:
    """Turns purchases into points."""

    service = SERVICE
    contracts: Mapping[str, Contract] = {purchases.COMPLETED: purchases.PURCHASE_COMPLETED}

    def __init__(self, source: str) -> None:
        """Make the handler; ``source`` is the ``source`` of the events that it publishes."""
        self._source = source
        self._programs: list[Program] = []
        self._touched: set[int] = set()

    async def refresh(self, connection: Connection) -> None:
        """Read versions of the program that are newer than those we have."""
        after = self._programs[-1].version if self._programs else 0
        self._programs += [p for p in await load_versions(connection, after) if p.version > after]

    async def load(self, connection: Connection, events: Sequence[Received]) -> State:
        """Lock the members' accounts, then read what is known (the order matters: design §4 step 3)."""
        if not self._programs:
            await self.refresh(connection)
            if not self._programs:
                raise Transient("no program is published; run `loyalty program publish FILE`")
        wallets = self._wallets()
        members = list({received.event.member_id for received in events})
        accounts = await ledger.lock_accounts(connection, members, wallets) if members else []
        known = await store.known_orders(connection, [received.key for received in events])
        if await newest_version(connection) > self._programs[-1].version:
            await self.refresh(connection)
            if self._wallets() != wallets:
                raise LoadAgain("a new version has other wallets", _nothing)
        return State({(a.member, a.wallet): a for a in accounts}, known, tuple(self._programs))

    def decide(self, state: State, events: Sequence[Received], mark: Mark) -> Decisions:
        """Decide about purchases in offset order; pure but for the state, which belongs to this batch."""
        effects = Effects()
        decisions = Decisions(effects)
        for received in events:
            known = state.known.get(received.key)
            if known is not None:
                if known == received.content_hash:
                    decisions.duplicates += 1
                else:
                    decisions.refused.append(_conflict(received, known))
                continue
            program = in_force(state.programs, received.event.occurred_at)
            outcome = earn(
                program, received.event, source=received.source, key=received.key,
                occurred_at=received.occurred_at, accounts=state.accounts, posting=effects.posting,
            )  # fmt: skip
            if program is None or isinstance(outcome, Refused):
                assert isinstance(outcome, Refused), "without a program a purchase is refused"
                decisions.refused.append(Refusal.of(received, *outcome))
                continue
            state.known[received.key] = received.content_hash
            decisions.accepted += 1
            decisions.latest_at = max(decisions.latest_at, received.occurred_at)
            self._accept(decisions, effects, received, outcome, mark, program)
        return decisions

    async def store(self, connection: Connection, decisions: Decisions, mark: Mark) -> None:
        """Write orders, entries, lots and accounts."""
        effects: Effects = decisions.effects
        await store.add_orders(connection, effects.orders)
        await ledger.write(connection, effects.posting, mark.recorded_at)

    def touched(self) -> list[int]:
        """Return (once) accounts that were written lately, for the running audit."""
        touched, self._touched = sorted(self._touched)[:_AUDITED], set()
        return touched

    def count(self, decisions: Decisions) -> None:
        """Count points issued by wallet and rule, and remember some accounts for the running audit."""
        if len(self._touched) < _AUDITED:
            self._touched.update(decisions.effects.posting.accounts)
        for (wallet, rule), issued in decisions.effects.issued.items():
            metrics.POINTS_ISSUED.labels(wallet, rule).inc(issued)

    def _accept(
        self,
        decisions: Decisions,
        effects: Effects,
        received: Received,
        earned: Earned,
        mark: Mark,
        program: Program,
    ) -> None:
        purchase = received.event
        effects.orders.append((
            received.key, received.content_hash, mark.seq, received.position, program.version, received.occurred_at,
            received.source, purchase.order_id, purchase.member_id, pydantic_core.to_json(earned.result).decode(),
        ))  # fmt: skip
        for wallet, rule, issued in earned.issued:
            effects.issued[wallet, rule] += issued
        time = iso(mark.recorded_at)
        decisions.messages.extend(self._message(event, received.key, time) for event in earned.events)

    def _message(self, event: PointsEarned, key: bytes, time: str) -> Message:
        member = event["member_id"]
        headers = seal(
            event_id=f"earned-{key.hex()}-{event['wallet']}",
            source=self._source,
            event_type=points.EARNED,
            time=time,
            key=member,
        )
        return Message(points.TOPIC, member.encode(), pydantic_core.to_json(event), headers)

    def _wallets(self) -> list[str]:
        return sorted({wallet for program in self._programs for wallet in program.wallets})


def _conflict(received: Received, known: bytes) -> Refusal:
    return Refusal.of(
        received,
        "conflict",
        f"order {received.event.order_id} of {received.source} was accepted with other content: "
        f"hash {known.hex()} then, {received.content_hash.hex()} now; nothing was changed",
    )


async def _nothing(_connection: Any) -> None:
    """Loading again is all that is needed."""
