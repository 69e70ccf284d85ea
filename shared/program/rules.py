"""Earning rules, compiled: what does not depend on the purchase is worked out once a version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Literal
from zoneinfo import ZoneInfo

from shared.contracts.fields import minor_digits
from shared.contracts.purchases import PurchaseCompleted
from shared.program.calculations.base import Calculation
from shared.program.calculations.plain import Plain
from shared.program.conditions import Condition, compile_conditions
from shared.program.earning import EarningRule
from shared.program.grammar import Rounding
from shared.program.ladder import Ladder
from shared.program.lifetimes import Lifetime
from shared.program.matching import LineTest, keys_of_line, keys_of_match, line_test
from shared.program.model import ProgramFile, Wallet, currency_of, scale_of, wallet_of
from shared.program.occasions import Asked
from shared.program.tallies import PURCHASES, Key, Limit, before, budget_of, visits_key

#: With so few rules, testing them all is cheaper than looking up which ones could match.
_FEW = 8
_DAYS_KEPT = 800


@dataclass(frozen=True, slots=True)
class Rule:
    """One earning rule, compiled.

    Attributes:
        index: The rule's position in its version of the file; with the version it names the rule in the ledger.
        wallet: Whose points it pays (or multiplies).
        matches: Tests one line; None if every earning line counts.
        least_amount: What its lines must come to, in minor units of the program's currency.
        least_items: How many pieces its lines must have.
        calculation: None for a rule that multiplies.
        currencies: Of the orders that it pays for; None: any.
        step: Minor units a step and points a step, if the rate is a plain integer division (the common case).
        factor: Of a rule that multiplies.
        multiplied: The rules that it multiplies.
        replaces: Rules that do not pay for lines that this one pays for.
        best_of: Of the rules with the same word only the one that pays most pays.
        caps: The most that it pays.
        split: (wallet, weight) of each wallet that it pays, where there are several.
        lifetimes: Of what it pays, by wallet.
        tiered: Whether the multiplier of the member's tier applies.
        keys: A line, or an order, that it could pay for has one of these; None: it could pay for any.
        days: The first and the last on which it applies.
    """

    index: int
    name: str
    wallet: str
    conditions: tuple[Condition, ...]
    matches: LineTest | None
    least_amount: int
    least_items: int
    calculation: Calculation | None
    currencies: frozenset[str] | None
    rounding: Rounding
    step: tuple[int, int] | None
    factor: Fraction | None
    multiplied: frozenset[int]
    replaces: frozenset[int]
    best_of: str | None
    caps: tuple[Limit, ...]
    split: tuple[tuple[str, int], ...]
    lifetimes: Mapping[str, Lifetime]
    tiered: bool
    keys: tuple[tuple[str, str], ...] | None
    days: tuple[date, date]


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules of a version, and which of them a purchase could meet.

    Attributes:
        rules: In the file's order.
        plain: Whether every rule pays by itself: none multiplies, replaces, competes or is capped.
        caps: Of all that a wallet gets, by wallet.
        limits: All caps over more than one order, and all budgets.
        asks: What rules, and the lives of points, ask about members; None: nothing.
        counts_purchases: Whether a rule asks which purchase of the member it is.
        visits: The periods in which rules count visits in a row.
    """

    rules: tuple[Rule, ...]
    plain: bool
    caps: Mapping[str, tuple[Limit, ...]]
    limits: tuple[Limit, ...]
    asks: Asked | None
    counts_purchases: bool
    visits: tuple[Literal["day", "week", "month"], ...]
    _of_day: dict[date, tuple[tuple[Rule, ...], Mapping[tuple[str, str], tuple[int, ...]]]] = field(
        default_factory=dict
    )

    def that_could_pay(self, purchase: PurchaseCompleted, local: datetime) -> Sequence[Rule]:
        """Return the rules that could pay for a purchase of a local time, in the file's order; no others matter."""
        if len(self.rules) <= _FEW:
            return self.rules
        day = local.date()
        always, keyed = self._of_day.get(day) or self._index(day)
        if not keyed:
            return always
        found = {index for key in _keys_of(purchase) for index in keyed.get(key, ())}
        if not found:
            return always
        return [self.rules[index] for index in sorted(found.union(rule.index for rule in always))]

    @property
    def has_budgets(self) -> bool:
        """Whether anything is shared by all members."""
        return any(limit.is_budget for limit in self.limits)

    @property
    def asks_members(self) -> bool:
        """Whether anything depends on what was told of the member."""
        return self.asks is not None

    @property
    def counts(self) -> bool:
        """Whether anything is counted of members."""
        return bool(self.limits or self.counts_purchases or self.visits)

    def tallies(self, day: date) -> list[Key]:
        """Return everything that rating a purchase of a local day, or a return of it, may look up or count."""
        keys = [limit.key(day) for limit in self.limits]
        for per in self.visits:
            key = visits_key(per, day)
            keys += [key, before(per, key)]
        return [*keys, *([PURCHASES] if self.counts_purchases else [])]

    def budgets(self, purchase: PurchaseCompleted, local: datetime) -> Iterator[Limit]:
        """Yield the budgets that a purchase could use."""
        rules = self.that_could_pay(purchase, local)
        wallets = {wallet for rule in rules for wallet in rule.lifetimes}
        for limits in (*(rule.caps for rule in rules), *(self.caps[wallet] for wallet in sorted(wallets))):
            yield from (limit for limit in limits if limit.is_budget)

    def _index(self, day: date) -> tuple[tuple[Rule, ...], Mapping[tuple[str, str], tuple[int, ...]]]:
        """Purchases come about in the order of time, so an index for each day is made about once a day."""
        today = [rule for rule in self.rules if rule.days[0] <= day <= rule.days[1]]
        always = tuple(rule for rule in today if rule.keys is None)
        keyed: dict[tuple[str, str], tuple[int, ...]] = {}
        for rule in today:
            for key in rule.keys or ():
                keyed[key] = (*keyed.get(key, ()), rule.index)
        if len(self._of_day) >= _DAYS_KEPT:
            self._of_day.clear()
        self._of_day[day] = always, keyed
        return always, keyed


