"""What happened to one member beside the ledger, as of any instant: redemptions, referrals, notifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.database.pool import Connection
from shared.instants import NEVER
from shared.ledger.due import TimedEffect
from shared.ledger.operations import REVERSALS, Operation
from shared.queries.views.of_members import MemberNotificationView, MemberRedemptionView, MemberReferralView
from shared.queries.words import instant

#: The latest redemptions, referrals and notifications that are shown of a member; the lists of each have them all.
_SHOWN = 1_000

#: What the last of these entries did is the state that a redemption was in.
_STATES = {
    Operation.RESERVE: "reserved",
    Operation.REDEEM: "redeemed",
    Operation.RELEASE: "released",
    Operation.REFUND: "refunded",
}
_REDEMPTIONS = f"""
select r.key, r.redemption_id, r.source, r.reward, r.wallet, r.state, r.reason, r.points, r.requested_at, r.held_until,
       r.settled_at, last.operation, last.occurred_at
from ((select * from redemption where member = $1 and requested_at <= $2
       order by requested_at desc, redemption_id desc limit {_SHOWN})
      union (select * from redemption where member = $1 and requested_at <= $2 and state = 'reserved')
     ) r left join lateral (
    select e.operation, e.occurred_at from entry e
    where e.account = r.account and e.cause = r.key and e.operation = any($3::smallint[]) and e.occurred_at <= $2
    order by e.version desc limit 1) last on true
order by r.requested_at, r.redemption_id
"""

# Friends of referrals that were not refused, and of those that were, stand in an index each.
_REFERRALS = f"""
select f.referral_id, f.source, f.referrer, f.friend, f.state, f.reason, f.registered_at, f.order_id, f.qualified_at,
       f.referrer_points, f.friend_points, p.occurred_at as ordered_at, back.occurred_at as reversed_at
from (select * from referral
      where (referrer = $1 or (friend = $1 and state <> 'refused') or (friend = $1 and state = 'refused'))
        and registered_at <= $2
      order by registered_at desc, referral_id desc limit {_SHOWN}) f
left join purchase p on p.key = f.order_key left join lateral (
    select min(e.occurred_at) as occurred_at from entry e join account a using (account)
    where a.member = $1 and e.rule < 0 and e.operation = any($3::smallint[])
      and e.cause in (
          select key from purchase_return b where b.order_key = f.order_key
          union all select key from amendment c where c.order_key = f.order_key)) back on true
order by f.registered_at, f.referral_id
"""

_NOTIFICATIONS = f"""
select * from (
    select kind, state, reason, occurred_at, not_before, use_by, dedupe_key from notification
    where member = $1 and occurred_at <= $2 order by occurred_at desc, dedupe_key desc limit {_SHOWN}) n
order by occurred_at, dedupe_key
"""


class Asked(NamedTuple):
    """What a reader wants to know.

    Attributes:
        now: The program's present instant.
        as_of: Only what happened up to this instant counts; None: everything, and what is due by now.
        entries: At most so many, the last ones.
    """

    member: str
    now: int
    as_of: int | None
    entries: int

    @property
    def until(self) -> int:
        """The instant up to which rows count."""
        return NEVER if self.as_of is None else self.as_of


async def redemptions_of(
    connection: Connection, asked: Asked, effects: Sequence[TimedEffect]
) -> list[MemberRedemptionView]:
    """Return redemptions in the state that the ledger says they were in."""
    timed_out = {effect.hold.key: effect.instant for effect in effects if effect.hold}
    found = []
    for row in await connection.fetch(_REDEMPTIONS, asked.member, asked.until, list(_STATES)):
        state, reason, settled_at = row["state"], row["reason"], row["settled_at"]
        if state != "rejected":
            if row["operation"] is None:
                continue  # it came late: nothing was posted for it by then
            state, settled_at = _STATES[Operation(row["operation"])], row["occurred_at"]
            # Only what had timed out can be anything but released in the end.
            reason = reason if state == row["state"] else "timed-out" if state == "released" else ""
        if row["key"] in timed_out:
            state, reason, settled_at = "released", "timed-out", timed_out[row["key"]]
        found.append(
            MemberRedemptionView(
                redemption_id=row["redemption_id"],
                source=row["source"],
                reward=row["reward"],
                wallet=row["wallet"],
                points=row["points"],
                state=state,
                reason=reason or None,
                requested_at=instant(row["requested_at"]),
                held_until=instant(row["held_until"]),
                settled_at=None if state == "reserved" else instant(settled_at),
            )
        )
    return found


async def referrals_of(connection: Connection, asked: Asked) -> tuple[MemberReferralView, ...]:
    """Return referrals in which the member is the friend or the referrer, in the state that they were in."""
    rows = await connection.fetch(_REFERRALS, asked.member, asked.until, [int(operation) for operation in REVERSALS])
    return tuple(_referral(row, asked) for row in rows)


def _referral(row: Any, asked: Asked) -> MemberReferralView:
    state = row["state"]
    if state == "reversed" and (row["reversed_at"] or NEVER) > asked.until:
        state = "qualified"
    if state == "qualified" and row["qualified_at"] > asked.until:
        state = "open"
    if state == "refused" and (row["ordered_at"] or row["registered_at"]) > asked.until:
        state = "open"
    rewarded, decided = state in {"qualified", "reversed"}, state != "open"
    role = "friend" if row["friend"] == asked.member else "referrer"
    return MemberReferralView(
        referral_id=row["referral_id"],
        source=row["source"],
        role=role,
        with_=row["referrer" if role == "friend" else "friend"],
        state=state,
        reason=(row["reason"] or None) if state == row["state"] else None,
        registered_at=instant(row["registered_at"]),
        order_id=(row["order_id"] or None) if decided else None,
        qualified_at=instant(row["qualified_at"]) if rewarded else None,
        points=row[f"{role}_points"] if rewarded else 0,
    )


async def notifications_of(connection: Connection, asked: Asked) -> tuple[MemberNotificationView, ...]:
    """Return what the member was told, and what not."""
    return tuple(
        MemberNotificationView(
            kind=row["kind"],
            state=row["state"],
            reason=row["reason"] or None,
            occurred_at=instant(row["occurred_at"]),
            not_before=instant(row["not_before"]),
            use_by=instant(row["use_by"]),
        )
        for row in await connection.fetch(_NOTIFICATIONS, asked.member, asked.until)
    )
