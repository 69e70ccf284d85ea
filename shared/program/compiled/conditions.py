"""Conditions that an order must meet for a rule to apply. Each can say what it requires and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from operator import attrgetter
from typing import Any, NamedTuple

from shared.contracts.fields import in_money
from shared.contracts.order_lines import Tender
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.rating_context import RatingContext
from shared.program.compiled.tallies import PURCHASES
from shared.program.language.earning import WEEKDAYS, Dates, PaidWith, Weekday, When
from shared.program.language.phrases import Money
from shared.program.language.phrases_of_time import Around, Hours, Nth, Streak


class Condition(NamedTuple):
    """One condition of a rule.

    Attributes:
        field: Its name in the file.
        wanted: What the file requires, for people.
        holds: Whether a purchase meets it.
        found: What the purchase has instead, for people.
    """

    field: str
    wanted: str
    holds: Callable[[RatingContext], bool]
    found: Callable[[RatingContext], str]


def compile_conditions(when: When | None, ladder: Ladder | None) -> tuple[Condition, ...]:
    """Return the conditions on the order, the cheapest first; those on a rule's own lines are part of the rule."""
    return tuple(_conditions(when, ladder)) if when else ()


def _conditions(when: When, ladder: Ladder | None) -> Iterator[Condition]:
    kinds: tuple[tuple[Any, Callable[[Any], Condition]], ...] = (
        (when.dates, _dates),
        (when.channel, lambda values: _stated("channel", "channel", values)),
        (when.store, lambda values: _stated("store", "store_id", values)),
        (when.partner, lambda values: _stated("partner", "partner_id", values)),
        (when.weekday, _weekday),
        (when.hours, _hours),
        (when.tier if ladder else None, lambda tier: _tier(tier, ladder)),  # type: ignore[arg-type]  # there is one
        (when.segment, _segment),
        (when.attribute, _attributes),
        (when.birthday, _birthday),
        (when.anniversary, _anniversary),
        (when.order_of_at_least, _order_of_at_least),
        (when.purchase, _purchase),
        (when.visits, _visits),
        (when.paid_with, _paid_with),
    )
    for wanted, make in kinds:
        if wanted:
            yield make(wanted)


def _stated(name: str, attribute: str, wanted: tuple[str, ...]) -> Condition:
    """Return a condition on an attribute that a purchase may state."""
    values = frozenset(wanted)
    stated = attrgetter(attribute)
    return Condition(
        name, _any(wanted), lambda at: stated(at.purchase) in values, lambda at: _or_none(stated(at.purchase))
    )


def _weekday(wanted: tuple[Weekday, ...]) -> Condition:
    days = frozenset(WEEKDAYS.index(day) for day in wanted)
    return Condition(
        "weekday", _any(wanted), lambda at: at.local.weekday() in days, lambda at: WEEKDAYS[at.local.weekday()]
    )


def _dates(dates: Dates) -> Condition:
    first, last = dates.from_ or date.min, dates.to or date.max
    wanted = " ".join([*([f"from {dates.from_}"] if dates.from_ else []), *([f"to {dates.to}"] if dates.to else [])])
    return Condition("dates", wanted, lambda at: first <= at.local.date() <= last, lambda at: str(at.local.date()))


def _hours(hours: Hours) -> Condition:
    minutes = hours.minutes()
    return Condition(
        "hours", str(hours), lambda at: at.local.hour * 60 + at.local.minute in minutes, lambda at: f"{at.local:%H:%M}"
    )


def _tier(tier: str, ladder: Ladder) -> Condition:
    number = ladder.number_of(tier)
    return Condition(
        "tier", f"{tier} or higher", lambda at: at.known.tier >= number, lambda at: ladder.tiers[at.known.tier].tier
    )


def _segment(wanted: tuple[str, ...]) -> Condition:
    segments = frozenset(wanted)
    return Condition(
        "segment",
        _any(wanted),
        lambda at: not segments.isdisjoint(at.known.member.segments),
        lambda at: ", ".join(sorted(at.known.member.segments)) or "none is told",
    )


def _attributes(wanted: Mapping[str, tuple[str, ...]]) -> Condition:
    stated = [(name, frozenset(values)) for name, values in wanted.items()]
    return Condition(
        "attribute",
        ", ".join(f"{name} {_any(values)}" for name, values in wanted.items()),
        lambda at: all(at.known.member.attributes.get(name) in values for name, values in stated),
        lambda at: ", ".join(f"{name} {_or_none(at.known.member.attributes.get(name))}" for name, _values in stated),
    )


def _birthday(around: Around) -> Condition:
    def holds(at: RatingContext) -> bool:
        birthday = at.known.member.birthday
        return birthday is not None and around.holds(*birthday, at.local.date()) is not None

    def found(at: RatingContext) -> str:
        birthday = at.known.member.birthday
        return f"{birthday[0]:02}-{birthday[1]:02}, bought on {at.local.date()}" if birthday else "none is told"

    return Condition("birthday", str(around), holds, found)


def _anniversary(around: Around) -> Condition:
    """Return a condition on the anniversary of joining, one year or more later."""

    def holds(at: RatingContext) -> bool:
        joined = at.known.member.joined_on
        that = around.holds(joined.month, joined.day, at.local.date()) if joined else None
        return joined is not None and that is not None and that.year > joined.year

    def found(at: RatingContext) -> str:
        joined = at.known.member.joined_on
        return f"joined on {joined}, bought on {at.local.date()}" if joined else "none is told"

    return Condition("anniversary", str(around), holds, found)


def _order_of_at_least(money: Money) -> Condition:
    minor = money.minor
    return Condition(
        "order_of_at_least", str(money), lambda at: at.amount >= minor, lambda at: in_money(at.amount, money.currency)
    )


def _purchase(nth: Nth) -> Condition:
    return Condition(
        "purchase",
        str(nth),
        lambda at: nth.holds(at.known.count(PURCHASES) + 1),
        lambda at: str(Nth(at.known.count(PURCHASES) + 1, every=False)),
    )


def _visits(streak: Streak) -> Condition:
    def holds(at: RatingContext) -> bool:
        new, in_a_row = at.visits(streak.per)
        return new and in_a_row % streak.length == 0

    def found(at: RatingContext) -> str:
        new, in_a_row = at.visits(streak.per)
        return f"{in_a_row} in a row{'' if new else f', and not the first purchase of the {streak.per}'}"

    return Condition("visits", str(streak), holds, found)


def _paid_with(ways: tuple[PaidWith, ...]) -> Condition:
    tests = [_tender_test(way) for way in ways]

    def holds(at: RatingContext) -> bool:
        return any(test(tender) for tender in at.purchase.tenders for test in tests)

    wanted = " or ".join(", ".join(_any(values) for _, values in way) for way in map(_named, ways))
    return Condition("paid_with", wanted, holds, lambda at: _tenders(at.purchase.tenders))


def _tender_test(way: PaidWith) -> Callable[[Tender], bool]:
    wanted = [(name, frozenset(values)) for name, values in _named(way)]
    return lambda tender: all(getattr(tender, name) in values for name, values in wanted)


def _named(way: PaidWith) -> list[tuple[str, tuple[str, ...]]]:
    return [(name, values) for name in ("method", "brand", "card") if (values := getattr(way, name)) is not None]


def _tenders(tenders: tuple[Tender, ...]) -> str:
    if not tenders:
        return "no tender is told"
    return ", ".join(
        " ".join(part for part in (tender.method, tender.brand, tender.card) if part) for tender in tenders
    )


def _any(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else f"one of {', '.join(values)}"


def _or_none(value: str | None) -> str:
    return value if value is not None else "none is told"
