"""The compiled program: everything that does not depend on the purchase is computed once per version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Literal
from zoneinfo import ZoneInfo

from shared.contracts.fields import minor_digits
from shared.instants import BEGINNING, NEVER, microseconds
from shared.program.compiled.calendar import idle_instant, idle_terms, start_of_day
from shared.program.compiled.ladder import Ladder, compile_ladder
from shared.program.compiled.lifetimes import Lifetime
from shared.program.compiled.matching import LineTest, any_of
from shared.program.compiled.rulebook import RuleBook, compile_rules
from shared.program.compiled.rules import Rule, lifetime
from shared.program.language.model import ProgramFile, Spend, scale_of, wallet_with_unit
from shared.program.language.phrases import Points
from shared.program.language.phrases_of_time import Pending
from shared.program.language.sections import Notifications


@dataclass(frozen=True, slots=True)
class Wallet:
    """How a wallet treats its points.

    Attributes:
        pending: When they become available; None: at once.
        on_return: What a return does about points that were already spent: debt, clamp or withhold.
        remind: How many days before an expiry it is announced, in descending order.
        grace_days: How long points live on that come back after their expiry; 0: they expire at once.
    """

    pending: Pending | None
    on_return: str
    remind: tuple[int, ...]
    grace_days: int = 0


@dataclass(frozen=True, slots=True)
class Referral:
    """What a referral pays, and on which conditions. Amounts are minor units."""

    referrer: tuple[str, int]
    friend: tuple[str, int]
    minimum: int
    within_days: int
    at_most_a_month: int


@dataclass(frozen=True, slots=True)
class Reward:
    """What points buy. ``worth`` is in minor units of the program's currency, ``hold`` in microseconds."""

    reward: str
    wallet: str
    cost: int
    worth: int
    tier: str | None
    limit: int | None
    hold: int


@dataclass(frozen=True, slots=True)
class Program:
    """One version of a program, compiled.

    Attributes:
        effective_from: ``effective_at`` in microseconds since 1970.
        worth: By an order's currency: how many minor units of the program's currency one of its minor units is worth.
        lifetimes: By wallet, of points whose rule does not say otherwise.
        needs_tier: Whether what a purchase earns depends on the member's tier.
    """

    version: int
    program_id: str
    currency: str
    zone: ZoneInfo
    effective_at: datetime
    effective_from: int
    worth: dict[str, Fraction]
    spend: Spend
    multipliers: Literal["add", "multiply", "highest"]
    book: RuleBook
    wallets: tuple[str, ...]
    never_earns: LineTest
    lifetimes: dict[str, Lifetime]
    terms: dict[str, Wallet]
    referral: Referral | None
    rewards: dict[str, Reward]
    ladder: Ladder | None
    notifications: Notifications | None
    templates: dict[str, str]
    needs_tier: bool
    _idle_until: dict[tuple[str, date], int] = field(default_factory=dict)
    _reminders: dict[tuple[str, int], tuple[tuple[int, int], ...]] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The earning rules, in the file's order."""
        return self.book.rules

    def day_of(self, moment: datetime) -> date:
        """Return the calendar day of an instant in the program's time zone."""
        return moment.astimezone(self.zone).date()

    def day_at(self, instant: int) -> date:
        """Return the calendar day of an instant in microseconds since 1970."""
        return self.day_of(datetime.fromtimestamp(instant / 1_000_000, UTC))

    def idle_until(self, idle: str, earned_at: int, redeemed_at: int) -> int:
        """Return when points that expire by inactivity expire, unless the member becomes active before.

        Args:
            idle: The inactivity term (``Terms.idle``).
            earned_at: When the member last earned in the wallet; BEGINNING: never.
            redeemed_at: When the member last redeemed from it.
        """
        expiry, redeeming_counts = idle_terms(idle)
        last = max(earned_at, redeemed_at) if redeeming_counts else earned_at
        if last == BEGINNING:
            return NEVER
        day = self.day_at(last)
        known = self._idle_until.get((idle, day))
        if known is None:
            if len(self._idle_until) > 10_000:
                self._idle_until.clear()
            gone = idle_instant(expiry, day, self.zone)
            known = self._idle_until[idle, day] = NEVER if gone is None else microseconds(gone)
        return known

    def reminders(self, wallet: str, expires_at: int) -> tuple[tuple[int, int], ...]:
        """Return (instant, days before) of each announcement of an expiry, the earliest first.

        Days are counted back from the day of the expiry; an announcement is due at the beginning of its day.
        """
        if expires_at == NEVER or wallet not in self.terms or not self.terms[wallet].remind:
            return ()
        key = (wallet, expires_at)
        if key not in self._reminders:
            if len(self._reminders) > 10_000:
                self._reminders.clear()
            gone = self.day_at(expires_at)
            self._reminders[key] = tuple(
                (microseconds(start_of_day(gone - timedelta(days=days), self.zone)), days)
                for days in self.terms[wallet].remind
            )
        return self._reminders[key]


