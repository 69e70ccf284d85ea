"""A program file's text to a program, or to a list of mistakes that a marketer can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from shared.contracts.contract import own_mistakes
from shared.contracts.fields import minor_digits
from shared.errors import ProgramFileError
from shared.program.grammar import Expiry, Give, Rounding
from shared.program.model import Dates, EarningRule, ProductMatch, ProgramFile, Wallet, When
from shared.program.source import Path, Source, parse

#: What is allowed where a field is wrong, by the field's name; the rest is what pydantic says.
_ALLOWED = {
    "give": Give.FORM,
    "expiry": Expiry.FORM,
    "rounding": Rounding.FORM,
    "currency": "an ISO 4217 code such as USD",
    "time_zone": "an IANA time zone such as America/New_York",
    "program": "lower-case letters, digits and hyphens, beginning with a letter",
    "rule": "lower-case letters, digits and hyphens, beginning with a letter",
    "effective": "a date such as 2026-01-31",
    "from": "a date such as 2026-01-31",
    "to": "a date such as 2026-01-31",
    "unit": 'a word such as "point"',
    "name": "what the program or the wallet is called",
    "wallets": "a mapping such as points: {name: Points, unit: point, expiry: never}",
    "earning": "a list of rules, each with rule: and give:",
}
#: What pydantic says in its own words, in those of the file.
_PLAINLY = {
    "literal_error": "is not one of the values that may stand here",
    "tuple_type": "is not a list",
    "dict_type": "is not a mapping (name: value)",
    "model_type": "is not a mapping (name: value)",
    "too_short": "has no entries; at least one is needed",
}
_SECTIONS: dict[str, type[BaseModel]] = {
    "wallets": Wallet, "earning": EarningRule, "for": ProductMatch, "except": ProductMatch,
    "never_earns": ProductMatch, "when": When, "dates": Dates,
}  # fmt: skip


def load(text: str, filename: str = "program.yaml") -> ProgramFile:
    """Read a program file.

    Raises:
        ProgramFileError: One problem a line: ``file:line:column: field: found …; allowed: …``.
    """
    source = parse(text, filename)
    if not isinstance(source.data, dict):
        raise ProgramFileError([f"{source.at(())}: the file must be a mapping that begins with program: <name>"])
    try:
        program = ProgramFile.model_validate(source.data)
    except ValidationError as problem:
        raise ProgramFileError([_describe(error, source) for error in own_mistakes(problem)]) from None
    problems = [f"{source.at(path)}: {_field(path)}: {what}" for path, what in _contradictions(program)]
    if problems:
        raise ProgramFileError(problems)
    return program


def wallet_of(program: ProgramFile, give: Give) -> list[str]:
    """Return the wallets whose unit the rate names, singular or plural."""
    return [slug for slug, wallet in program.wallets.items() if _singular(wallet.unit) == _singular(give.unit)]


def _contradictions(program: ProgramFile) -> Iterator[tuple[Path, str]]:
    """Find what is right field by field and wrong together."""
    units = ", ".join(f'"{wallet.unit}"' for wallet in program.wallets.values())
    seen: set[str] = set()
    paid: set[str] = set()
    for index, rule in enumerate(program.earning):
        path: Path = ("earning", index)
        if rule.rule in seen:
            yield (*path, "rule"), f'found "{rule.rule}" again; allowed: a name that no other rule has'
        seen.add(rule.rule)
        wallets = wallet_of(program, rule.give)
        if len(wallets) != 1:
            yield (*path, "give"), f'found the unit "{rule.give.unit}"; allowed: the unit of one wallet: {units}'
        paid.update(wallets)
        yield from _money_contradictions(program, rule, (*path, "give"))
        dates = rule.when.dates if rule.when else None
        if dates and dates.from_ and dates.to and dates.from_ > dates.to:
            yield (*path, "when", "dates"), f"found {dates.from_} to {dates.to}; allowed: from on or before to"
        if dates and dates.to and dates.to < program.effective:
            yield (
                (*path, "when", "dates", "to"),
                f"found {dates.to}, before the program is effective ({program.effective}); this rule could never apply",
            )
    for slug in program.wallets:
        if slug not in paid:
            yield ("wallets", slug), "found a wallet that no rule pays into; add a rule or take the wallet out"


def _money_contradictions(program: ProgramFile, rule: EarningRule, path: Path) -> Iterator[tuple[Path, str]]:
    give: Give = rule.give
    if give.per != "money":
        return
    if give.currency != program.currency:
        yield path, f"found the currency {give.currency}; allowed: the program's currency, {program.currency}"
        return
    minor = give.amount * 10 ** minor_digits(give.currency)
    if minor.denominator != 1:
        yield path, f"found an amount below the smallest unit of {give.currency}; allowed: whole minor units"


def _describe(error: ErrorDetails, source: Source) -> str:
    at_key = error["loc"][-1:] == ("[key]",)
    path = source.real(tuple(part for part in error["loc"] if part != "[key]"))
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    if error["type"] == "extra_forbidden":
        return f"{source.at(path, key=True)}: {_field(path)}: found an unknown field{_instead(path)}"
    if error["type"] == "missing":
        allowed = _ALLOWED.get(name)
        hint = f"; allowed: {allowed}" if allowed else ""
        return f"{source.at(path[:-1])}: {_field(path)}: found nothing; this field is required{hint}"
    found = f"found {_excerpt(error['input'])}"
    message = error["msg"].removeprefix("Value error, ")
    message = _PLAINLY.get(error["type"], message)
    allowed = _ALLOWED["program"] if at_key else _ALLOWED.get(name)
    return (
        f"{source.at(path, key=at_key)}: {_field(path)}: {found}: {message}{f'; allowed: {allowed}' if allowed else ''}"
    )


def _instead(path: Path) -> str:
    """Say which fields may stand there, the nearest first."""
    sections = [part for part in path[:-1] if isinstance(part, str) and part in _SECTIONS]
    model = _SECTIONS[sections[-1]] if sections else ProgramFile
    names = [field.alias or name for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(str(path[-1]), names, n=1)
    return f"; allowed: {', '.join(names)}{f' (did you mean {near[0]}?)' if near else ''}"


def _field(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"


def _excerpt(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else "a list" if isinstance(value, list) else "a mapping"
    return text if len(text) <= 80 else f'{text[:77]}..."'


def _singular(unit: str) -> str:
    return unit.lower().removesuffix("s")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a program file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ProgramFile.model_json_schema(by_alias=True)}
