"""Decides about a batch, event by event, in offset order. Pure but for the state, which belongs to the batch."""

from __future__ import annotations

import pydantic_core

from services.earn.awards import Verdict
from services.earn.deciding_orders import DecidingOrders
from services.earn.earning import Refused, earn
from services.earn.state import State
from shared.contracts import points
from shared.contracts.catalogue import EVENTS
from shared.contracts.members import MemberUpdated
from shared.contracts.purchases import PurchaseCompleted
from shared.contracts.referrals import ReferralRegistered
from shared.instants import BEGINNING
from shared.program.compiled.program import Program, in_force
from shared.program.compiled.rating_context import NOTHING_KNOWN, UNKNOWN_MEMBER, Member, MemberContext
from shared.program.compiled.tallies import PURCHASES, never_counted
from shared.runtime.handler import Mark
from shared.runtime.records import Received


class Deciding(DecidingOrders):
    """The decisions about one batch."""

    def __init__(
        self, state: State, mark: Mark, source: str, verdicts: dict[bytes, list[Verdict]] | None = None
    ) -> None:
        """Begin.

        Args:
            state: What is known; changed in place.
            mark: The batch's place in the history.
            source: The ``source`` of outgoing events.
            verdicts: Filled, if given, with what became of each rule, by the business key of what was rated.
        """
        super().__init__(state, mark, source, verdicts)
        self._counts = any(program.book.counts for program in state.programs)
        self._counts_purchases = any(program.book.counts_purchases for program in state.programs)

    def one(self, received: Received) -> None:
        """Decide about one event; what it led to is in ``decisions``."""
        known = self._state.known.get(received.key)
        if known is not None:
            if known == received.content_hash:
                self.decisions.duplicates += 1
            else:
                self._refuse(received, "conflict", _conflict(received, known))
            return
        event = received.event
        if type(event) is PurchaseCompleted:
            accepted = self._purchase(received)
        elif type(event) is ReferralRegistered:
            accepted = self._referral(received)
        elif type(event) is MemberUpdated:
            accepted = self._member(event, received.occurred_at)
        else:
            accepted = self._about_an_order(received)
        self._announce_lapses()
        if accepted:
            self._state.known[received.key] = received.content_hash
            if type(event) is not PurchaseCompleted:
                self.effects.accepted[received.key] = received.content_hash
            self._accepted(received)

    def _member(self, event: MemberUpdated, occurred_at: int) -> bool:
        """Remember what was told of a member; an older story than the one that is known changes nothing."""
        if occurred_at >= self._state.told_at.get(event.member_id, BEGINNING):
            self._state.told_at[event.member_id] = occurred_at
            self._state.members[event.member_id] = told = Member.from_event(event)
            self.effects.members[event.member_id] = (occurred_at, told)
        return True

    # ---- purchases

    def _purchase(self, received: Received) -> bool:
        program = in_force(self._state.programs, received.occurred_at)
        earned = earn(
            program, received.event, source=received.source, key=received.key, occurred_at=received.occurred_at,
            book=self._book, known=self._known(program, received) if program else NOTHING_KNOWN,
            verdicts=self._verdicts_of(received),
        )  # fmt: skip
        if program is None or isinstance(earned, Refused):
            assert isinstance(earned, Refused), "without a program a purchase is refused"
            self._refuse(received, *earned)
            return False
        self._announce_lapses()
        order = earned.order
        for tally, number in earned.counted.items():
            self._count(order.member, tally, number)
        if self._counts_purchases and PURCHASES not in earned.counted:
            self._count(order.member, PURCHASES, 1)  # another version asks which purchase it is
        self._state.orders[order.key] = order
        self.effects.orders.append((
            received.key, received.content_hash, self._mark.seq, received.position, program.version,
            received.occurred_at, received.source, order.order_id, order.member,
            pydantic_core.to_json(earned.result()).decode(),
        ))  # fmt: skip
        for wallet, rule, issued in earned.issued:
            self.effects.issued[wallet, rule] += issued
        for event in earned.events:
            self._send(f"earned-{received.key.hex()}-{event['wallet']}", points.EARNED, event["member_id"], event)
        if earned.qualified is not None:
            self._send(f"qualified-{received.key.hex()}", points.QUALIFIED, order.member, earned.qualified)
        self._settle(order.member)
        bought = self._state.bought.get(order.member)
        if bought is not None:
            bought.append(order)
        referral = self._state.referrals.get(order.member)
        if referral is not None and referral.state == "open":
            self._judge(referral, order, program)
        self._state.waiting.pop(order.key, None)
        for parked in self._state.parked.pop(order.key, ()):
            self._unpark(parked, order)
        return True

    def _known(self, program: Program, received: Received) -> MemberContext:
        member: str = received.event.member_id
        return MemberContext(
            self._tier(program, received),
            self._count_of(member) if self._counts else never_counted,
            self._state.members.get(member, UNKNOWN_MEMBER),
        )

    def _tier(self, program: Program, received: Received) -> int:
        ladder = program.ladder
        if ladder is None or not program.needs_tier:
            return 0
        account = self._state.accounts[received.event.member_id, ladder.wallet]
        return self._tiers.number_at(account, ladder, received.occurred_at)


def _conflict(received: Received, known: bytes) -> str:
    name = getattr(received.event, EVENTS[received.type].name_field or "member_id")
    return (
        f"{name} of {received.source} was accepted with other content: "
        f"hash {known.hex()} then, {received.content_hash.hex()} now; nothing was changed"
    )