def _keys_of(purchase: PurchaseCompleted) -> Iterable[tuple[str, str]]:
    keys = {key for line in purchase.lines for key in keys_of_line(line)}
    for name, value in (
        ("store", purchase.store_id), ("partner", purchase.partner_id), ("channel", purchase.channel),
    ):  # fmt: skip
        if value is not None:
            keys.add((name, value))
    return keys


def compile_rules(program: ProgramFile, ladder: Ladder | None, zone: ZoneInfo) -> RuleBook:
    """Compile the rules of a file without contradictions."""
    numbers = {rule.rule: index for index, rule in enumerate(program.earning)}
    rules = tuple(_compile(program, rule, numbers, ladder, zone) for rule in program.earning)
    plain = not any(
        rule.factor or rule.replaces or rule.best_of or rule.caps or rule.split or rule.least_amount
        or rule.least_items for rule in rules
    )  # fmt: skip
    caps = {slug: _limits(program, slug, f"wallet {slug}", wallet) for slug, wallet in program.wallets.items()}
    conditions = [rule.when for rule in program.earning if rule.when]
    limits = [limit for of in (*(rule.caps for rule in rules), *caps.values()) for limit in of]
    purchases = any(when.purchase for when in conditions)
    visits = tuple(sorted({when.visits.per for when in conditions if when.visits}))
    return RuleBook(
        rules=rules,
        plain=plain and not any(caps.values()),
        caps=caps,
        limits=tuple(limit for limit in limits if limit.per != "order"),
        asks=_asked(program, rules),
        counts_purchases=purchases,
        visits=visits,
    )


def _asked(program: ProgramFile, rules: Sequence[Rule]) -> Asked | None:
    conditions = [rule.when for rule in program.earning if rule.when]
    lives = any(one.asks_member for rule in rules for one in rule.lifetimes.values())
    lives = lives or any(wallet.expiry.to_the_end_of == "membership year" for wallet in program.wallets.values())
    asked = Asked(
        joined_on=lives or any(when.anniversary for when in conditions),
        birthday=any(when.birthday for when in conditions),
        segments=frozenset(segment for when in conditions for segment in when.segment or ()),
        attributes=frozenset(name for when in conditions for name in when.attribute or ()),
    )
    return asked if any(asked) else None


