"""The compiled earning rule: what does not depend on the purchase is computed once per version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from shared.contracts.fields import minor_digits
from shared.program.calculations.base import Calculation
from shared.program.calculations.plain import Plain
from shared.program.compiled.calendar import idle_words
from shared.program.compiled.conditions import Condition, compile_conditions
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.lifetimes import Lifetime
from shared.program.compiled.matching import LineTest, keys_of_match, line_test
from shared.program.compiled.tallies import Limit, budget_of
from shared.program.language.earning import EarningRule
from shared.program.language.grammar import Rounding
from shared.program.language.model import ProgramFile, Wallet, currency_of, scale_of, wallet_of


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled earning rule.

    Attributes:
        index: The rule's position in the file; together with the version it identifies the rule in the ledger.
        wallet: The wallet whose points it pays or multiplies.
        matches: Tests one line; None if every earning line counts.
        least_amount: The least sum of its lines, in minor units of the program's currency.
        least_items: The least quantity of its lines.
        calculation: None for a rule that multiplies.
        currencies: The currencies of orders that it pays for; None: any currency.
        step: (minor units per step, points per step) if the rate is an integer division, the common case.
        factor: The factor of a rule that multiplies.
        multiplied: The rules that it multiplies.
        replaces: Rules that do not pay for lines that this one pays for.
        best_of: Of the rules with the same name here, only the one that pays most pays.
        caps: Its caps and budgets.
        split: (wallet, weight) of each wallet that it pays, if it pays several.
        lifetimes: When the points that it pays become available and expire, by wallet.
        tiered: Whether the multiplier of the member's tier applies.
        keys: Every order that it could pay for has one of these keys; None: it could pay for any order.
        days: The first and the last day on which it applies.
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


def compile_rule(
    program: ProgramFile,
    rule: EarningRule,
    numbers: Mapping[str, int],
    paying: Mapping[str, frozenset[int]],
    ladder: Ladder | None,
    zone: ZoneInfo,
) -> Rule:
    """Compile one rule of a valid file.

    Args:
        program: The file.
        rule: The rule.
        numbers: The rules' positions by name.
        paying: The rules that do not multiply, by the wallet that they pay.
        ladder: The program's ladder.
        zone: The program's time zone.
    """
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
        multiplied=_multiplied(rule, numbers, paying.get(wallet, frozenset())),
        replaces=frozenset(numbers[name] for name in rule.replaces or ()),
        best_of=rule.best_of,
        caps=compile_limits(program, wallet, f"rule {rule.rule}", rule),
        split=_split(rule),
        lifetimes={slug: lifetime(program, slug, rule, zone) for slug in [*(rule.split or ()), wallet]},
        tiered=ladder is not None and ladder.multiplies and ladder.wallet == wallet and rule.multiply is None,
        keys=_keys(rule),
        days=_days(rule),
    )


def compile_limits(program: ProgramFile, wallet: str, name: str, of: EarningRule | Wallet) -> tuple[Limit, ...]:
    """Compile the caps and budgets of a rule or a wallet; ``name`` becomes part of their tallies' names."""
    scale = scale_of(program, wallet)
    named = [(name, cap) for cap in of.cap] + [(budget_of(name), cap) for cap in of.budget]
    return tuple(Limit(f"{name} {cap.per}", cap.points * scale, cap.per) for name, cap in named)


def lifetime(program: ProgramFile, wallet: str, rule: EarningRule | None, zone: ZoneInfo) -> Lifetime:
    """Return how long points live: what the rule says, else what the wallet says."""
    terms = program.wallets[wallet]
    pending = rule.pending if rule and rule.pending else terms.pending
    expiry = (rule.expiry if rule else None) or terms.expiry
    return Lifetime(pending, expiry, zone, idle_words(expiry, terms.activities or ("earn", "redeem")))


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


def _multiplied(rule: EarningRule, numbers: Mapping[str, int], paying: frozenset[int]) -> frozenset[int]:
    if rule.multiply is None:
        return frozenset()
    return paying if rule.of is None else frozenset(numbers[name] for name in rule.of)


def _split(rule: EarningRule) -> tuple[tuple[str, int], ...]:
    """Return the shares as integer weights."""
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
