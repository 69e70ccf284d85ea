"""What the checks of a program file have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from shared.contracts.fields import minor_digits
from shared.program.language.model import ProgramFile, singular, wallet_with_unit
from shared.program.language.phrases import Cap
from shared.program.language.source import Path

#: (path, problem) of each mistake; a problem reads "found …; allowed: …".
Found = Iterator[tuple[Path, str]]


def again(names: Sequence[str]) -> Iterator[int]:
    """Yield the indexes of names that occurred before."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield index
        seen.add(name)


def unit_of_one_wallet(program: ProgramFile, unit: str, path: Path) -> Found:
    """Yield a mistake if a unit is not the unit of exactly one wallet."""
    if len(wallet_with_unit(program, unit)) != 1:
        yield path, f'found the unit "{unit}"; allowed: the unit of one wallet: {units(program)}'


def units(program: ProgramFile) -> str:
    """Return the units of all wallets, for messages."""
    return ", ".join(f'"{wallet.unit}"' for wallet in program.wallets.values())


def money_of_the_program(program: ProgramFile, amount: Fraction, currency: str, path: Path) -> Found:
    """Yield a mistake if an amount is not in the program's currency, or not in whole minor units."""
    if currency != program.currency:
        yield path, f"found the currency {currency}; allowed: the program's currency, {program.currency}"
    else:
        yield from whole_minor_units(amount, currency, path)


def whole_minor_units(amount: Fraction, currency: str, path: Path) -> Found:
    """Yield a mistake if an amount is not in whole minor units."""
    if (amount * 10 ** minor_digits(currency)).denominator != 1:
        yield path, f"found an amount below the smallest unit of {currency}; allowed: whole minor units"


def caps_of(caps: Sequence[Cap], field: str, unit: str, path: Path) -> Found:
    """Yield caps or budgets whose unit is not the wallet's, whose period makes no sense or occurs twice."""
    for number, cap in enumerate(caps):
        at = (*path, field, number)
        if singular(cap.unit) != singular(unit):
            yield at, f'found the unit "{cap.unit}"; allowed: "{unit}"'
        if field == "budget" and cap.per == "order":
            yield at, "found a budget per order, which all members share; allowed: cap: for one order"
    for number in again([cap.per for cap in caps]):
        yield (*path, field, number), f"found a second {field} per {caps[number].per}; allowed: one"


def circle_from(start: str, leads_to: Mapping[str, Sequence[str]], done: set[str]) -> list[str]:
    """Return a circle of names that can be reached from a start; empty if there is none.

    A name that leads to itself does not count. The circle begins with the name that is first in ``leads_to``.

    Args:
        start: Where to begin.
        leads_to: The names to which each name leads.
        done: Names already searched; this search adds to them, so that each name of a file is searched once.
    """
    way: list[str] = []
    on_way: set[str] = set()
    ahead = [iter((start,))]
    while ahead:
        name = next(ahead[-1], None)
        if name is None:
            ahead.pop()
            if way:
                on_way.discard(way[-1])
                done.add(way.pop())
        elif name in on_way:
            if name != way[-1]:
                done.update(way)
                circle = way[way.index(name) :]
                turn = circle.index(min(circle, key=list(leads_to).index))
                return [*circle[turn:], *circle[: turn + 1]]
        elif name not in done:
            way.append(name)
            on_way.add(name)
            ahead.append(iter(leads_to.get(name, ())))
    return []
