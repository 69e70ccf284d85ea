"""Instants as microseconds since 1970 (UTC): they compare, hash and pack without surprises, and can say "never"."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta

#: Stand for -infinity and infinity in Postgres; no event can carry either.
BEGINNING = -(2**62)
NEVER = 2**62

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return an aware datetime as an instant, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(instant: int) -> datetime | None:
    """Return an instant as a datetime in UTC; None for "never" and "from the beginning"."""
    if instant in {NEVER, BEGINNING}:
        return None
    return _EPOCH + timedelta(microseconds=instant)


@functools.lru_cache(maxsize=1_000)
def iso(instant: int) -> str:
    """Return an instant as RFC 3339 in UTC; "never" where there is none. Batches ask for few of them, many times."""
    try:
        at = moment(instant)
    except OverflowError:
        return "after the year 9999"
    return at.isoformat().replace("+00:00", "Z") if at else "never"
