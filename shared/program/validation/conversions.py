"""Mistakes in conversions: wallets that do not exist, and points that would go round in a circle."""

from __future__ import annotations

from shared.program.language.model import ProgramFile, wallet_with_unit
from shared.program.validation.findings import Found, again, circle_from, money_of_the_program, unit_of_one_wallet


def contradictions_in_conversions(program: ProgramFile) -> Found:
    """Yield all mistakes in the conversions of a program."""
    conversions = program.conversions
    for number in again([conversion.rule for conversion in conversions]):
        yield ("conversions", number, "rule"), f'found "{conversions[number].rule}" again; allowed: a name of its own'
    leads_to: dict[str, list[str]] = {}
    for number, conversion in enumerate(conversions):
        path = ("conversions", number)
        wrong = list(unit_of_one_wallet(program, conversion.convert.unit, (*path, "convert")))
        if conversion.into.valid_days is not None:
            wrong += money_of_the_program(program, conversion.into.amount, conversion.into.unit, (*path, "into"))
        else:
            wrong += unit_of_one_wallet(program, conversion.into.unit, (*path, "into"))
        yield from wrong
        if not wrong:
            (wallet,) = wallet_with_unit(program, conversion.convert.unit)
            if wallet in leads_to:
                yield (
                    (*path, "convert"),
                    f"found a second conversion of {wallet}; allowed: one",
                )
            leads_to.setdefault(wallet, [])
            if conversion.into.valid_days is None:
                leads_to[wallet] += wallet_with_unit(program, conversion.into.unit)
    yield from _circles(program, leads_to)


def _circles(program: ProgramFile, leads_to: dict[str, list[str]]) -> Found:
    done: set[str] = set()
    numbers = {
        wallet: number
        for number, conversion in enumerate(program.conversions)
        for wallet in wallet_with_unit(program, conversion.convert.unit)
    }
    for wallet, number in numbers.items():
        if wallet in leads_to.get(wallet, ()):
            yield ("conversions", number, "into"), "found the wallet itself; allowed: another one, or a voucher"
        elif circle := circle_from(wallet, leads_to, done):
            yield (
                ("conversions", numbers[circle[0]], "into"),
                f"found points that would go round for ever: {' → '.join(circle)}",
            )
