"""Loads the text of a program file: returns the program, or a list of mistakes that a marketer can fix."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from shared.contracts.contract import own_mistakes
from shared.errors import ProgramFileError
from shared.program.calculations import KINDS
from shared.program.calculations.table import Band, Row
from shared.program.language.earning import WEEKDAYS, Dates, EarningRule, PaidWith, When
from shared.program.language.grammar import Expiry, Factor, Give, Rounding
from shared.program.language.model import ProgramFile, Spend, Wallet
from shared.program.language.phrases import Cap, Into, Money, Points, Threshold
from shared.program.language.phrases_of_time import Around, Duration, Hours, Nth, Pending, Streak
from shared.program.language.products import ProductMatch
from shared.program.language.sections import Kind, Ladder, Notifications, Referral, Reward, Tier
from shared.program.language.source import Path, Source, parse
from shared.program.validation.consistency import contradictions
from shared.program.validation.warnings import doubts

_NAME = "lower-case letters, digits and hyphens, beginning with a letter"
_DATE = "a date such as 2026-01-31"
#: What each field allows, for error messages: by the field's name, with its section where two share a name.
_ALLOWED = {
    "program": _NAME,
    "name": "what the members call it",
    "currency": "an ISO 4217 code such as USD",
    "time_zone": "an IANA time zone such as America/New_York",
    "effective": _DATE,
    "wallets": "a mapping such as points: {name: Points, unit: point, expiry: never}",
    "unit": 'a word such as "point"',
    "expiry": Expiry.FORM,
    "activities": "earn, or [earn, redeem]",
    "pending": Pending.FORM,
    "on_return": '"debt", "clamp" or "withhold"',
    "remind": "1 to 366 days before an expiry, such as [30, 7, 1]",
    "also_accepts": "currencies of orders and what one of them is worth, such as CAD: 0.74 USD",
    "spend": "a mapping with tax:, shipping: or gift_cards_used:",
    "tax": '"counts" or "does not count"',
    "shipping": '"counts" or "does not count"',
    "gift_cards_used": '"earn" or "do not earn"',
    "multipliers": '"add", "multiply" or "highest"',
    "earning": "a list of rules, each with rule: and give:, calculate: or multiply:",
    "calculate": f"a mapping with kind: {' or '.join(KINDS)}",
    "kind": " or ".join(KINDS),
    "rows": "a list, each with for: and bands:",
    "bands": "a list, each with from: and give:",
    "bands.from": Money.FORM,
    "n": "2 to 1000",
    "multiply": Factor.FORM,
    "of": "names of rules, such as [every-dollar]",
    "replaces": "names of rules, such as [every-dollar]",
    "best_of": _NAME,
    "cap": Cap.FORM,
    "budget": Cap.FORM,
    "split": "parts of 100% by wallet, such as {cash: 60%, dream: 40%}",
    "segment": "the name of a segment, or a list of them",
    "attribute": "a mapping such as favourite store: north",
    "weekday": ", ".join(WEEKDAYS),
    "hours": Hours.FORM,
    "birthday": Around.FORM,
    "anniversary": Around.FORM,
    "order_of_at_least": Money.FORM,
    "lines_of_at_least": Money.FORM,
    "items_of_at_least": "1 or more",
    "purchase": Nth.FORM,
    "visits": Streak.FORM,
    "paid_with": "a mapping with method:, brand: or card:",
    "rule": _NAME,
    "give": Give.FORM,
    "rounding": Rounding.FORM,
    "from": _DATE,
    "to": _DATE,
    "referral": "a mapping with referrer:, friend:, purchase_of_at_least: and within_days:",
    "referrer": Points.FORM,
    "friend": Points.FORM,
    "purchase_of_at_least": Money.FORM,
    "within_days": "1 to 366",
    "at_most_a_month": "1 to 10000",
    "rewards": "a list of rewards, each with reward:, name:, cost: and worth:",
    "reward": _NAME,
    "cost": Points.FORM,
    "worth": Money.FORM,
    "tier": _NAME,
    "limit": "how often one member may have it, such as 1",
    "hold": Duration.FORM,
    "conversions": "a list, each with rule:, convert: and into:",
    "convert": Points.FORM,
    "into": Into.FORM,
    "ladder": "a mapping with metric:, window:, keep: and tiers:",
    "metric": '"spend" or "points"',
    "window": '"calendar year", "membership year", "rolling 12 months" or "lifetime"',
    "keep": '"the rest of the period and the next" or "while the metric holds"',
    "soft_landing": "true or false",
    "grace_days": "0 to 366",
    "warn_days": "0 to 366",
    "wallet": "the name of one of the wallets",
    "tiers": "a list of 2 to 32 tiers, the lowest first, each with tier:, name: and from:",
    "tiers.from": Threshold.FORM,
    "multiplier": "a number from 1 to 100 such as 1.25",
    "notifications": "a mapping with templates:",
    "templates": "the name of a folder beside this file, such as messages",
    "languages": "codes such as en or [en, fr]",
    "tell": ", ".join(get_args(Kind)),
    "channels": "email, sms or push, or a list of them",
    "quiet_hours": Hours.FORM,
    "send_window": Hours.FORM,
    "points_earned_over": "1 or more",
    "good_for_days": "1 to 366",
}
#: Messages of pydantic, in the words of the file.
_PLAINLY = {
    "literal_error": "is not one of the values that may stand here",
    "tuple_type": "is not a list",
    "dict_type": "is not a mapping (name: value)",
    "model_type": "is not a mapping (name: value)",
    "too_short": "has no entries; at least one is needed",
    "int_parsing": "is no whole number",
    "int_type": "is no whole number",
    "fraction_parsing": "is no number",
    "bool_parsing": "is neither true nor false",
    "union_tag_not_found": "has no kind:",
    "union_tag_invalid": "is no kind of calculation",
}
_SECTIONS: dict[str, type[BaseModel]] = {
    "wallets": Wallet,
    "earning": EarningRule,
    "for": ProductMatch,
    "except": ProductMatch,
    "never_earns": ProductMatch,
    "when": When,
    "dates": Dates,
    "paid_with": PaidWith,
    "spend": Spend,
    "rows": Row,
    "bands": Band,
    "referral": Referral,
    "rewards": Reward,
    "ladder": Ladder,
    "tiers": Tier,
    "notifications": Notifications,
}


def load(text: str, filename: str = "program.yaml") -> ProgramFile:
    """Load a program file.

    Raises:
        ProgramFileError: One problem per line: ``file:line:column: field: found …; allowed: …``.
    """
    source = parse(text, filename)
    if not isinstance(source.data, dict):
        raise ProgramFileError([f"{source.at(())}: the file must be a mapping that begins with program: <name>"])
    try:
        program = ProgramFile.model_validate(source.data)
    except ValidationError as problem:
        raise ProgramFileError([_describe(error, source) for error in own_mistakes(problem)]) from None
    problems = [f"{source.at(path)}: {_field(source.real(path))}: {what}" for path, what in contradictions(program)]
    if problems:
        raise ProgramFileError(problems)
    return program


def doubts_about(text: str, filename: str = "program.yaml") -> list[str]:
    """Return the warnings about a valid file, one per line: ``file:line:column: field: warning``."""
    source = parse(text, filename)
    program = ProgramFile.model_validate(source.data)
    return [f"{source.at(path)}: {_field(source.real(path))}: {what}" for path, what in doubts(program)]


def _describe(error: ErrorDetails, source: Source) -> str:
    at_key = error["loc"][-1:] == ("[key]",)
    path = source.real(_as_written(error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{source.at(path, key=True)}: {_field(path)}: found an unknown field{_instead(path)}"
    if error["type"] == "missing":
        allowed = _allowed(path)
        hint = f"; allowed: {allowed}" if allowed else ""
        return f"{source.at(path[:-1])}: {_field(path)}: found nothing; this field is required{hint}"
    found = f"found {_excerpt(error['input'])}"
    message = error["msg"].removeprefix("Value error, ")
    message = _PLAINLY.get(error["type"], message)
    allowed = _NAME if at_key else _allowed(path)
    return (
        f"{source.at(path, key=at_key)}: {_field(path)}: {found}: {message}{f'; allowed: {allowed}' if allowed else ''}"
    )


def _as_written(place: Path) -> Path:
    """Return a path as in the file, without what pydantic adds: "[key]", and the kind of a calculation."""
    return tuple(
        part
        for number, part in enumerate(place)
        if part != "[key]" and not (number and place[number - 1] == "calculate" and part in KINDS)
    )


def _allowed(path: Path) -> str | None:
    """Return what the field at a path allows; None if nothing is said about it."""
    if path[:1] == ("wallets",) and len(path) == 2:
        return _ALLOWED["wallets"]
    if path[-2:-1] in {("also_accepts",), ("split",)}:  # their keys are currencies and wallets
        return _ALLOWED[str(path[-2])]
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    return _ALLOWED.get(f"{_section(path)}.{name}") or _ALLOWED.get(name)


def _section(path: Path) -> str:
    """Return the section to which a field belongs; empty for a field at the top."""
    if path[:1] == ("wallets",):
        return "wallets"
    return next(
        (part for part in reversed(path[:-1]) if isinstance(part, str) and part in {*_SECTIONS, "calculate"}), ""
    )


def _instead(path: Path) -> str:
    """Return the fields that are allowed there, the most similar one first."""
    section = _section(path)
    models = [*KINDS.values()] if section == "calculate" else [_SECTIONS.get(section, ProgramFile)]
    names = list(dict.fromkeys(field.alias or name for model in models for name, field in model.model_fields.items()))
    near = difflib.get_close_matches(str(path[-1]), names, n=1)
    return f"; allowed: {', '.join(names)}{f' (did you mean {near[0]}?)' if near else ''}"


def _field(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"


def _excerpt(value: object) -> str:
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in value) if isinstance(value, str) else ""
    text = f'"{shown}"' if isinstance(value, str) else "a list" if isinstance(value, list) else "a mapping"
    return text if len(text) <= 80 else f'{text[:77]}..."'


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a program file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ProgramFile.model_json_schema(by_alias=True)}
