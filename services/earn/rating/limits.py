"""What caps, budgets and splits among wallets leave of what rules pay. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.earn.rating.allocation import split
from services.earn.rating.awards import Award, Verdict, say_instead
from shared.program.compiled.rating_context import RatingContext
from shared.program.compiled.tallies import Key, Limit


class Limits:
    """The caps and budgets that one order meets.

    Attributes:
        cut: Whether they took something off.
    """

    __slots__ = ("_caps", "_counted", "_occasion", "_of_order", "_verdicts", "cut")

    def __init__(
        self,
        caps: Mapping[str, tuple[Limit, ...]],
        occasion: RatingContext,
        counted: dict[Key, int],
        verdicts: list[Verdict] | None,
    ) -> None:
        """Begin.

        Args:
            caps: Of all that a wallet gets, by wallet.
            occasion: The order.
            counted: What it adds to tallies; what is granted is added.
            verdicts: Changed, if given, for rules that get less.
        """
        self._caps = caps
        self._occasion = occasion
        self._counted = counted
        self._of_order: dict[Key, int] = {}
        self._verdicts = verdicts
        self.cut = False

    def within(self, awards: Sequence[Award]) -> list[Award]:
        """Cap what rules pay, part it among wallets, and cap what each wallet gets."""
        capped = [left for award in awards if (left := self._capped(award, award.rule.caps)) is not None]
        paid: list[Award] = []
        for part in [part for award in capped for part in _parted(award)]:
            limits = self._caps[part.wallet]
            if (left := self._capped(part, limits)) is not None:
                paid.append(left)
                self._note(left.points, limits)
        # Only now: what a wallet's cap cuts off has not used up the rule's own.
        for award in paid:
            self._note(award.points, award.rule.caps)
        return paid

    def _capped(self, award: Award, limits: Sequence[Limit]) -> Award | None:
        """Return what caps leave of an award."""
        granted = award.points
        for limit in limits:
            left = limit.most - self._used(limit)
            if left < granted:
                granted = max(0, left)
                detail = f"{award.points:,} without the {_word(limit)} of {limit.most:,} {_per(limit)}"
                say_instead(self._verdicts, award.rule, "capped", detail, granted)
        if granted == award.points:
            return award
        self.cut = True
        return Award(award.rule, award.wallet, granted, split(granted, award.line_points)) if granted else None

    def _note(self, points: int, limits: Sequence[Limit]) -> None:
        """Count what was granted: the next award, or the next order, finds it gone."""
        for limit in limits:
            counted = self._of_order if limit.per == "order" else self._counted
            key = limit.key(self._occasion.local.date())
            counted[key] = counted.get(key, 0) + points

    def _used(self, limit: Limit) -> int:
        """Return how much of a cap is gone, by this order and by those before it."""
        key = limit.key(self._occasion.local.date())
        if limit.per == "order":
            return self._of_order.get(key, 0)
        return self._occasion.known.count(key) + self._counted.get(key, 0)


def _parted(award: Award) -> Iterator[Award]:
    """Part an award among wallets, largest remainder first; a wallet that gets nothing is left out."""
    if not award.rule.split:
        yield award
        return
    weights = [weight for _wallet, weight in award.rule.split]
    for (wallet, _), points in zip(award.rule.split, split(award.points, weights), strict=True):
        if points:
            yield Award(award.rule, wallet, points, split(points, award.line_points))


def _per(limit: Limit) -> str:
    return "in all" if limit.per == "in all" else f"per {limit.per}"


def _word(limit: Limit) -> str:
    return "budget" if limit.is_budget else "cap"
