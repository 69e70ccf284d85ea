"""The compiled ladder of tiers: thresholds as integers, tiers in order."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from shared.contracts.fields import in_money, minor_digits
from shared.program.language import sections

if TYPE_CHECKING:
    from shared.program.language.model import ProgramFile

Metric = Literal["spend", "points"]
Window = Literal["calendar year", "membership year", "rolling 12 months", "lifetime"]


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier: its threshold in minor units or points, and the multiplier of what its members earn."""

    tier: str
    name: str
    threshold: int
    multiplier: Fraction


@dataclass(frozen=True, slots=True)
class Ladder:
    """How members move up and down.

    Attributes:
        wallet: The wallet whose account carries the qualifying amounts.
        holds: True: a tier is kept while the metric reaches it; False: for the rest of the period and the next one.
        tiers: The lowest first; the first one begins at 0.
        multiplies: Whether any tier earns more than others.
        currency: The currency of a metric that is money.
    """

    wallet: str
    metric: Metric
    window: Window
    holds: bool
    soft_landing: bool
    grace_days: int
    warn_days: int
    tiers: tuple[Tier, ...]
    zone: ZoneInfo
    multiplies: bool
    currency: str = ""

    def in_words(self, value: int) -> str:
        """Return a value of the metric for people: ``1,649.00 USD``, ``520 points``."""
        return in_money(value, self.currency) if self.metric == "spend" and self.currency else f"{value:,} points"

    def reached(self, value: int) -> int:
        """Return the number (from 0) of the highest tier that a metric value reaches; 0 if it is below all of them."""
        number = 0
        for index, tier in enumerate(self.tiers):
            if value >= tier.threshold:
                number = index
        return number

    def number_of(self, tier: str) -> int:
        """Return a tier's number; 0 for a tier that is no longer on this ladder."""
        return next((number for number, level in enumerate(self.tiers) if level.tier == tier), 0)


def compile_ladder(section: sections.Ladder, program: ProgramFile, zone: ZoneInfo) -> Ladder:
    """Compile a valid ladder."""
    scale = 10 ** minor_digits(program.currency) if section.metric == "spend" else 1
    tiers = tuple(Tier(t.tier, t.name, int(t.from_.amount * scale), t.multiplier) for t in section.tiers)
    return Ladder(
        wallet=section.wallet or next(iter(program.wallets)),
        metric=section.metric,
        window=section.window,
        holds=section.keep == "while the metric holds",
        soft_landing=section.soft_landing,
        grace_days=section.grace_days,
        warn_days=section.warn_days,
        tiers=tiers,
        zone=zone,
        multiplies=any(tier.multiplier != 1 for tier in tiers),
        currency=program.currency,
    )
