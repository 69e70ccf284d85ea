"""When points become available and when they expire, computed once per day and cached."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from shared.instants import BEGINNING, NEVER, microseconds
from shared.program.compiled.calendar import expiry_instant, start_of_day
from shared.program.language.grammar import Expiry
from shared.program.language.phrases_of_time import Pending

_DAYS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long points are pending, and how long they live.

    Attributes:
        pending: When they become available; None: at once.
        zone: The time zone in which days begin and end.
        idle: The inactivity term (``Terms.idle``); empty: they do not expire by inactivity.
    """

    pending: Pending | None
    expiry: Expiry
    zone: ZoneInfo
    idle: str = ""
    _of_day: dict[tuple[date, date | None], tuple[int, int]] = field(default_factory=dict, compare=False)

    @property
    def asks_member(self) -> bool:
        """Whether the expiry depends on when the member joined."""
        return self.expiry.to_the_end_of == "membership year"

    def of(self, day: date, joined_on: date | None = None) -> tuple[int, int]:
        """Return (available at, expires at) of points earned on a local day, in microseconds since 1970.

        Available at BEGINNING: at once; NEVER: when the order is fulfilled; else at the beginning of the day on which
        the waiting time ends. The expiry is the first instant at which the points are gone; NEVER: they do not expire.
        """
        if not self.asks_member:
            joined_on = None
        known = self._of_day.get((day, joined_on))
        if known is None:
            if len(self._of_day) > _DAYS_KEPT:
                self._of_day.clear()
            known = self._of_day[day, joined_on] = (self._available_at(day), self._expires_at(day, joined_on))
        return known

    def _available_at(self, day: date) -> int:
        if self.pending is None:
            return BEGINNING
        if self.pending.days is None:
            return NEVER
        return microseconds(start_of_day(day + timedelta(days=self.pending.days), self.zone))

    def _expires_at(self, day: date, joined_on: date | None) -> int:
        instant = expiry_instant(self.expiry, day, self.zone, joined_on)
        return NEVER if instant is None else microseconds(instant)