def _compile(
    program: ProgramFile, rule: EarningRule, numbers: Mapping[str, int], ladder: Ladder | None, zone: ZoneInfo
) -> Rule:
    wallet = wallet_of(program, rule)
    when = rule.when
    calculation = _calculation(program, rule, wallet)
    return Rule(
        index=numbers[rule.rule],
        name=rule.rule,
        wallet=wallet,
        conditions=compile_conditions(when, ladder),
        matches=line_test(rule.for_, rule.except_),
        least_amount=when.lines_of_at_least.minor if when and when.lines_of_at_least else 0,
        least_items=when.items_of_at_least or 0 if when else 0,
        calculation=calculation,
        currencies=calculation.currencies if calculation else None,
        rounding=rule.rounding,
        step=_step(program, rule, wallet),
        factor=rule.multiply.factor if rule.multiply else None,
        multiplied=_multiplied(program, rule, numbers, wallet),
        replaces=frozenset(numbers[name] for name in rule.replaces or ()),
        best_of=rule.best_of,
        caps=_limits(program, wallet, f"rule {rule.rule}", rule),
        split=_split(rule),
        lifetimes={slug: lifetime(program, slug, rule, zone) for slug in [*(rule.split or ()), wallet]},
        tiered=ladder is not None and ladder.multiplies and ladder.wallet == wallet and rule.multiply is None,
        keys=_keys(rule),
        days=_days(rule),
    )


def _limits(program: ProgramFile, wallet: str, name: str, of: EarningRule | Wallet) -> tuple[Limit, ...]:
    scale = scale_of(program, wallet)
    named = [(name, cap) for cap in of.cap] + [(budget_of(name), cap) for cap in of.budget]
    return tuple(Limit(f"{name} {cap.per}", cap.points * scale, cap.per) for name, cap in named)


def lifetime(program: ProgramFile, wallet: str, rule: EarningRule | None, zone: ZoneInfo) -> Lifetime:
    """Return how long points live: as the rule says, else as the wallet does."""
    terms = program.wallets[wallet]
    pending = rule.pending if rule and rule.pending else terms.pending
    return Lifetime(pending, (rule.expiry if rule else None) or terms.expiry, zone)


def _calculation(program: ProgramFile, rule: EarningRule, wallet: str) -> Calculation | None:
    scale, currency = scale_of(program, wallet), currency_of(program, wallet)
    if rule.calculate is not None:
        return rule.calculate.compile(scale, currency)
    return Plain(rule.give, scale, currency) if rule.give else None


def _step(program: ProgramFile, rule: EarningRule, wallet: str) -> tuple[int, int] | None:
    if rule.give is None or len(rule.give) > 1 or program.also_accepts or scale_of(program, wallet) > 1:
        return None
    (give,) = rule.give
    if rule.rounding.scope == "line" or not give.whole or give.points.denominator != 1:
        return None
    return int(give.amount * 10 ** minor_digits(give.currency)), give.points.numerator


def _multiplied(program: ProgramFile, rule: EarningRule, numbers: Mapping[str, int], wallet: str) -> frozenset[int]:
    if rule.multiply is None:
        return frozenset()
    if rule.of is not None:
        return frozenset(numbers[name] for name in rule.of)
    return frozenset(
        numbers[other.rule]
        for other in program.earning
        if other.multiply is None and wallet_of(program, other) == wallet
    )


def _split(rule: EarningRule) -> tuple[tuple[str, int], ...]:
    """Return whole-numbered weights: the shares by their common denominator."""
    if rule.split is None:
        return ()
    return tuple((wallet, int(percent.share * 1_000_000)) for wallet, percent in rule.split.items())


def _keys(rule: EarningRule) -> tuple[tuple[str, str], ...] | None:
    of_matches = [keys_of_match(match) for match in rule.for_ or ()]
    if of_matches and all(keys is not None for keys in of_matches):
        return tuple(key for keys in of_matches for key in keys or ())
    when = rule.when
    for name in ("store", "partner", "channel"):
        if when and (values := getattr(when, name)):
            return tuple((name, value) for value in values)
    return None


def _days(rule: EarningRule) -> tuple[date, date]:
    dates = rule.when.dates if rule.when else None
    return (dates and dates.from_) or date.min, (dates and dates.to) or date.max
