"""Why points came and went: an order, a return, a referral or a redemption, with everything that it caused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from shared.database.pool import Connection
from shared.program.compiled.program import Program
from shared.queries.views.of_causes import Cause, Explanation, LetterAbout, WaitingView
from shared.queries.views.of_members import Json, as_json
from shared.queries.why.explained import Reading, redemption_by_key, referral_by_key
from shared.queries.why.keys import Match, matches
from shared.queries.why.named_records import dead_letters_about, waiting
from shared.queries.why.orders import amendment_by_key, claim_by_key, order_by_key, return_by_key

_BY_KIND: Mapping[str, Callable[[Reading, bytes], Awaitable[Cause]]] = {
    "order": order_by_key,
    "return": return_by_key,
    "cancellation": return_by_key,
    "amendment": amendment_by_key,
    "claim": claim_by_key,
    "referral": referral_by_key,
    "redemption": redemption_by_key,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is known of an id."""

    key: str
    found: tuple[Explanation, ...]
    waiting: tuple[WaitingView, ...]
    dead_letters: tuple[LetterAbout, ...]

    def as_json(self) -> Json:
        """Return it as programs get it."""
        return {
            "key": self.key,
            "found": [one.as_json() for one in self.found],
            "waiting": as_json(self.waiting),
            "dead_letters": as_json(self.dead_letters),
        }


class SeveralSources(Exception):
    """Several sources have an id; ``matches`` says which."""

    def __init__(self, found: list[Match]) -> None:
        super().__init__("several sources")
        self.matches = found


class Explaining:
    """Explains what ids name, from the tables of one deployment."""

    def __init__(self, connection: Connection, programs: Mapping[int, Program], now: int) -> None:
        """Begin.

        Args:
            connection: To the deployment's schema.
            programs: Every version by number, the newest last.
            now: The program's present instant: lots are shown with what is due by then.
        """
        self._reading = Reading(connection, programs, now)

    async def explain(self, match: Match) -> Explanation:
        """Return what is known of a match."""
        return Explanation(match.kind, match.source, await _BY_KIND[match.kind](self._reading, match.key))

    async def answer(self, name: str, source: str | None) -> Answer:
        """Return all that is known of an id.

        Raises:
            SeveralSources: Several sources have it, and none was named.
        """
        connection = self._reading.connection
        found = await matches(connection, name, source)
        if len({match.source for match in found}) > 1:
            raise SeveralSources(found)
        return Answer(
            key=name,
            found=tuple([await self.explain(match) for match in found]),
            waiting=() if found else tuple(await waiting(connection, name, source)),
            dead_letters=tuple(await dead_letters_about(connection, name, source)),
        )
