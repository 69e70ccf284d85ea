"""What explanations share, and those of referrals and redemptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.earn.referrals import open_until
from shared.database.pool import Connection
from shared.program.compiled.program import Program
from shared.queries.views.of_causes import OrderName, RedemptionExplained, ReferralExplained
from shared.queries.views.of_members import EntryView
from shared.queries.words import ENTRY_COLUMNS, answers_as_json, entry_views, instant

_ENTRIES = f"""
select a.member, a.wallet, {ENTRY_COLUMNS}
from account a join entry e using (account)
where a.member = any($1::text[]) and e.cause = any($2::uuid[]) order by a.member, a.wallet, e.version
"""
_REFERRALS = """
select key, source, referral_id, referrer, friend, registered_at, state, reason, order_key, order_id, order_source,
       qualified_at, minimum, program_version, referrer_points, friend_points
from referral
"""
_CHANGED_BY = """
select key from purchase_return where order_key = $1 union all select key from amendment where order_key = $1
"""
_REDEMPTION = """
select key, source, redemption_id, member, wallet, reward, state, reason, points, requested_at, held_until, settled_at,
       program_version, answers
from redemption where key = $1
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader reads with.

    Attributes:
        connection: To the deployment's schema.
        programs: Every version by number, the newest last.
        now: The program's present instant: lots are shown with what is due by then.
    """

    connection: Connection
    programs: Mapping[int, Program]
    now: int

    @property
    def newest(self) -> Program:
        """The newest version."""
        return self.programs[max(self.programs)]


async def entries_of(reading: Reading, members: Sequence[str], causes: Sequence[bytes]) -> tuple[EntryView, ...]:
    """Return the entries of some members that some causes made."""
    rows = await reading.connection.fetch(_ENTRIES, members, causes)
    return await entry_views(reading.connection, rows, reading.programs)


async def referral_by_key(reading: Reading, key: bytes) -> ReferralExplained:
    """Return a referral, with the entries that it made and those that took its rewards back."""
    row: Any = await reading.connection.fetchrow(_REFERRALS + "where key = $1", key)
    back = await reading.connection.fetch(_CHANGED_BY, row["order_key"])
    entries = await entries_of(reading, [row["referrer"], row["friend"]], [key, *(one for (one,) in back)])
    # Of a return's entries, only those that took the referral's rewards back.
    return _referral(reading, row, tuple(entry for entry in entries if _of_referral(entry)))


async def referrals_of_order(reading: Reading, order: bytes) -> tuple[ReferralExplained, ...]:
    """Return the referrals that an order decided."""
    rows = await reading.connection.fetch(_REFERRALS + "where order_key = $1", order)
    return tuple(_referral(reading, row) for row in rows)


def _referral(reading: Reading, row: Any, entries: tuple[EntryView, ...] | None = None) -> ReferralExplained:
    """Return a referral with the day up to which the friend's purchase can make it pay, by the newest program."""
    newest = reading.newest
    until = open_until(row["registered_at"], newest) if row["state"] == "open" and newest.referral else None
    return ReferralExplained(
        id=row["referral_id"],
        source=row["source"],
        referrer_id=row["referrer"],
        friend_id=row["friend"],
        state=row["state"],
        reason=row["reason"] or None,
        registered_at=instant(row["registered_at"]),
        qualified_at=instant(row["qualified_at"]),
        order=OrderName(row["order_id"], row["order_source"]) if row["order_id"] else None,
        minimum=row["minimum"] or None,
        program_version=row["program_version"] or None,
        referrer_points=row["referrer_points"],
        friend_points=row["friend_points"],
        open_until=instant(until),
        too_late=until is not None and until <= reading.now,
        entries=entries,
    )


def _of_referral(entry: EntryView) -> bool:
    return entry.cause.kind == "referral" or str(entry.rule).startswith("referral-")


async def redemption_by_key(reading: Reading, key: bytes) -> RedemptionExplained:
    """Return a redemption with what was asked and answered."""
    row: Any = await reading.connection.fetchrow(_REDEMPTION, key)
    return RedemptionExplained(
        id=row["redemption_id"],
        member_id=row["member"],
        reward=row["reward"],
        wallet=row["wallet"],
        points=row["points"],
        state=row["state"],
        reason=row["reason"] or None,
        requested_at=instant(row["requested_at"]),
        held_until=instant(row["held_until"]),
        settled_at=instant(row["settled_at"]),
        program_version=row["program_version"] or None,
        answers=tuple(answers_as_json(row["answers"])),
        entries=await entries_of(reading, [row["member"]], [key]),
    )
