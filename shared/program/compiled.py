"""A program made ready to rate: everything that does not depend on the purchase is worked out once a version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from shared.contracts.fields import minor_digits
from shared.contracts.purchases import Line, PurchaseCompleted
from shared.instants import BEGINNING, NEVER, microseconds
from shared.program.grammar import Expiry, Rounding
from shared.program.ladder import Ladder, compile_ladder
from shared.program.model import EarningRule, ProductMatch, ProgramFile, wallet_with_unit
from shared.program.phrases import Money, Pending
from shared.program.sections import Notifications

LineTest = Callable[[Line], bool]
#: Points that a rule pays, not yet rounded, from (minor units, items) of the matched lines.
Rate = Callable[[int, int], Fraction]


@dataclass(frozen=True, slots=True)
class Rule:
    """One earning rule, compiled.

    Attributes:
        index: The rule's position in its version of the file; with the version it names the rule in the ledger.
        matches: Tests one line; None if every earning line counts.
        step: Minor units a step and points a step, if the rate is a plain integer division (the common case).
    """

    index: int
    name: str
    wallet: str
    applies: Callable[[PurchaseCompleted, date], bool] | None
    matches: LineTest | None
    rate: Rate
    rounding: Rounding
    step: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Wallet:
    """How a wallet treats its points.

    Attributes:
        pending: When they become available; None: at once.
        on_return: What happens to points of a return that are spent already: debt, clamp or withhold.
        remind: Days before an expiry on which it is announced, the most first.
    """

    pending: Pending | None
    on_return: str
    remind: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Referral:
    """What a referral pays, and when. Amounts are minor units."""

    referrer: tuple[str, int]
    friend: tuple[str, int]
    minimum: int
    within_days: int
    at_most_a_month: int


@dataclass(frozen=True, slots=True)
class Reward:
    """What points buy. ``worth`` is minor units of the program's currency, ``hold`` microseconds."""

    reward: str
    wallet: str
    cost: int
    worth: int
    tier: str | None
    limit: int | None
    hold: int


@dataclass(frozen=True, slots=True)
class Program:
    """One version of a program, compiled."""

    version: int
    program_id: str
    currency: str
    zone: ZoneInfo
    effective_at: datetime
    rules: tuple[Rule, ...]
    wallets: tuple[str, ...]
    never_earns: LineTest
    terms: dict[str, Wallet]
    referral: Referral | None
    rewards: dict[str, Reward]
    ladder: Ladder | None
    notifications: Notifications | None
    templates: dict[str, str]
    _expiries: dict[str, Expiry]
    _expires_at: dict[tuple[str, date], datetime | None] = field(default_factory=dict)
    _reminders: dict[tuple[str, int], tuple[tuple[int, int], ...]] = field(default_factory=dict)
    _available_at: dict[tuple[str, date], int] = field(default_factory=dict)

    def day_of(self, moment: datetime) -> date:
        """Return the calendar day of an instant where the program lives."""
        return moment.astimezone(self.zone).date()

    def expires_at(self, wallet: str, day: date) -> datetime | None:
        """Return the first instant at which points earned on ``day`` are gone; None if they never are."""
        key = (wallet, day)
        if key not in self._expires_at:
            if len(self._expires_at) > 10_000:
                self._expires_at.clear()
            self._expires_at[key] = expiry_instant(self._expiries[wallet], day, self.zone)
        return self._expires_at[key]

    def available_at(self, wallet: str, day: date) -> int:
        """Return when points earned on ``day`` become available (microseconds since 1970).

        BEGINNING: at once. NEVER: when the order is fulfilled. Else the beginning of the day that the count reaches.
        """
        pending = self.terms[wallet].pending
        if pending is None:
            return BEGINNING
        if pending.days is None:
            return NEVER
        key = (wallet, day)
        if key not in self._available_at:
            if len(self._available_at) > 10_000:
                self._available_at.clear()
            self._available_at[key] = microseconds(start_of_day(day + timedelta(days=pending.days), self.zone))
        return self._available_at[key]

    def reminders(self, wallet: str, expires_at: int) -> tuple[tuple[int, int], ...]:
        """Return (instant, days before) of each announcement of an expiry, the earliest first.

        The last day that points live is counted back by whole days; announcements come at the beginning of a day.
        """
        if expires_at == NEVER or wallet not in self.terms or not self.terms[wallet].remind:
            return ()
        key = (wallet, expires_at)
        if key not in self._reminders:
            if len(self._reminders) > 10_000:
                self._reminders.clear()
            gone = self.day_of(datetime.fromtimestamp(expires_at / 1_000_000, UTC))
            self._reminders[key] = tuple(
                (microseconds(start_of_day(gone - timedelta(days=days), self.zone)), days)
                for days in self.terms[wallet].remind
            )
        return self._reminders[key]