def compile_program(program: ProgramFile, version: int, templates: Mapping[str, str] | None = None) -> Program:
    """Compile a program file that ``loader.load`` accepted.

    Args:
        program: The file.
        version: The number under which it is published.
        templates: The texts of its notifications by file name, if it has any.
    """
    zone = ZoneInfo(program.time_zone)
    ladder = compile_ladder(program.ladder, program, zone) if program.ladder else None
    book = compile_rules(program, ladder, zone)
    return Program(
        version=version,
        program_id=program.program,
        currency=program.currency,
        zone=zone,
        effective_at=start_of_day(program.effective, zone),
        effective_from=microseconds(start_of_day(program.effective, zone)),
        worth=_worth(program),
        spend=program.spend,
        multipliers=program.multipliers,
        book=book,
        wallets=tuple(sorted(program.wallets)),
        never_earns=any_of(program.never_earns or ()),
        lifetimes={slug: lifetime(program, slug, None, zone) for slug in program.wallets},
        terms={
            slug: Wallet(
                wallet.pending,
                wallet.on_return,
                tuple(sorted(set(wallet.remind), reverse=True)),
            )
            for slug, wallet in program.wallets.items()
        },
        referral=_compile_referral(program),
        rewards={reward.reward: reward for reward in _compile_rewards(program)},
        ladder=ladder,
        notifications=program.notifications,
        templates=dict(templates or {}),
        needs_tier=ladder is not None
        and (ladder.multiplies or any(rule.when and rule.when.tier for rule in program.earning)),
    )


def _worth(program: ProgramFile) -> dict[str, Fraction]:
    digits = minor_digits(program.currency)
    others = {
        currency: money.amount * 10**digits / 10 ** minor_digits(currency)
        for currency, money in program.also_accepts.items()
    }
    return {program.currency: Fraction(1), **others}


def _compile_referral(program: ProgramFile) -> Referral | None:
    section = program.referral
    if section is None:
        return None
    return Referral(
        referrer=_points(program, section.referrer),
        friend=_points(program, section.friend),
        minimum=section.purchase_of_at_least.minor,
        within_days=section.within_days,
        at_most_a_month=section.at_most_a_month,
    )


def _points(program: ProgramFile, points: Points) -> tuple[str, int]:
    wallet = wallet_with_unit(program, points.unit)[0]
    return wallet, points.points * scale_of(program, wallet)


def _compile_rewards(program: ProgramFile) -> Iterator[Reward]:
    for section in program.rewards:
        wallet, cost = _points(program, section.cost)
        yield Reward(
            reward=section.reward,
            wallet=wallet,
            cost=cost,
            worth=section.worth.minor,
            tier=section.tier,
            limit=section.limit,
            hold=section.hold.microseconds,
        )


def in_force(versions: Sequence[Program], instant: int) -> Program | None:
    """Return the version that rates a purchase of an instant: the latest effective one, the newest if several are."""
    found: Program | None = None
    for program in versions:
        if program.effective_from <= instant and (
            found is None or (program.effective_from, program.version) > (found.effective_from, found.version)
        ):
            found = program
    return found
