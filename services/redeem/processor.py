"""Decides about a batch, redemption by redemption, and about a sweep. Pure but for the state."""

from __future__ import annotations

from collections.abc import Iterable

from services.redeem import redemption as redeeming
from services.redeem.redemption import Answer, Redemption, Standing
from services.redeem.state import Effects, State
from shared.contracts import redemptions, rewards
from shared.ledger.due import TimedEffect
from shared.ledger.model import Account, Hold
from shared.posting.ledger_batch import LedgerDeciding
from shared.program.compiled.program import Program, in_force
from shared.runtime.handler import Mark
from shared.runtime.packed import pack, unpack_messages
from shared.runtime.records import Received


class Deciding(LedgerDeciding[State, Effects]):
    """The decisions about one batch or one sweep."""

    topic = rewards.TOPIC

    def __init__(self, state: State, mark: Mark, source: str) -> None:
        """Begin; ``source`` is the ``source`` of outgoing events."""
        super().__init__(state, Effects(), mark, source)

    def apply_due(self, accounts: Iterable[Account], horizon: int) -> None:
        """Apply what is due to some accounts of the state."""
        for account in accounts:
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
        program = in_force(self._state.programs, received.occurred_at)
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
        self._book.advance_to(self._state.accounts[member, wallet], instant)
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
        correlation = ("ce_correlationid", redemption.redemption_id.encode())
        message = self._message(answer.id, answer.type, redemption.member, answer.data, correlation)
        redemption.answers[asked] = pack([message])
        self.decisions.messages.append(message)
        self._accepted(received)
        self.effects.answered[answer.data["state"], answer.data["reason"] or ""] += 1

    def _repeat(self, redemption: Redemption, asked: str) -> None:
        """Say again, word for word, what was said."""
        self.decisions.messages.extend(unpack_messages(redemption.answers[asked]))
        self.decisions.duplicates += 1

    def _lapsed(self, lapse: TimedEffect) -> None:
        self.effects.lapsed[lapse.account.wallet, lapse.what] += lapse.points
        if lapse.hold is not None:
            self._note_time_out(lapse.account.member, lapse.hold, lapse.instant)

    def _note_time_out(self, member: str, hold: Hold, instant: int) -> None:
        key = (member, hold.reward)
        self._state.had[key] = self._state.had.get(key, 0) - 1
        redemption = self._state.redemptions.get(hold.key)
        if redemption is not None:
            time_out(redemption, instant)


def time_out(redemption: Redemption, instant: int) -> None:
    """Note that a hold was released because nobody confirmed it in time."""
    redemption.state, redemption.reason, redemption.settled_at = "released", "timed-out", instant
