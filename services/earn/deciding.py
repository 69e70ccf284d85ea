"""Decides about a batch, event by event, in offset order. Pure but for the state, which belongs to the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic_core

from services.earn import referring, returning
from services.earn.awards import Verdict
from services.earn.earning import Refused, earn
from services.earn.orders import Order
from services.earn.referring import Referral
from services.earn.state import Effects, Parked, State
from shared.contracts import points
from shared.contracts.contract import business_key
from shared.contracts.purchases import PurchaseCompleted, PurchaseFulfilled, PurchaseReturned
from shared.contracts.referrals import ReferralRegistered
from shared.program.compiled import Program, in_force
from shared.program.tallies import PURCHASES, Count, Key, never_counted
from shared.stream.handler import Mark
from shared.stream.ledger_batch import LedgerDeciding
from shared.stream.packing import pack
from shared.stream.records import Received, Refusal

#: All of them are loaded at once when the order comes.
_WAITING_MAX = 1_000
_TYPES = {"qualified": points.REFERRAL_QUALIFIED, "refused": points.REFERRAL_REFUSED,
          "reversed": points.REFERRAL_REVERSED}  # fmt: skip


class Deciding(LedgerDeciding[State, Effects]):
    """The decisions about one batch."""

    topic = points.TOPIC

    def __init__(
        self, state: State, mark: Mark, source: str, verdicts: dict[bytes, list[Verdict]] | None = None
    ) -> None:
        """Begin.

        Args:
            state: What is known; changed in place.
            mark: The batch's place in the history.
            source: The ``source`` of outgoing events.
            verdicts: Filled, if given, with what became of each rule, by the order's key.
        """
        super().__init__(state, Effects(), mark, source)
        self._verdicts = verdicts
        self._counts = any(program.book.counts for program in state.programs)
        self._versions: Mapping[int, Program] = {program.version: program for program in state.programs}

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
        else:
            accepted = self._about_an_order(received)
        self._announce_lapses()
        if accepted:
            self._state.known[received.key] = received.content_hash
            if type(event) is not PurchaseCompleted:
                self.effects.accepted[received.key] = received.content_hash
            self._accepted(received)

    # ---- purchases

    def _purchase(self, received: Received) -> bool:
        program = in_force(self._state.programs, received.occurred_at)
        earned = earn(
            program, received.event, source=received.source, key=received.key, occurred_at=received.occurred_at,
            book=self._book, tier=self._tier(program, received) if program else 0,
            count=self._count_of(received.event.member_id) if self._counts else never_counted,
            verdicts=None if self._verdicts is None else self._verdicts.setdefault(received.key, []),
        )  # fmt: skip
        if program is None or isinstance(earned, Refused):
            assert isinstance(earned, Refused), "without a program a purchase is refused"
            self._refuse(received, *earned)
            return False
        self._announce_lapses()
        order = earned.order
        for tally, number in earned.counted.items():
            self._count(order.member, tally, number)
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

    def _count_of(self, member: str) -> Count:
        return lambda tally: self._counted(member, tally)

    def _counted(self, member: str, tally: Key) -> int:
        return self._state.purchases_of(member) if tally == PURCHASES else self._state.tallies.get((member, *tally), 0)

    def _count(self, member: str, tally: Key, number: int) -> None:
        counted = self._counted(member, tally) + number
        self._state.tallies[member, *tally] = self.effects.tallies[member, *tally] = counted

    def _settle(self, member: str) -> None:
        """Let lapse at once what came so late that its time is over."""
        for wallet in self._newest.wallets:
            account = self._state.accounts.get((member, wallet))
            if account is not None and account.next_due <= account.as_of:
                self._book.settle(account)
        self._announce_lapses()

    def _tier(self, program: Program, received: Received) -> int:
        ladder = program.ladder
        if ladder is None or not program.needs_tier:
            return 0
        account = self._state.accounts[received.event.member_id, ladder.wallet]
        return self._tiers.number_at(account, ladder, received.occurred_at)

    # ---- returns and fulfilments

    def _about_an_order(self, received: Received) -> bool:
        event: PurchaseReturned | PurchaseFulfilled = received.event
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
        ))  # fmt: skip

    def _unpark(self, parked: Parked, order: Order) -> None:
        refused = self._apply(parked.received, order)
        self.effects.unparked[parked.place] = "applied" if refused is None else "refused"
        if refused is not None:
            self._give_back(parked.received.key)
            self._refuse_later(parked.received, *refused)
        self._announce_lapses()

    def _apply(self, received: Received, order: Order) -> Refused | None:
        """Apply a return or a fulfilment to its order; or say why that cannot be."""
        event = received.event
        if event.member_id != order.member:
            return Refused("other-member", f"order {order.order_id} of {order.source} is not of this member")
        if isinstance(event, PurchaseReturned):
            return self._return(received, event, order)
        returning.fulfil(
            order, event, key=received.key, occurred_at=received.occurred_at,
            program=self._versions[order.program_version], book=self._book,
        )  # fmt: skip
        self.effects.fulfilments.append((
            received.key, received.content_hash, order.key, self._mark.seq, received.position, received.occurred_at,
            order.member,
        ))  # fmt: skip
        return None

    def _return(self, received: Received, event: PurchaseReturned, order: Order) -> Refused | None:
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
            received.source, event.return_id, order.member, pydantic_core.to_json(returned.result()).decode(),
        ))  # fmt: skip
        for data in returned.events:
            self._send(f"reversed-{received.key.hex()}-{data['wallet']}", points.REVERSED, order.member, data)
            self.effects.reversed[data["wallet"], "return"] += data["points"]
        if returned.qualified is not None:
            self._send(f"qualified-{received.key.hex()}", points.QUALIFIED, order.member, returned.qualified)
        referral = self._state.referrals.get(order.member)
        if referral is not None and referral.state == "qualified" and referral.order_key == order.key:
            events = referring.take_back(
                referral, order, return_id=event.return_id, key=received.key, occurred_at=received.occurred_at,
                program=self._versions[referral.program_version], book=self._book,
            )  # fmt: skip
            self._referral_changed(referral, events)
        return None

    # ---- referrals

    def _referral(self, received: Received) -> bool:
        event: ReferralRegistered = received.event
        state = self._state
        program = in_force(state.programs, received.occurred_at)
        bought = state.bought.get(event.member_id, [])
        referral = referring.register(
            event, source=received.source, key=received.key, content_hash=received.content_hash,
            occurred_at=received.occurred_at, program=program, referred=event.member_id in state.referrals,
            bought=bought, referrer_of=state.referrer_of,
        )  # fmt: skip
        self.effects.registered.append((referral, self._mark.seq, received.position))
        if referral.state == "refused":
            data = referring.changed(referral, self._newest.program_id, received.occurred_at)
            self._send(f"referral-refused-{received.key.hex()}", points.REFERRAL_REFUSED, event.member_id, data)
            return True
        state.referrals[event.member_id] = referral
        state.referrer_of[event.member_id] = event.referrer_id
        for order in sorted(bought, key=lambda order: (order.occurred_at, order.key)):
            if referral.state == "open":
                self._judge(referral, order, self._versions[order.program_version])
        return True

    def _judge(self, referral: Referral, order: Order, program: Program) -> None:
        rewarded = self._state.rewarded.setdefault(referral.referrer, [])
        events = referring.judge(referral, order, program=program, rewarded=rewarded, book=self._book)
        if referral.state == "qualified":
            rewarded.append(order.occurred_at)
        elif referral.state == "refused":
            self._state.referrals.pop(referral.friend, None)
            self._state.referrer_of.pop(referral.friend, None)
        if events:
            self._announce_lapses()
            self._referral_changed(referral, events)

    def _referral_changed(self, referral: Referral, events: referring.Events) -> None:
        if not events:
            return
        self._announce_lapses()
        self.effects.changed[referral.key] = referral
        for event in events:
            data: dict[str, Any] = {**event}
            member = data["member_id"]
            if "state" in data:
                self._send(f"referral-{data['state']}-{referral.key.hex()}", _TYPES[data["state"]], member, data)
            elif data["operation"] == "reverse":
                self._send(f"reversed-{referral.key.hex()}-{member}", points.REVERSED, member, data)
                self.effects.reversed[data["wallet"], "referral"] += data["points"]
            else:
                self._send(f"earned-{referral.key.hex()}-{member}", points.EARNED, member, data)
                self.effects.issued[data["wallet"], data["awards"][0]["rule"]] += data["points"]
                self._settle(member)

    # ---- out

    def _send(self, event_id: str, event_type: str, member: str, data: Any) -> None:
        self.decisions.messages.append(self._message(event_id, event_type, member, data))

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


def _conflict(received: Received, known: bytes) -> str:
    name = next(
        (getattr(received.event, field) for field in ("return_id", "referral_id", "order_id")
         if hasattr(received.event, field)), "?",
    )  # fmt: skip
    return (
        f"{name} of {received.source} was accepted with other content: "
        f"hash {known.hex()} then, {received.content_hash.hex()} now; nothing was changed"
    )
