"""Mistakes in earning rules: fields that contradict each other, and rules that could never pay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from shared.program.language.earning import WEEKDAYS, EarningRule
from shared.program.language.grammar import Give
from shared.program.language.model import ProgramFile, currency_of, scale_of, singular, wallet_of, wallets_of_units
from shared.program.language.phrases import Cap
from shared.program.language.source import Path
from shared.program.validation.findings import (
    Found,
    again,
    caps_of,
    circle_from,
    money_of_the_program,
    units,
    whole_minor_units,
)


def contradictions_in_earning(program: ProgramFile) -> Found:
    """Yield all mistakes, rule by rule."""
    for index in again([rule.rule for rule in program.earning]):
        name = program.earning[index].rule
        yield ("earning", index, "rule"), f'found "{name}" again; allowed: a name that no other rule has'
    names = {rule.rule: rule for rule in program.earning}
    found: list[list[tuple[Path, str]]] = []
    for index, rule in enumerate(program.earning):
        path: Path = ("earning", index)
        found.append([*_ways(rule, path)] or [*_wallet(program, rule, path), *_others(rule, names, path)])
    faulty = {rule.rule for rule, problems in zip(program.earning, found, strict=True) if problems}
    for index, (rule, problems) in enumerate(zip(program.earning, found, strict=True)):
        path = ("earning", index)
        yield from problems
        if not problems and faulty.isdisjoint(rule.of or ()):
            # Only now is it known which wallet the rule pays.
            yield from _pay(program, rule, path)
            yield from _multiplied(program, rule, names, path)
            yield from _caps(program, rule, path)
            yield from _idle(rule, path)
        yield from _lines(program, rule, path)
        yield from _dates(program, rule, path)
        yield from _conditions(program, rule, path)
    yield from _circles(program)


def gives_of(rule: EarningRule) -> Iterator[tuple[Path, Give]]:
    """Yield every rate phrase of a rule and its path in the rule."""
    for number, give in enumerate(rule.give or ()):
        yield ("give", number), give
    if rule.calculate is not None:
        for place, give in rule.calculate.gives():
            yield ("calculate", *place), give


def _ways(rule: EarningRule, path: Path) -> Found:
    ways = [name for name in ("give", "calculate", "multiply") if getattr(rule, name) is not None]
    if not ways:
        yield (
            (*path, "give"),
            f"found nothing; this field is required; allowed: {Give.FORM}; or calculate:, or multiply:",
        )
    elif len(ways) > 1:
        yield (*path, ways[1]), f"found {' and '.join(f'{way}:' for way in ways)}; allowed: one of them"
    if rule.of is not None and rule.multiply is None:
        yield (*path, "of"), "found rules that nothing is done with; allowed only beside multiply:"


# ---- which wallet, and in which currency


def _wallet(program: ProgramFile, rule: EarningRule, path: Path) -> Found:
    named: list[tuple[Path, str]] = [(("split", wallet), wallet) for wallet in rule.split or ()]
    if rule.wallet:
        named.append((("wallet",), rule.wallet))
    unknown = [(place, wallet) for place, wallet in named if wallet not in program.wallets]
    for place, wallet in unknown:
        yield (*path, *place), f'found "{wallet}"; allowed: {", ".join(program.wallets)}'
    if unknown:
        return
    if rule.split is not None:
        yield from _split(program, rule, path)
        return
    meant = wallets_of_units(program, rule)
    gives = list(gives_of(rule))
    if rule.wallet is not None and rule.wallet not in meant:
        unit = program.wallets[rule.wallet].unit
        yield (
            (*path, "wallet"),
            f'found "{rule.wallet}", whose unit is "{unit}"; allowed: a wallet of what the rule gives',
        )
    elif rule.wallet is None and rule.multiply is None and len(meant) != 1:
        (place, give) = gives[0]
        if not meant and not give.unit:
            yield (*path, *place), "found money back; allowed only with a wallet that holds money (unit: USD)"
        elif not meant:
            yield (*path, *place), f'found the unit "{give.unit}"; allowed: the unit of one wallet: {units(program)}'
        else:
            yield (*path, *place), f"found what several wallets hold; say which: wallet: {meant[0]}"
    elif rule.multiply is not None and rule.of is None and rule.wallet is None and len(program.wallets) > 1:
        yield (*path, "multiply"), "found several wallets; say what is multiplied: of: [a rule], or wallet:"


def _split(program: ProgramFile, rule: EarningRule, path: Path) -> Found:
    assert rule.split is not None
    if sum(percent.share for percent in rule.split.values()) != 1:
        yield (*path, "split"), "found parts that are not 100% together"
    wallets = [program.wallets[slug] for slug in rule.split]
    if len({singular(wallet.unit) for wallet in wallets}) > 1:
        yield (*path, "split"), "found wallets of different units; allowed: wallets of one unit"
    meant = wallets_of_units(program, rule)
    if rule.multiply is not None:
        yield (*path, "split"), "found a split of what other rules pay; allowed only where a rule gives"
    elif not set(rule.split) <= set(meant):
        yield (*path, "split"), f"found other wallets than those of what the rule gives: {', '.join(meant) or 'none'}"


def _pay(program: ProgramFile, rule: EarningRule, path: Path) -> Found:
    accepted = (program.currency, *program.also_accepts)
    wallet = wallet_of(program, rule)
    seen: dict[str, int] = {}
    for place, give in gives_of(rule):
        at = (*path, *place)
        if give.per == "money" and give.currency not in accepted:
            yield at, (f"found the currency {give.currency}; allowed: the program's currency, {', '.join(accepted)}")
        elif give.per == "money":
            yield from whole_minor_units(give.amount, give.currency, at)
        if place[0] == "give":
            currency = (currency_of(program, wallet) or "") if give.per == "back" else give.currency
            if currency in seen:
                yield at, "found a second rate for the same orders; allowed: one for each currency"
            seen[currency] = 1
        if give.per in {"item", "order"} and (give.points * scale_of(program, wallet)).denominator != 1:
            yield at, "found a part of the wallet's smallest unit; allowed: a whole number of them"
    if rule.calculate is not None:
        for place, amount, currency in rule.calculate.amounts():
            yield from money_of_the_program(program, amount, currency, (*path, "calculate", *place))


def _idle(rule: EarningRule, path: Path) -> Found:
    if rule.expiry is not None and rule.expiry.idle:
        yield (*path, "expiry"), "found an expiry without activity, which all points share; allowed: as the wallet's"


def _caps(program: ProgramFile, rule: EarningRule, path: Path) -> Found:
    wallet = program.wallets[wallet_of(program, rule)]
    least = [give.points for _place, give in gives_of(rule) if give.per in {"order", "item"}]
    for field in ("cap", "budget"):
        caps: Sequence[Cap] = getattr(rule, field)
        yield from caps_of(caps, field, wallet.unit, path)
        for number, cap in enumerate(caps):
            if least and len(least) == len(list(gives_of(rule))) and cap.points < min(least):
                found = f"found a {field} below one award of {min(least)}; this rule would never pay what it says"
                yield (*path, field, number), found


# ---- other rules


def _others(rule: EarningRule, names: Mapping[str, EarningRule], path: Path) -> Found:
    for field in ("of", "replaces"):
        for number, name in enumerate(getattr(rule, field) or ()):
            at = (*path, field, number)
            if name not in names:
                yield at, f'found "{name}"; allowed: the name of another rule'
            elif name == rule.rule:
                yield at, "found the rule itself; allowed: the name of another rule"
            elif field == "of" and names[name].multiply is not None:
                yield at, f'found "{name}", which multiplies itself; allowed: rules with give: or calculate:'


def _multiplied(program: ProgramFile, rule: EarningRule, names: Mapping[str, EarningRule], path: Path) -> Found:
    for number, name in enumerate(rule.of or ()):
        if wallet_of(program, names[name]) != wallet_of(program, rule):
            yield (*path, "of", number), f'found "{name}", which pays another wallet; allowed: rules of one wallet'


def _circles(program: ProgramFile) -> Found:
    """Yield rules that replace each other: none of them would ever pay."""
    replaced = {rule.rule: tuple(rule.replaces or ()) for rule in program.earning}
    done: set[str] = set()
    numbers = {rule.rule: index for index, rule in enumerate(program.earning)}
    for rule in program.earning:
        if circle := circle_from(rule.rule, replaced, done):
            yield (
                ("earning", numbers[circle[0]], "replaces"),
                f"found rules that replace each other in a circle: {' → '.join(circle)}",
            )


# ---- rules that could never apply


def _lines(program: ProgramFile, rule: EarningRule, path: Path) -> Found:
    if rule.for_ is None:
        return
    for without, name in ((program.never_earns, "never_earns"), (rule.except_, "except")):
        if without and all(match in without for match in rule.for_):
            yield (*path, "for"), f"found nothing but what {name}: takes out; this rule could never pay"


def _dates(program: ProgramFile, rule: EarningRule, path: Path) -> Found:
    dates = rule.when.dates if rule.when else None
    at = (*path, "when", "dates")
    if dates is None:
        return
    if dates.from_ and dates.to and dates.from_ > dates.to:
        yield at, f"found {dates.from_} to {dates.to}; allowed: from on or before to"
    elif dates.to and dates.to < program.effective:
        yield (
            (*at, "to"),
            f"found {dates.to}, before the program is effective ({program.effective}); this rule could never apply",
        )
    elif rule.when and rule.when.weekday and dates.from_ and dates.to and (dates.to - dates.from_).days < 6:
        days = {WEEKDAYS[day.weekday()] for day in _days(dates.from_, dates.to)}
        if not days & set(rule.when.weekday):
            yield (
                (*path, "when", "weekday"),
                f"found no day between {dates.from_} and {dates.to}; the rule could never apply",
            )


def _days(first: date, last: date) -> Iterator[date]:
    yield from (first + timedelta(days=number) for number in range((last - first).days + 1))


def _conditions(program: ProgramFile, rule: EarningRule, path: Path) -> Found:
    when = rule.when
    if when is None:
        return
    for name in ("order_of_at_least", "lines_of_at_least"):
        money = getattr(when, name)
        if money is not None:
            yield from money_of_the_program(program, money.amount, money.currency, (*path, "when", name))
    tiers = [tier.tier for tier in program.ladder.tiers] if program.ladder else []
    if when.tier is not None and when.tier not in tiers:
        allowed = ", ".join(tiers) or "none, for there is no ladder"
        yield (*path, "when", "tier"), f'found "{when.tier}"; allowed: a tier of the ladder: {allowed}'
