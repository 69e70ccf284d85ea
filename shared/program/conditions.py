"""Conditions that an order must meet for a rule to apply. Each can say what it wanted and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from shared.contracts.fields import minor_digits
from shared.contracts.purchases import PurchaseCompleted, Tender
from shared.program.earning import WEEKDAYS, Dates, PaidWith, When
from shared.program.ladder import Ladder
from shared.program.phrases import Hours, Money


@dataclass(slots=True)
class Occasion:
    """A purchase as conditions see it.

    Attributes:
        local: When it happened, where the program lives.
        amount: What the lines that may earn come to, in minor units of the program's currency.
        tier: The number of the member's tier then; 0, the lowest, where there is no ladder.
    """

    purchase: PurchaseCompleted
    local: datetime
    amount: int
    tier: int


class Condition(NamedTuple):
    """One condition of a rule.

    Attributes:
        field: Its name in the file.
        wanted: What the file asks for, in words.
        holds: Whether a purchase meets it.
        found: What the purchase has instead, in words.
    """

    field: str
    wanted: str
    holds: Callable[[Occasion], bool]
    found: Callable[[Occasion], str]


def compile_conditions(when: When | None, ladder: Ladder | None) -> tuple[Condition, ...]:
    """Return the conditions of an order (those of a rule's own lines are the rule's), the cheapest first."""
    return tuple(_conditions(when, ladder)) if when else ()


def _conditions(when: When, ladder: Ladder | None) -> Iterator[Condition]:
    if when.dates:
        yield _dates(when.dates)
    if when.channel:
        channels = frozenset(when.channel)
        yield Condition(
            "channel",
            _any(when.channel),
            lambda at: at.purchase.channel in channels,
            lambda at: _or_none(at.purchase.channel),
        )
    if when.store:
        stores = frozenset(when.store)
        yield Condition(
            "store",
            _any(when.store),
            lambda at: at.purchase.store_id in stores,
            lambda at: _or_none(at.purchase.store_id),
        )
    if when.partner:
        partners = frozenset(when.partner)
        yield Condition(
            "partner", _any(when.partner), lambda at: at.purchase.partner_id in partners,
            lambda at: _or_none(at.purchase.partner_id),
        )  # fmt: skip
    if when.weekday:
        days = frozenset(WEEKDAYS.index(day) for day in when.weekday)
        yield Condition(
            "weekday",
            _any(when.weekday),
            lambda at: at.local.weekday() in days,
            lambda at: WEEKDAYS[at.local.weekday()],
        )
    if when.hours:
        yield _hours(when.hours)
    if when.tier and ladder:
        yield _tier(when.tier, ladder)
    if when.order_of_at_least:
        yield _order_of_at_least(when.order_of_at_least)
    if when.paid_with:
        yield _paid_with(when.paid_with)


def _dates(dates: Dates) -> Condition:
    first, last = dates.from_ or date.min, dates.to or date.max
    wanted = " ".join(
        [*([f"from {dates.from_}"] if dates.from_ else []), *([f"to {dates.to}"] if dates.to else [])]
    )  # fmt: skip
    return Condition("dates", wanted, lambda at: first <= at.local.date() <= last, lambda at: str(at.local.date()))


def _hours(hours: Hours) -> Condition:
    minutes = hours.minutes()
    return Condition(
        "hours", str(hours), lambda at: at.local.hour * 60 + at.local.minute in minutes, lambda at: f"{at.local:%H:%M}"
    )


def _tier(tier: str, ladder: Ladder) -> Condition:
    number = ladder.number_of(tier)
    return Condition("tier", f"{tier} or higher", lambda at: at.tier >= number, lambda at: ladder.tiers[at.tier].tier)


def _order_of_at_least(money: Money) -> Condition:
    minor = int(money.amount * 10 ** minor_digits(money.currency))
    return Condition(
        "order_of_at_least", str(money), lambda at: at.amount >= minor, lambda at: in_money(at.amount, money.currency)
    )


def _paid_with(ways: tuple[PaidWith, ...]) -> Condition:
    tests = [_tender_test(way) for way in ways]

    def holds(at: Occasion) -> bool:
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
    return ", ".join(" ".join(part for part in (one.method, one.brand, one.card) if part) for one in tenders)


def in_money(minor: int, currency: str) -> str:
    """Return minor units as ``12.50 USD``."""
    digits = minor_digits(currency)
    return f"{minor / 10**digits:.{digits}f} {currency}" if minor < 2**50 else f"{minor} minor units of {currency}"


def _any(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else f"one of {', '.join(values)}"


def _or_none(value: str | None) -> str:
    return value if value is not None else "none is told"
