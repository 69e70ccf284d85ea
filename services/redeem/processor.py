"""Decides about a batch, redemption by redemption, and about a sweep. Pure but for the state."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from services.redeem import redemption as decisions
from services.redeem.model import CANCEL, CONFIRM, REQUEST, Answer, Redemption, Standing
from services.redeem.state import Batch, Effects, NewRedemption, State
from shared.contracts import redemptions, rewards
from shared.ledger.due import TimedEffect
from shared.ledger.model import Account
from shared.posting.reward_events import correlation
from shared.program.compiled.program import Program, in_force
from shared.runtime.handler import Mark
from shared.runtime.packed import pack, unpack_messages
from shared.runtime.records import Received


def begin(state: State, mark: Mark, source: str) -> Batch:
    """Begin a batch, or a sweep; ``source`` is the ``source`` of outgoing events."""
    effects = Effects()
    return Batch(state, effects, mark, source, rewards.TOPIC, functools.partial(_note_timed_effect, state, effects))


def process(batch: Batch, events: Sequence[Received]) -> None:
    """Decide about events in offset order."""
    for received in events:
        DECISIONS[received.type](batch, received)


def apply_due(batch: Batch, accounts: Iterable[Account], horizon: int) -> None:
    """Apply what is due to some accounts of the state."""
    for account in accounts:
        batch.book.apply_due(account, horizon)
    batch.announce_timed_effects()


# ---- what a till may ask


def _request(batch: Batch, received: Received) -> None:
    redemption = batch.state.redemptions.get(received.key)
    if redemption is None:
        _decide_request(batch, received)
    elif redemption.content_hash != received.content_hash:
        detail = f"redemption {redemption.redemption_id} of {received.source} was asked for with other content"
        batch.refuse(received, "conflict", f"{detail}; nothing was changed")
    else:
        _repeat(batch, redemption, REQUEST)


def _confirm(batch: Batch, received: Received) -> None:
    redemption = _asked_for(batch, received)
    if redemption is None:
        return
    if CONFIRM in redemption.answers:
        _repeat(batch, redemption, CONFIRM)
    elif redemption.state in {"rejected", "redeemed"}:
        _repeat(batch, redemption, REQUEST)
    elif redemption.state == "refunded":
        _bring_to(batch, redemption.member, redemption.wallet, received.occurred_at)
        _repeat(batch, redemption, CANCEL)
    else:
        _bring_to(batch, redemption.member, redemption.wallet, received.occurred_at)
        counted = redemption.counts
        answer = decisions.confirm(
            redemption,
            occurred_at=received.occurred_at,
            program=batch.newest,
            standing=_standing(batch, batch.newest, received),
            had=batch.state.had,
            book=batch.book,
        )
        _settle(batch, received, redemption, CONFIRM, answer, counted=counted)


def _cancel(batch: Batch, received: Received) -> None:
    redemption = _asked_for(batch, received)
    if redemption is None:
        return
    if CANCEL in redemption.answers:
        _repeat(batch, redemption, CANCEL)
    elif redemption.state == "rejected":
        _repeat(batch, redemption, REQUEST)
    else:
        _bring_to(batch, redemption.member, redemption.wallet, received.occurred_at)
        counted = redemption.counts
        answer = decisions.cancel(redemption, occurred_at=received.occurred_at, program=batch.newest, book=batch.book)
        _settle(batch, received, redemption, CANCEL, answer, counted=counted)


#: Who decides about an event, by type.
DECISIONS: Mapping[str, Callable[[Batch, Received], None]] = {
    redemptions.REQUESTED: _request,
    redemptions.CONFIRMED: _confirm,
    redemptions.CANCELLED: _cancel,
}


def _asked_for(batch: Batch, received: Received) -> Redemption | None:
    """Return the redemption that an event is about; or refuse the event."""
    redemption = batch.state.redemptions.get(received.key)
    if redemption is None:
        batch.refuse(
            received,
            "unknown-redemption",
            f"no redemption {received.event.redemption_id!r} of {received.source} was asked for; "
            "send the request first",
        )
        return None
    if redemption.member != received.event.member_id:
        batch.refuse(received, "other-member", f"redemption {redemption.redemption_id} is not of this member")
        return None
    return redemption


def _decide_request(batch: Batch, received: Received) -> None:
    event, state = received.event, batch.state
    program = in_force(state.programs, received.occurred_at)
    reward = program.rewards.get(event.reward) if program else None
    wallet = reward.wallet if reward is not None else decisions.wallet_shown(batch.newest)
    _bring_to(batch, event.member_id, wallet, received.occurred_at)
    redemption, answer = decisions.request(
        event,
        key=received.key,
        content_hash=received.content_hash,
        source=received.source,
        occurred_at=received.occurred_at,
        program=program,
        newest=batch.newest,
        standing=_standing(batch, program, received),
        had=state.had,
        book=batch.book,
    )
    state.redemptions[received.key] = redemption
    batch.effects.new.append(NewRedemption(redemption, batch.mark.seq, received.position))
    _count(batch, redemption, 1)
    _answer(batch, received, redemption, REQUEST, answer)


def _settle(
    batch: Batch, received: Received, redemption: Redemption, asked: str, answer: Answer, *, counted: bool
) -> None:
    """Keep what became of a redemption; ``counted`` is whether it counted towards the reward's limit before."""
    _count(batch, redemption, redemption.counts - counted)
    _answer(batch, received, redemption, asked, answer)
    batch.effects.changed[redemption.key] = redemption


def _bring_to(batch: Batch, member: str, wallet: str, instant: int) -> None:
    """Apply what is due first: a hold that times out changes what is possible."""
    batch.book.advance_to(batch.state.accounts[member, wallet], instant)
    batch.announce_timed_effects()


def _count(batch: Batch, redemption: Redemption, change: int) -> None:
    key = (redemption.member, redemption.reward)
    if redemption.counts or change < 0:
        batch.state.had[key] = batch.state.had.get(key, 0) + change


def _standing(batch: Batch, program: Program | None, received: Received) -> Standing:
    if program is None or program.ladder is None:
        return Standing(None, 0)
    account = batch.state.accounts[received.event.member_id, program.ladder.wallet]
    number = batch.tiers.number_at(account, program.ladder, received.occurred_at)
    return Standing(program.ladder.tiers[number].tier, number)


def _answer(batch: Batch, received: Received, redemption: Redemption, asked: str, answer: Answer) -> None:
    batch.announce_timed_effects()
    message = batch.send(answer.type, answer.id, redemption.member, answer.data, correlation(redemption.redemption_id))
    redemption.answers[asked] = pack([message])
    batch.accept(received)
    batch.effects.answered[answer.data["state"], answer.data["reason"] or ""] += 1


def _repeat(batch: Batch, redemption: Redemption, asked: str) -> None:
    """Say again, word for word, what was said."""
    batch.decisions.messages.extend(unpack_messages(redemption.answers[asked]))
    batch.decisions.duplicates += 1


# ---- time


def _note_timed_effect(state: State, effects: Effects, effect: TimedEffect) -> None:
    effects.timed[effect.account.wallet, effect.what] += effect.points
    if effect.hold is None:
        return
    key = (effect.account.member, effect.hold.reward)
    state.had[key] = state.had.get(key, 0) - 1
    redemption = state.redemptions.get(effect.hold.key)
    if redemption is not None:
        time_out(redemption, effect.instant)


def time_out(redemption: Redemption, instant: int) -> None:
    """Note that a hold was released because nobody confirmed it in time."""
    redemption.state, redemption.reason, redemption.settled_at = "released", "timed-out", instant
