"""When points become available and when they expire, computed once per day and cached."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, date, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from shared.instants import BEGINNING, NEVER, microseconds
from shared.program.compiled.calendar import expiry_instant, life_instant, life_words, start_of_day
from shared.program.language.grammar import Expiry
from shared.program.language.phrases_of_time import Pending

_DAYS_KEPT = 10_000


class Lifespan(NamedTuple):
    """When points of one day can be spent, and until when. Instants are microseconds since 1970.

    Attributes:
        available_at: BEGINNING: at once; NEVER: when the order is fulfilled, or claimed; else the beginning of the day
            on which the waiting time ends.
        expires_at: The first instant at which the points are gone; NEVER: they do not expire by a date. Of points that
            wait for an event: if it happened at once; ``life`` says how they live after it.
        life: Of points that wait for an event (``Terms.life``): ``30 days``.
    """

    available_at: int
    expires_at: int
    life: str = ""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long points are pending, and how long they live.

    Attributes:
        pending: When they become available; None: at once.
        zone: The time zone in which days begin and end.
        idle: The inactivity term (``Terms.idle``); empty: they do not expire by inactivity.
        counts_from: From which day their life counts; None: from the day on which they become available where the
            program cannot tell that day, else from the purchase.
    """

    pending: Pending | None
    expiry: Expiry
    zone: ZoneInfo
    idle: str = ""
    counts_from: Literal["purchase", "available"] | None = None
    _of_day: dict[tuple[date, date | None], Lifespan] = field(default_factory=dict, compare=False)

    @property
    def asks_member(self) -> bool:
        """Whether the expiry depends on when the member joined."""
        return self.expiry.to_the_end_of == "membership year"

    @property
    def waits(self) -> bool:
        """Whether points wait for an event, whose day nobody knows when they are earned."""
        return self.pending is not None and self.pending.days is None

    def of(self, day: date, joined_on: date | None = None) -> Lifespan:
        """Return the lifespan of points earned on a local day.

        Points never expire before they can be spent: they live at least to the end of the day on which they become
        available.

        Args:
            day: The day of the purchase.
            joined_on: The day from which the member's membership years count.
        """
        if not self.asks_member:
            joined_on = None
        known = self._of_day.get((day, joined_on))
        if known is None:
            if len(self._of_day) > _DAYS_KEPT:
                self._of_day.clear()
            known = self._of_day[day, joined_on] = self._worked_out(day, joined_on)
        return known

    def at_once(self, day: date, joined_on: date | None = None) -> Lifespan:
        """Return the lifespan of points that do not wait, whatever the wallet says: they are available on the day."""
        return Lifespan(BEGINNING, self._expires_at(day, day, joined_on if self.asks_member else None))

    def _worked_out(self, day: date, joined_on: date | None) -> Lifespan:
        if self.waits:
            earned_on = day if self.counts_from == "purchase" else None
            life = life_words(self.expiry, joined_on, earned_on)
            return Lifespan(NEVER, life_until(life, day, self.zone), life)
        if self.pending is None or self.pending.days is None:
            return Lifespan(BEGINNING, self._expires_at(day, day, joined_on))
        opens = day + timedelta(days=self.pending.days)
        counted = opens if self.counts_from == "available" else day
        available_at = microseconds(start_of_day(opens, self.zone))
        return Lifespan(available_at, self._expires_at(counted, opens, joined_on))

    def _expires_at(self, counted: date, opens: date, joined_on: date | None) -> int:
        instant = expiry_instant(self.expiry, counted, self.zone, joined_on)
        return NEVER if instant is None else max(microseconds(instant), after_day(opens, 0, self.zone))


def day_of(instant: int, zone: ZoneInfo) -> date:
    """Return the local day of an instant."""
    return datetime.fromtimestamp(instant / 1_000_000, UTC).astimezone(zone).date()


@functools.lru_cache(maxsize=_DAYS_KEPT)
def after_day(day: date, days: int, zone: ZoneInfo) -> int:
    """Return the first instant after so many days, counted from a local day: 0 is the end of the day itself."""
    if day.year > MAXYEAR - 101:
        return NEVER
    return microseconds(start_of_day(day + timedelta(days=days + 1), zone))


@functools.lru_cache(maxsize=_DAYS_KEPT)
def life_until(life: str, day: date, zone: ZoneInfo) -> int:
    """Return when points expire that waited for an event (``Lifespan.life``) and become available on a local day."""
    instant = life_instant(life, day, zone)
    return NEVER if instant is None else microseconds(instant)
