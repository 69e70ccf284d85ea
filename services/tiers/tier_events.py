"""What is to be told of a standing: what is new since the last time, each thing once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import jiter
import pydantic_core

from shared.contracts.tiers import TierChanged
from shared.instants import BEGINNING, NEVER, iso
from shared.program.compiled.ladders import Ladders
from shared.tier_status.fold import Change, State, TierInput, advance, fold, metric_value, next_due, recounted

#: (instant, change, tier): enough to recognise what was told.
Told = tuple[int, str, str]


@dataclass(slots=True)
class Announced:
    """What was told of a standing; kept apart from the checkpoint, which knows nothing of sweeps.

    Attributes:
        until: The instant up to which it was told.
        tier: The tier that subscribers believe in; empty before the first.
        number: Of the last change in ``tier_history``.
        warned: The end of a tier that was announced last.
        ahead: What was told of the time after the checkpoint's last entry.
    """

    until: int = BEGINNING
    tier: str = ""
    number: int = 0
    warned: int = BEGINNING
    ahead: list[Told] = field(default_factory=list)

    def dump(self) -> str:
        """Return it as JSON."""
        return pydantic_core.to_json({name: getattr(self, name) for name in Announced.__slots__}).decode()

    @classmethod
    def load(cls, text: str) -> Announced:
        """Return what ``dump`` wrote; of an empty text, that nothing was told."""
        if not text:
            return cls()
        raw = jiter.from_json(text.encode())
        raw["ahead"] = [(instant, change, tier) for instant, change, tier in raw["ahead"]]
        return cls(**raw)


@dataclass(slots=True)
class TierStatus:
    """One account of a ladder's wallet, as this service holds it.

    Attributes:
        state: The checkpoint: the fold over entries up to its version, and over no more time than theirs.
        inputs: The entries after it, in version order.
        next_due: When time alone changes something, as of the last treatment; BEGINNING: treat it in any case.
    """

    account: int
    member: str
    wallet: str
    state: State = field(default_factory=State)
    announced: Announced = field(default_factory=Announced)
    inputs: list[TierInput] = field(default_factory=list)
    next_due: int = BEGINNING


class NumberedChange(NamedTuple):
    """A change and its number in the account's history; an announced end has number 0, for it is not kept."""

    number: int
    change: Change


class Evaluation(NamedTuple):
    """What one treatment of a standing led to.

    Attributes:
        shown: The state advanced to ``announced.until``.
        metric_value: Of the window there.
        news: What is to be told.
    """

    standing: TierStatus
    shown: State
    metric_value: int
    news: list[NumberedChange]


def evaluate(
    standing: TierStatus, ladder_at: Ladders, until: int = BEGINNING, version: int | None = None
) -> Evaluation:
    """Fold the entries that wait, advance a copy, and find what is new; changes the standing.

    Args:
        standing: Locked by the caller.
        ladder_at: Of its wallet.
        until: Advance the copy at least so far; it never goes back behind what was announced.
        version: Fold up to this version only (a replay); None: all that there are.
    """
    steps = [step for step in standing.inputs if version is None or step.version <= version]
    standing.state, folded = fold(standing.state, steps, ladder_at)
    del standing.inputs[: len(steps)]
    announced, shown = standing.announced, standing.state.copy()
    announced.until = max(announced.until, until, shown.as_of)
    ahead = advance(shown, announced.until, ladder_at)
    news = [
        NumberedChange(_number(announced, change), change)
        for change in _news(announced, [*folded, *ahead], shown, ladder_at)
    ]
    announced.ahead = [_told(change) for change in ahead]
    standing.next_due = next_due(shown, ladder_at)
    ladder = ladder_at(announced.until)
    # Of whom there is no entry yet, there is no year of membership either.
    value = metric_value(shown, ladder, announced.until) if ladder and shown.version else 0
    return Evaluation(standing, shown, value, news)


def _news(announced: Announced, changes: Sequence[Change], shown: State, ladder_at: Ladders) -> list[Change]:
    """Return what was not told yet, as a chain from the tier that subscribers believe in to the one that is true.

    A late entry may lie before changes that a sweep announced. Then what was told is not told again, what is new is
    told as the step that it is for the subscribers, and if the tier came out otherwise, that is told last.
    """
    news: list[Change] = []
    for change in changes:
        if _told(change) in announced.ahead:
            continue
        if not announced.tier:
            announced.tier = change.old_tier
        if change.change == "expiring":
            if change.tier == announced.tier and change.valid_until != announced.warned:
                announced.warned = change.valid_until
                news.append(change)
        elif change.old_tier == announced.tier:
            news.append(change)
            announced.tier = change.tier
        elif change.tier != announced.tier:
            news.append(_from(announced.tier, change, ladder_at))
            announced.tier = change.tier
    ladder = ladder_at(announced.until)
    if shown.tier != announced.tier:
        if ladder and ladder.number_of(shown.tier) != ladder.number_of(announced.tier):
            news.append(recounted(shown, ladder, announced.tier))
        announced.tier = shown.tier
    return news


def _from(told: str, change: Change, ladder_at: Ladders) -> Change:
    ladder = ladder_at(change.occurred_at)
    assert ladder is not None, "tiers change on a ladder"
    up = ladder.number_of(change.tier) > ladder.number_of(told)
    return change._replace(old_tier=told, change="upgraded" if up else "downgraded")


def _number(announced: Announced, change: Change) -> int:
    if change.change == "expiring":
        return 0
    announced.number += 1
    return announced.number


def _told(change: Change) -> Told:
    return change.occurred_at, change.change, change.tier


def message_id(account: int, number: int, change: Change) -> str:
    """Return the id of a change's event: the same whoever publishes it, and whenever."""
    return f"tier-{change.change}-{account}-{number or change.valid_until}"


def event_of(standing: TierStatus, program_id: str, change: Change) -> TierChanged:
    """Return the event that announces a change."""
    return {
        "member_id": standing.member,
        "program_id": program_id,
        "account": standing.account,
        "version": change.version,
        "change": change.change,
        "reason": change.reason,
        "old_tier": change.old_tier,
        "tier": change.tier,
        "metric": change.metric,
        "metric_value": change.metric_value,
        "valid_from": iso(change.valid_from),
        "valid_until": None if change.valid_until >= NEVER else iso(change.valid_until),
        "to_keep": change.to_keep,
        "next_tier": change.next_tier,
        "to_next": change.to_next,
        "occurred_at": iso(change.occurred_at),
    }
