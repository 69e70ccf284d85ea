"""When a notification may be sent: quiet hours and send windows, by the wall clock where the member lives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shared.instants import NEVER, microseconds, moment
from shared.program.language.phrases_of_time import Hours

#: What is allowed at all is allowed every day, but for a day that a zone skips or cuts short.
_DAYS = 4
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_LAST_YEAR = 9998


def not_before(instant: int, zone: ZoneInfo, quiet: Hours | None, window: Hours | None) -> int:
    """Return the first instant, from ``instant`` on, at which the wall clock allows to send.

    What the wall clock shows decides: an hour that is shown twice is quiet twice, and quiet hours that would end in
    an hour that is skipped end when it is skipped.

    Args:
        instant: Microseconds since 1970.
        zone: Where the member lives.
        quiet: Nothing is sent then; the last minute does not belong to it.
        window: Things are sent then only; the last minute does not belong to it.

    Returns:
        Microseconds since 1970; NEVER if the hours leave no time at all.
    """
    start = moment(instant)
    if start is None or start.year > _LAST_YEAR or _allows(start, zone, quiet, window):
        return instant
    # The wall clock comes to allowed hours in two ways: it reaches an end of the hours, or it jumps into them.
    candidates = [*_reached(start, zone, quiet, window), *_jumps(start, zone)]
    allowed = (at for at in candidates if at > start and _allows(at, zone, quiet, window))
    first = min(allowed, default=None)
    return NEVER if first is None else microseconds(first)


def _allows(at: datetime, zone: ZoneInfo, quiet: Hours | None, window: Hours | None) -> bool:
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    return not (quiet and _within(quiet, minute)) and (window is None or _within(window, minute))


def _within(hours: Hours, minute: int) -> bool:
    if hours.first < hours.last:
        return hours.first <= minute < hours.last
    return minute >= hours.first or minute < hours.last


def _reached(start: datetime, zone: ZoneInfo, quiet: Hours | None, window: Hours | None) -> Iterator[datetime]:
    """Yield when the wall clock shows the end of the quiet hours or the beginning of the window."""
    minutes = [quiet.last] if quiet else []
    minutes += [window.first] if window else []
    today = start.astimezone(zone).date()
    for number in range(_DAYS):
        for minute in minutes:
            wall = datetime.combine(today + number * _DAY, time(minute // 60, minute % 60))
            for fold in (0, 1):
                at = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
                if at.astimezone(zone).replace(tzinfo=None, fold=0) == wall:  # else this wall time is skipped
                    yield at


def _jumps(start: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield when the wall clock is put forward or back."""
    for number in range(_DAYS):
        before, after = start + number * _DAY, start + (number + 1) * _DAY
        if _offset(before, zone) == _offset(after, zone):
            continue
        # Zones change at whole seconds since 1970.
        before, after = before.replace(microsecond=0), after.replace(microsecond=0)
        while after - before > _SECOND:
            middle = before + (after - before) // _SECOND // 2 * _SECOND
            if _offset(middle, zone) == _offset(after, zone):
                after = middle
            else:
                before = middle
        yield after


def _offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.astimezone(zone).utcoffset()