def expiry_instant(expiry: Expiry, day: date, zone: ZoneInfo) -> datetime | None:
    """Return the instant after the last local day on which points earned on ``day`` live, in UTC.

    31 January + 1 month is the last day of February (``relativedelta``). A midnight that a zone skips
    (Cairo, Beirut) is the first instant of the day that exists.
    """
    if expiry.count is None:
        return None
    if day.year > MAXYEAR - 101:
        return None  # the calendar ends before the points do
    last = day + relativedelta(**{f"{expiry.unit}s": expiry.count})  # type: ignore[arg-type]
    if expiry.to_the_end_of == "month":
        last += relativedelta(day=31)
    elif expiry.to_the_end_of == "quarter":
        last = last + relativedelta(months=(3 - last.month) % 3) + relativedelta(day=31)
    elif expiry.to_the_end_of == "year":
        last = date(last.year, 12, 31)
    return start_of_day(last + timedelta(days=1), zone)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local day, in UTC."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def compile_program(program: ProgramFile, version: int, templates: Mapping[str, str] | None = None) -> Program:
    """Compile a program file that ``loader.load`` accepted.

    Args:
        program: The file.
        version: The number under which it is published.
        templates: The texts of its notifications by file name, if it has any.
    """
    zone = ZoneInfo(program.time_zone)
    rules = tuple(_compile_rule(program, rule, index) for index, rule in enumerate(program.earning))
    return Program(
        version=version,
        program_id=program.program,
        currency=program.currency,
        zone=zone,
        effective_at=start_of_day(program.effective, zone),
        rules=rules,
        wallets=tuple(sorted(program.wallets)),
        never_earns=_any_of(program.never_earns or ()),
        terms={
            slug: Wallet(wallet.pending, wallet.on_return, tuple(sorted(set(wallet.remind), reverse=True)))
            for slug, wallet in program.wallets.items()
        },
        referral=_compile_referral(program),
        rewards={reward.reward: reward for reward in _compile_rewards(program)},
        ladder=compile_ladder(program.ladder, program, zone) if program.ladder else None,
        notifications=program.notifications,
        templates=dict(templates or {}),
        _expiries={slug: wallet.expiry for slug, wallet in program.wallets.items()},
    )


def _compile_referral(program: ProgramFile) -> Referral | None:
    section = program.referral
    if section is None:
        return None
    return Referral(
        referrer=(wallet_with_unit(program, section.referrer.unit)[0], section.referrer.points),
        friend=(wallet_with_unit(program, section.friend.unit)[0], section.friend.points),
        minimum=_minor(section.purchase_of_at_least),
        within_days=section.within_days,
        at_most_a_month=section.at_most_a_month,
    )


def _compile_rewards(program: ProgramFile) -> Iterator[Reward]:
    for section in program.rewards:
        yield Reward(
            reward=section.reward,
            wallet=wallet_with_unit(program, section.cost.unit)[0],
            cost=section.cost.points,
            worth=_minor(section.worth),
            tier=section.tier,
            limit=section.limit,
            hold=section.hold.microseconds,
        )


