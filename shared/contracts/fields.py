"""Field types that events share, with limits that keep one bad record from doing harm."""

from __future__ import annotations

import functools
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import iso4217
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from shared.invisible import is_invisible

#: Strict: a number in quotes is a mistake. Unknown fields are ignored: the producer may be newer than the consumer.
CONTRACT = ConfigDict(strict=True, extra="ignore")

#: No control characters: labels reach text columns, logs and terminals.
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]+$"

#: No control or invisible characters, as far as a pattern can express that for every JSON Schema validator.
_VISIBLE = (
    "^[^\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e"
    "\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb]+$"
)


def _visible_id(text: str) -> str:
    """Return an id unchanged; reject one that may look like another id, or like nothing.

    Ids are hashed as they were sent, so two ids that nobody can tell apart would be two orders.
    """
    if text.isascii() and text.isprintable():
        return text
    for character in text:
        if is_invisible(character):
            raise ValueError(f"should have no character that nobody sees, such as U+{ord(character):04X}")
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError("should be in Unicode normal form C (NFC): it looks like another id")
    return text


def _id(longest: int) -> Any:
    return Annotated[
        str,
        StringConstraints(min_length=1, max_length=longest),
        AfterValidator(_visible_id),
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": longest, "pattern": _VISIBLE}),
    ]


if TYPE_CHECKING:
    Identifier = str
    Source = str
else:
    Identifier = _id(128)
    #: A URI reference, such as "/stores/330"; together with the producer's id it identifies what happened.
    Source = _id(256)
#: Text from outside: stored unchanged, and escaped where it is shown.
Label = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=_PRINTABLE)]

#: Minor units of the currency: cents, pence, yen. The maximum is far above any receipt and far below what would
#: overflow a balance.
MINOR_UNITS_MAX = 1_000_000_000_000
MinorUnits = Annotated[int, Field(ge=0, le=MINOR_UNITS_MAX)]
Quantity = Annotated[int, Field(ge=0, le=1_000_000_000)]

#: Before any computerized loyalty program, and well within the range of every date type in use.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
#: Far enough from the end of the calendar for every time zone and every expiry.
LATEST = datetime(9000, 1, 1, tzinfo=UTC)


def _rfc_3339(text: object) -> object:
    """Reject numbers, which pydantic would read as seconds since 1970."""
    if not isinstance(text, str) or text[4:5] != "-":
        raise ValueError("should be an RFC 3339 time such as 2026-01-31T12:00:00-05:00")
    return text


def _within_reach(moment: datetime) -> datetime:
    if moment < EARLIEST:
        raise ValueError(f"is before {EARLIEST:%Y-%m-%d}")
    if moment >= LATEST:
        raise ValueError(f"is not before {LATEST:%Y-%m-%d}")
    return moment


#: RFC 3339 with an offset; without one, the instant would depend on the store's time zone.
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_rfc_3339), AfterValidator(_within_reach)]

#: Files beside the zones whose meaning depends on the machine.
_NOT_PLACES = {"localtime", "posixrules", "Factory"}


@functools.cache
def _zones() -> frozenset[str]:
    # Cached: every call would search the system's folders again.
    return frozenset(available_timezones() - _NOT_PLACES)


def _iana(name: str) -> str:
    if name not in _zones():
        raise ValueError("is not an IANA time zone")
    ZoneInfo(name)
    return name


TimeZone = Annotated[str, AfterValidator(_iana)]

CURRENCY_CODES: tuple[str, ...] = tuple(sorted(currency.code for currency in iso4217.Currency))

if TYPE_CHECKING:
    CurrencyCode = str
else:
    CurrencyCode = Literal[CURRENCY_CODES]


def minor_digits(currency: str) -> int:
    """Return the number of decimal digits of the currency's minor unit (ISO 4217): 2 for USD, 0 for JPY, 3 for KWD."""
    exponent = iso4217.Currency(currency).exponent
    return exponent if exponent is not None else 0


def in_money(minor: int, currency: str, sign: Literal["", "+"] = "") -> str:
    """Return minor units for people: ``1,649.00 USD``; with ``sign="+"`` also ``+1.00 USD``."""
    digits = minor_digits(currency)
    return f"{Decimal(minor).scaleb(-digits):{sign},.{digits}f} {currency}"
