"""Warnings: what a program file may say but probably does not mean. They are shown, and never refuse a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from shared.program.language.earning import EarningRule
from shared.program.language.model import ProgramFile, wallet_of
from shared.program.language.source import Path
from shared.program.validation.earning import gives_of
from shared.program.validation.findings import Found


def doubts(program: ProgramFile) -> Found:
    """Yield (path, warning) for a valid file."""
    for index, rule in enumerate(program.earning):
        path: Path = ("earning", index)
        yield from _lost_by_rounding(rule, path)
        yield from _cap_never_reached(program, rule, path)
        yield from _several_in_one(rule, path)
    yield from _alone(program)
    yield from _twice(program)
    yield from _not_carried_out(program)
    yield from _without_a_word(program)


def _lost_by_rounding(rule: EarningRule, path: Path) -> Found:
    if rule.rounding.scope != "line" or rule.rounding.mode != "down":
        return
    for place, give in gives_of(rule):
        if give.per == "money" and (give.whole or give.points < 1):
            yield (
                (*path, *place),
                "each line is rounded down by itself, so a member who buys many small things earns less; "
                "write rounding: down per order, or half-up per line",
            )


def _cap_never_reached(program: ProgramFile, rule: EarningRule, path: Path) -> Found:
    wallet = program.wallets[wallet_of(program, rule)]
    tightest = {cap.per: cap.points for cap in wallet.cap}
    for number, cap in enumerate(rule.cap):
        if cap.points >= tightest.get(cap.per, cap.points + 1):
            yield (
                (*path, "cap", number),
                f"the wallet's own cap of {tightest[cap.per]:,} comes first; take this one out",
            )


def _several_in_one(rule: EarningRule, path: Path) -> Found:
    matches = [("for", rule.for_ or ()), ("except", rule.except_ or ())]
    named = [((place, number), match) for place, found in matches for number, match in enumerate(found)]
    for place, what in [*named, *([(("when",), rule.when)] if rule.when else [])]:
        for field in ("store", "channel", "partner", "segment", "sku", "product", "brand", "tag"):
            for number, name in enumerate(getattr(what, field, None) or ()):
                if ", " in name:
                    several = ", ".join(name.split(", "))
                    yield (*path, *place, field, number), f'"{name}" is one name; write [{several}] for several'


def _alone(program: ProgramFile) -> Found:
    words = Counter(rule.best_of for rule in program.earning if rule.best_of)
    for index, rule in enumerate(program.earning):
        if rule.best_of and words[rule.best_of] == 1:
            yield ("earning", index, "best_of"), f'no other rule has the word "{rule.best_of}", so this one always wins'


def _twice(program: ProgramFile) -> Found:
    seen: dict[str, str] = {}
    for index, rule in enumerate(program.earning):
        content = repr(rule.model_copy(update={"rule": "", "says": None}))
        if content in seen:
            yield ("earning", index, "rule"), f"pays the same, for the same, as {seen[content]}: is it meant twice?"
        seen.setdefault(content, rule.rule)


def _not_carried_out(program: ProgramFile) -> Found:
    if program.conversions:
        yield ("conversions",), "is read and checked; this version of the product does not convert points by itself yet"


def _without_a_word(program: ProgramFile) -> Iterator[tuple[Path, str]]:
    for slug, wallet in program.wallets.items():
        if wallet.expiry.count is not None and not wallet.remind:
            yield ("wallets", slug, "expiry"), "points expire without an announcement; write remind: [30, 7]"
