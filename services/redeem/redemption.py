"""How a redemption goes from request to reward: pure decisions.

Reserving fixes the points: held ones neither expire nor can be taken until they are confirmed, released or timed out.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.redeem.model import CANCEL, CONFIRM, REQUEST, Answer, Redemption, Standing
from shared.contracts import rewards
from shared.contracts.redemptions import RedemptionRequested
from shared.instants import NEVER
from shared.ledger.book import Book
from shared.ledger.model import NO_RULE, Account, Cause, Hold
from shared.posting.events import balance_of
from shared.posting.reward_events import reward_granted, reward_rejected
from shared.program.compiled.program import Program, Reward


def request(
    event: RedemptionRequested,
    *,
    key: bytes,
    content_hash: bytes,
    source: str,
    occurred_at: int,
    program: Program | None,
    newest: Program,
    standing: Standing,
    had: Mapping[tuple[str, str], int],
    book: Book,
) -> tuple[Redemption, Answer]:
    """Hold points for a reward, spend them at once if the till wants that, or say why not.

    Args:
        event: A request that was not seen before.
        key: Its business key.
        content_hash: Of its content.
        source: The source of its envelope.
        occurred_at: Its instant.
        program: The version in force then, if there was one.
        newest: The newest version.
        standing: The member's tier at that instant.
        had: How often members have rewards, by (member, reward).
        book: The member's accounts with all their lots.
    """
    reward = program.rewards.get(event.reward) if program else None
    made = Redemption(
        key,
        content_hash,
        source,
        event.redemption_id,
        None,
        event.member_id,
        reward.wallet if reward else "",
        event.reward,
        "rejected",
        "",
        reward.cost if reward else 0,
        occurred_at,
        NEVER,
        occurred_at,
        program.version if program else 0,
    )
    if program is None or reward is None:
        made.reason = "no-program" if program is None else "unknown-reward"
        shown = book.accounts[event.member_id, wallet_shown(newest)]
        book.advance_to(shown, occurred_at)
        return made, _rejected(made, REQUEST, newest, standing, None, occurred_at, shown, had)
    account = book.accounts[event.member_id, reward.wallet]
    made.account = account.account
    book.advance_to(account, occurred_at)
    made.reason = _why_not(reward, program, standing, had.get((event.member_id, event.reward), 0), account)
    if made.reason:
        return made, _rejected(made, REQUEST, program, standing, reward, occurred_at, account, had)
    cause = Cause(key, program.version, NO_RULE)
    made.parts = book.reserve(account, reward.cost, cause)
    if event.confirm:
        made.state = "redeemed"
        book.redeem(account, made.parts, key, cause)
        return made, _granted(made, rewards.REDEEMED, program, account, occurred_at)
    made.state, made.settled_at, made.held_until = "reserved", None, account.as_of + reward.hold
    book.hold(account, Hold(key, made.held_until, made.parts, source, made.redemption_id, made.reward))
    return made, _granted(made, rewards.RESERVED, program, account, occurred_at)


def wallet_shown(program: Program) -> str:
    """Return the wallet whose balance tells what would be possible where no reward says it: that of the first one."""
    return next(iter(program.rewards.values())).wallet if program.rewards else program.wallets[0]


def _why_not(reward: Reward, program: Program, standing: Standing, had: int, account: Account) -> str:
    if reward.tier is not None and (program.ladder is None or standing.number < program.ladder.number_of(reward.tier)):
        return "tier-too-low"
    if reward.limit is not None and had >= reward.limit:
        return "limit-reached"
    return "not-enough-points" if account.available < reward.cost else ""


def confirm(
    redemption: Redemption,
    *,
    occurred_at: int,
    program: Program,
    standing: Standing,
    had: Mapping[tuple[str, str], int],
    book: Book,
) -> Answer:
    """Spend what is held. After a time-out the same cost is taken again, if there is enough.

    Args:
        redemption: Neither confirmed nor cancelled before; changed in place.
        occurred_at: When it was confirmed.
        program: The newest version.
        standing: The member's tier.
        had: How often members have rewards, by (member, reward).
        book: The member's accounts with all their lots.
    """
    account = book.accounts[redemption.member, redemption.wallet]
    book.advance_to(account, occurred_at)
    cause = Cause(redemption.key, redemption.program_version, NO_RULE)
    if redemption.state == "released":
        reward = program.rewards.get(redemption.reward)
        limit = reward.limit if reward else None
        reached = limit is not None and had.get((redemption.member, redemption.reward), 0) >= limit
        if redemption.reason != "timed-out" or reached or account.available < redemption.points:
            reason = "reservation-timed-out" if redemption.reason == "timed-out" else "cancelled"
            reason = "limit-reached" if reached and redemption.reason == "timed-out" else reason
            return _rejected(
                redemption,
                CONFIRM,
                program,
                standing,
                program.rewards.get(redemption.reward),
                occurred_at,
                account,
                had,
                reason,
            )
        redemption.parts = book.reserve(account, redemption.points, cause)
    book.redeem(account, redemption.parts, redemption.key, cause)
    redemption.state, redemption.reason, redemption.settled_at = "redeemed", "", account.as_of
    return _granted(redemption, rewards.REDEEMED, program, account, occurred_at)


def cancel(redemption: Redemption, *, occurred_at: int, program: Program, book: Book) -> Answer:
    """Release what is held, or give back what was spent; after a time-out there is nothing left to do.

    Args:
        redemption: Not rejected; changed in place.
        occurred_at: When it was cancelled.
        program: The newest version.
        book: The member's accounts with all their lots.
    """
    account = book.accounts[redemption.member, redemption.wallet]
    book.advance_to(account, occurred_at)
    cause = Cause(redemption.key, redemption.program_version, NO_RULE)
    if redemption.state == "reserved":
        book.cancel(account, account.holds[redemption.key], cause)
        redemption.state, redemption.reason, redemption.settled_at = "released", "cancelled", account.as_of
    elif redemption.state == "redeemed":
        book.refund(account, redemption.parts, cause)
        redemption.state, redemption.reason, redemption.settled_at = "refunded", "cancelled", account.as_of
    kind = rewards.REFUNDED if redemption.state == "refunded" else rewards.RELEASED
    answer = _granted(redemption, kind, program, account, occurred_at)
    return answer._replace(id=f"{answer.id}-{CANCEL}")


def _granted(redemption: Redemption, kind: str, program: Program, account: Account, occurred_at: int) -> Answer:
    data = reward_granted(
        program,
        account,
        redemption.name,
        state=redemption.state,  # type: ignore[arg-type]  # a granted one is never rejected
        reason=redemption.reason,
        points=redemption.points,
        held_until=redemption.held_until if redemption.state == "reserved" else None,
        occurred_at=occurred_at,
        version=account.version,
        balance_then=balance_of(account),
    )
    return Answer(kind, f"{redemption.state}-{redemption.key.hex()}", data)


def _rejected(
    redemption: Redemption,
    asked: str,
    program: Program,
    standing: Standing,
    reward: Reward | None,
    occurred_at: int,
    account: Account,
    had: Mapping[tuple[str, str], int],
    reason: str = "",
) -> Answer:
    possible = [
        other.reward
        for other in sorted(program.rewards.values(), key=lambda other: (other.cost, other.reward))
        if other.wallet == account.wallet
        and other.cost <= account.available
        and (other.limit is None or had.get((redemption.member, other.reward), 0) < other.limit)
        and (other.tier is None or (program.ladder and standing.number >= program.ladder.number_of(other.tier)))
    ]
    data = reward_rejected(
        program,
        account,
        redemption.name,
        reason=reason or redemption.reason,  # type: ignore[arg-type]  # one of the words of this module
        points=redemption.points,
        possible=possible,
        tier=standing.tier,
        tier_needed=reward.tier if reward else None,
        occurred_at=occurred_at,
    )
    return Answer(rewards.REJECTED, f"rejected-{redemption.key.hex()}-{asked}", data)