def _minor(money: Money) -> int:
    return int(money.amount * 10 ** minor_digits(money.currency))


def in_force(versions: Sequence[Program], moment: datetime) -> Program | None:
    """Return the version that rates a purchase of that instant: the latest effective one; of equals, the newest."""
    candidates = [program for program in versions if program.effective_at <= moment]
    return max(candidates, key=lambda program: (program.effective_at, program.version), default=None)


def _compile_rule(program: ProgramFile, rule: EarningRule, index: int) -> Rule:
    only, without = rule.for_, rule.except_
    matches: LineTest | None = None
    if only and without:
        wanted, unwanted = _any_of(only), _any_of(without)
        matches = lambda line: wanted(line) and not unwanted(line)  # noqa: E731
    elif only:
        matches = _any_of(only)
    elif without:
        unwanted = _any_of(without)
        matches = lambda line: not unwanted(line)  # noqa: E731
    rate, step = _compile_rate(rule, program.currency)
    return Rule(
        index=index,
        name=rule.rule,
        wallet=wallet_with_unit(program, rule.give.unit)[0],
        applies=_compile_when(rule),
        matches=matches,
        rate=rate,
        rounding=rule.rounding,
        step=step,
    )


def _compile_rate(rule: EarningRule, currency: str) -> tuple[Rate, tuple[int, int] | None]:
    give = rule.give
    points = give.points
    if give.per == "item":
        return (lambda _amount, items: points * items), None
    if give.per == "order":
        return (lambda _amount, _items: points), None
    minor = int(give.amount * 10 ** minor_digits(currency))
    if give.whole:
        step = (minor, points.numerator) if points.denominator == 1 else None
        return (lambda amount, _items: points * (amount // minor)), step
    return (lambda amount, _items: points * amount / minor), None


def _compile_when(rule: EarningRule) -> Callable[[PurchaseCompleted, date], bool] | None:
    when = rule.when
    if when is None:
        return None
    channels = frozenset(when.channel or ())
    stores = frozenset(when.store or ())
    first = when.dates.from_ if when.dates and when.dates.from_ else date.min
    last = when.dates.to if when.dates and when.dates.to else date.max

    def applies(purchase: PurchaseCompleted, day: date) -> bool:
        return (
            first <= day <= last
            and (not channels or purchase.channel in channels)
            and (not stores or purchase.store_id in stores)
        )

    return applies


def _any_of(matches: Sequence[ProductMatch]) -> LineTest:
    tests = [_compile_match(match) for match in matches]
    if not tests:
        return lambda _line: False
    if len(tests) == 1:
        return tests[0]
    return lambda line: any(test(line) for test in tests)


def _compile_match(match: ProductMatch) -> LineTest:
    """Make one test of all the attributes that the match names; a match that names none matches every line."""
    tests: list[LineTest] = []
    if match.category is not None:
        tests.append(_category_test(match.category))
    if match.brand is not None:
        brands = frozenset(match.brand)
        tests.append(lambda line: line.brand in brands)
    if match.product is not None:
        products = frozenset(match.product)
        tests.append(lambda line: line.product_id in products)
    if match.sku is not None:
        skus = frozenset(match.sku)
        tests.append(lambda line: line.sku in skus)
    if match.tag is not None:
        tags = frozenset(match.tag)
        tests.append(lambda line: not tags.isdisjoint(line.tags))
    if len(tests) == 1:
        return tests[0]
    return lambda line: all(test(line) for test in tests)


def _category_test(paths: Sequence[tuple[str, ...]]) -> LineTest:
    tops = frozenset(path[0] for path in paths if len(path) == 1)
    deeper = frozenset(path for path in paths if len(path) > 1)
    lengths = sorted({len(path) for path in deeper})

    def test(line: Line) -> bool:
        category = line.category
        if not category:
            return False
        return category[0] in tops or any(category[:length] in deeper for length in lengths)

    return test
