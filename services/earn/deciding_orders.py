"""Decides about what happens to orders later: returned, cancelled, amended, fulfilled; or parked until they come."""

from __future__ import annotations

import pydantic_core

from services.earn import returning
from services.earn.amending import amend
from services.earn.awards import Verdict
from services.earn.deciding_referrals import DecidingReferrals
from services.earn.earning import Refused
from services.earn.orders import Order
from services.earn.state import Parked, State
from shared.contracts import points
from shared.contracts.contract import business_key
from shared.contracts.ids import SEPARATOR, ids_in
from shared.contracts.purchases import (
    AboutAnOrder,
    PurchaseAmended,
    PurchaseCancelled,
    PurchaseClaimed,
    PurchaseReturned,
)
from shared.errors import InvariantBroken
from shared.program.compiled.tallies import PURCHASES, Count, Key, owner_of
from shared.runtime.handler import Mark
from shared.runtime.packed import pack
from shared.runtime.records import Received, Refusal

#: All of them are loaded at once when the order comes.
_WAITING_MAX = 1_000


class DecidingOrders(DecidingReferrals):
    """The part of a batch's decisions that orders need after they were made."""

    def __init__(
        self, state: State, mark: Mark, source: str, verdicts: dict[bytes, list[Verdict]] | None = None
    ) -> None:
        """Begin; ``verdicts`` is filled, if given, with what became of each rule, by the business key."""
        super().__init__(state, mark, source)
        self._verdicts = verdicts

    def _verdicts_of(self, received: Received) -> list[Verdict] | None:
        return None if self._verdicts is None else self._verdicts.setdefault(received.key, [])

    def _count_of(self, member: str) -> Count:
        return lambda tally: self._counted(member, tally)

    def _counted(self, member: str, tally: Key) -> int:
        if tally == PURCHASES:
            return self._state.purchases_of(member)
        key = (owner_of(tally, member), *tally)
        if self._state.loaded is not None and key not in self._state.loaded:
            raise InvariantBroken(f"the tally {tally} was not loaded, and would be given out a second time")
        return self._state.tallies.get(key, 0)

    def _count(self, member: str, tally: Key, number: int) -> None:
        counted = self._counted(member, tally) + number
        key = (owner_of(tally, member), *tally)
        self._state.tallies[key] = self.effects.tallies[key] = counted

    # ---- once the order is there

    def _about_an_order(self, received: Received) -> bool:
        event: AboutAnOrder = received.event
        order_key = business_key(event.order_source or received.source, event.order_id)
        order = self._state.orders.get(order_key)
        if order is None:
            if self._state.waiting[order_key] >= _WAITING_MAX:
                self._refuse(
                    received, "too-many-waiting",
                    f"{_WAITING_MAX:,} events wait for order {event.order_id} already; has it been sent?",
                )  # fmt: skip
                return False
            self._park(received, order_key)
            return True
        refused = self._apply(received, order)
        if refused is not None:
            self._refuse(received, *refused)
        return refused is None

    def _park(self, received: Received, order_key: bytes) -> None:
        place = (self._mark.seq, received.position)
        parked = Parked(order_key, received._replace(position=-1), self._mark.recorded_at, place)
        self._state.parked.setdefault(order_key, []).append(parked)
        self._state.waiting[order_key] += 1
        origin = received.origin
        self.effects.parked.append((
            received.key, received.content_hash, order_key, received.event.member_id, self._mark.recorded_at,
            self._mark.seq, received.position, origin.topic, origin.partition, origin.epoch, pack([origin.record]),
            SEPARATOR.join(sorted(ids_in(origin.record.value))),
        ))  # fmt: skip

    def _unpark(self, parked: Parked, order: Order) -> None:
        refused = self._apply(parked.received, order)
        self.effects.unparked[parked.place] = "applied" if refused is None else "refused"
        if refused is not None:
            self._give_back(parked.received.key)
            self._refuse_later(parked.received, *refused)
        self._announce_lapses()

    def _apply(self, received: Received, order: Order) -> Refused | None:
        """Apply an event to its order; or say why that cannot be."""
        event: AboutAnOrder = received.event
        if event.member_id != order.member:
            return Refused("other-member", f"order {order.order_id} of {order.source} is not of this member")
        if isinstance(event, PurchaseReturned | PurchaseCancelled):
            return self._return(received, event, order)
        if isinstance(event, PurchaseAmended):
            return self._amend(received, event, order)
        returning.fulfil(
            order, event, key=received.key, occurred_at=received.occurred_at,
            program=self._versions[order.program_version], book=self._book,
        )  # fmt: skip
        self.effects.fulfilments.append((
            received.key, received.content_hash, order.key, self._mark.seq, received.position, received.occurred_at,
            order.member, *(("claim", event.claim_id) if isinstance(event, PurchaseClaimed) else ("fulfilment", "")),
            received.source,
        ))  # fmt: skip
        return None

    def _return(self, received: Received, event: PurchaseReturned | PurchaseCancelled, order: Order) -> Refused | None:
        program = self._versions[order.program_version]
        returned = returning.take_back(
            order, event, key=received.key, occurred_at=received.occurred_at, program=program, book=self._book
        )
        if isinstance(returned, Refused):
            return returned
        self._announce_lapses()
        for tally, number in returned.counted.items():
            self._count(order.member, tally, number)
        self.effects.returns.append((
            received.key, received.content_hash, order.key, self._mark.seq, received.position, received.occurred_at,
            received.source, returning.return_id(event), order.member,
            pydantic_core.to_json(returned.result()).decode(),
            "return" if isinstance(event, PurchaseReturned) else "cancellation",
        ))  # fmt: skip
        for data in returned.events:
            self._send(f"reversed-{received.key.hex()}-{data['wallet']}", points.REVERSED, order.member, data)
            self.effects.reversed[data["wallet"], "return"] += data["points"]
        if returned.qualified is not None:
            self._send(f"qualified-{received.key.hex()}", points.QUALIFIED, order.member, returned.qualified)
        self._take_referral_back(order, returning.return_id(event), received)
        return None

    def _amend(self, received: Received, event: PurchaseAmended, order: Order) -> Refused | None:
        program = self._versions[order.program_version]
        amended = amend(
            order, event, key=received.key, occurred_at=received.occurred_at, program=program, book=self._book,
            count=self._count_of(order.member), verdicts=self._verdicts_of(received),
        )  # fmt: skip
        if isinstance(amended, Refused):
            return amended
        self._announce_lapses()
        for tally, number in amended.counted.items():
            self._count(order.member, tally, number)
        self.effects.amendments.append((
            received.key, received.content_hash, order.key, order.amendments, self._mark.seq, received.position,
            received.occurred_at, received.source, event.amendment_id, order.member,
            pydantic_core.to_json(order.result(amended.reason)).decode(),
            pydantic_core.to_json([[one.rule, one.lot, one.points] for one in amended.changes]).decode(),
        ))  # fmt: skip
        for taken in amended.reversed:
            self._send(f"reversed-{received.key.hex()}-{taken['wallet']}", points.REVERSED, order.member, taken)
            self.effects.reversed[taken["wallet"], "amendment"] += taken["points"]
        for earned in amended.earned:
            self._send(f"earned-{received.key.hex()}-{earned['wallet']}", points.EARNED, order.member, earned)
        for wallet, rule, issued in amended.issued:
            self.effects.issued[wallet, rule] += issued
        if amended.qualified is not None:
            self._send(f"qualified-{received.key.hex()}", points.QUALIFIED, order.member, amended.qualified)
        self._settle(order.member)
        self._take_referral_back(order, event.amendment_id, received)
        referral = self._state.referrals.get(order.member)
        if referral is not None and referral.state == "open":
            self._judge(referral, order, program)
        return None

    # ---- parked

    def _refuse_later(self, received: Received, reason: str, detail: str) -> None:
        self.decisions.refused_later.append(
            Refusal(-1, reason, detail, received.event_id, received.type, received.source, received.origin)
        )

    def _give_back(self, key: bytes) -> None:
        """Forget a business key: what was refused may be sent again."""
        self._state.known.pop(key, None)
        if self.effects.accepted.pop(key, None) is None:
            self.effects.given_back.add(key)

    def give_up(self, parked: Parked) -> None:
        """Refuse what has waited too long for its order."""
        self._state.waiting[parked.order_key] -= 1
        self._give_back(parked.received.key)
        self.effects.unparked[parked.place] = "refused"
        event = parked.received.event
        self._refuse_later(
            parked.received, "no-such-order",
            f"order {event.order_id} did not come within the time that a return waits for it; send it, then replay",
        )  # fmt: skip
