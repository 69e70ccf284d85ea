"""Decides about referrals: registered, qualified by a purchase, taken back with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.earn import referring
from services.earn.orders import Order
from services.earn.referring import Referral
from services.earn.state import Effects, State
from shared.contracts import points
from shared.contracts.referrals import ReferralRegistered
from shared.posting.ledger_batch import LedgerDeciding
from shared.program.compiled.program import Program, in_force
from shared.runtime.handler import Mark
from shared.runtime.records import Received

_TYPES = {"qualified": points.REFERRAL_QUALIFIED, "refused": points.REFERRAL_REFUSED,
          "reversed": points.REFERRAL_REVERSED}  # fmt: skip


class DecidingReferrals(LedgerDeciding[State, Effects]):
    """The part of a batch's decisions that referrals need."""

    topic = points.TOPIC

    def __init__(self, state: State, mark: Mark, source: str) -> None:
        """Begin; see ``LedgerDeciding``."""
        super().__init__(state, Effects(), mark, source)
        self._versions: Mapping[int, Program] = {program.version: program for program in state.programs}

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
        events = referring.judge(
            referral, order, program=program, rewarded=rewarded, book=self._book, members=self._state.members
        )
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

    def _take_referral_back(self, order: Order, return_id: str, received: Received) -> None:
        """Take both rewards back where too little is left of the order that earned them."""
        referral = self._state.referrals.get(order.member)
        if referral is not None and referral.state == "qualified" and referral.order_key == order.key:
            events = referring.take_back(
                referral, order, return_id=return_id, key=received.key, occurred_at=received.occurred_at,
                program=self._versions[referral.program_version], book=self._book,
            )  # fmt: skip
            self._referral_changed(referral, events)

    def _settle(self, member: str) -> None:
        """Let lapse at once what came so late that its time is over."""
        for wallet in self._newest.wallets:
            account = self._state.accounts.get((member, wallet))
            if account is not None and account.next_due <= account.as_of:
                self._book.apply_overdue(account)
        self._announce_lapses()

    def _send(self, event_id: str, event_type: str, member: str, data: Any) -> None:
        self.decisions.messages.append(self._message(event_id, event_type, member, data))
