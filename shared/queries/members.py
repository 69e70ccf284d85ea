"""Everything that is known of one member, as of now or of any instant, past or future."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.database.pool import Connection
from shared.instants import NEVER
from shared.ledger.due import TimedEffect
from shared.ledger.model import Account
from shared.ledger.operations import REVERSALS, Operation
from shared.posting.events import available_at_word
from shared.program.compiled.ladders import ladders_by_wallet
from shared.program.compiled.program import Program
from shared.queries.balances import accounts_at
from shared.queries.tiers import history, standing_at, tier_as_json
from shared.queries.words import ENTRY_COLUMNS, Json, entries_as_json, instant

_ENTRIES = f"""
select a.member, a.wallet, {ENTRY_COLUMNS}, count(*) over () as in_all
from entry e join account a using (account)
where a.member = $1 and e.occurred_at <= $2 order by e.occurred_at desc, a.wallet, e.version desc limit $3
"""

#: What the last of these entries did is the state that a redemption was in.
_STATES = {
    Operation.RESERVE: "reserved", Operation.REDEEM: "redeemed", Operation.RELEASE: "released",
    Operation.REFUND: "refunded",
}  # fmt: skip
_REDEMPTIONS = """
select r.key, r.redemption_id, r.source, r.reward, r.wallet, r.state, r.reason, r.points, r.requested_at, r.held_until,
       r.settled_at, last.operation, last.occurred_at
from redemption r left join lateral (
    select e.operation, e.occurred_at from entry e
    where e.account = r.account and e.cause = r.key and e.operation = any($3::smallint[]) and e.occurred_at <= $2
    order by e.version desc limit 1) last on true
where r.member = $1 and r.requested_at <= $2 order by r.requested_at, r.redemption_id
"""

_REFERRALS = """
select f.referral_id, f.source, f.referrer, f.friend, f.state, f.reason, f.registered_at, f.order_id, f.qualified_at,
       f.referrer_points, f.friend_points, p.occurred_at as ordered_at, back.occurred_at as reversed_at
from referral f left join purchase p on p.key = f.order_key left join lateral (
    select min(e.occurred_at) as occurred_at from entry e join account a using (account)
    where a.member = $1 and e.rule < 0 and e.operation = any($3::smallint[])
      and e.cause in (
          select key from purchase_return b where b.order_key = f.order_key
          union all select key from amendment c where c.order_key = f.order_key)) back on true
where (f.referrer = $1 or f.friend = $1) and f.registered_at <= $2 order by f.registered_at, f.referral_id
"""

_NOTIFICATIONS = """
select kind, state, reason, occurred_at, not_before, use_by from notification
where member = $1 and occurred_at <= $2 order by occurred_at, dedupe_key
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


async def read_member(connection: Connection, programs: Mapping[int, Program], asked: Asked) -> Json | None:
    """Return all that is known of a member; None if the ledger has never heard of them."""
    newest = programs[max(programs)]
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        accounts, lapses = await accounts_at(
            connection, newest, now=asked.now, as_of=asked.as_of, member=asked.member
        )  # fmt: skip
        if not accounts:
            return None
        rows = await connection.fetch(_ENTRIES, asked.member, asked.until, asked.entries)
        redemptions = await _redemptions(connection, asked, lapses)
        tier, changes = await _tier(connection, list(programs.values()), accounts, asked)
        return {
            "member_id": asked.member,
            "as_of": instant(asked.now if asked.as_of is None else asked.as_of),
            "wallets": [_wallet(account, newest) for account in accounts],
            "lots": [lot for account in accounts for lot in _lots(account)],
            "reservations": [one for one in redemptions if one["state"] == "reserved"],
            "due": [_lapse(lapse) for lapse in lapses],
            "entries_in_all": rows[0]["in_all"] if rows else 0,
            "entries": await entries_as_json(connection, [list(row)[:-1] for row in reversed(rows)], programs),
            "tier": tier,
            "tier_history": changes,
            "referrals": await _referrals(connection, asked),
            "redemptions": redemptions,
            "notifications": await _notifications(connection, asked),
        }


def _wallet(account: Account, program: Program) -> Json:
    """Return a wallet's balance, and the instant at which its points lapse if nothing is done before."""
    idle_until = min(
        (program.idle_until(lot.terms.idle, account.earned_at, account.redeemed_at)
         for lot in account.lots.values() if lot.terms.idle and not lot.pending), default=None,
    )  # fmt: skip
    fields = ("wallet", "available", "pending", "reserved", "debt", "lifetime", "version")
    return {**{name: getattr(account, name) for name in fields}, "lapses_unless_used": instant(idle_until)}


def _lots(account: Account) -> list[Json]:
    """Return what is left, in the order in which it would be spent; pending points last."""
    lots = sorted(account.lots.values(), key=lambda lot: (lot.pending, lot.terms.expires_at, lot.terms.available_at))
    return [
        {
            "wallet": account.wallet, "lot": str(lot.lot), "state": "pending" if lot.pending else "available",
            "remaining": lot.remaining, "available_at": available_at_word(lot.terms),
            "expires_at": instant(lot.terms.expires_at), "idle": lot.terms.idle or None,
        }
        for lot in lots
    ]  # fmt: skip


def _lapse(lapse: TimedEffect) -> Json:
    """Return something that is due and not recorded yet."""
    return {
        "at": instant(lapse.instant), "wallet": lapse.account.wallet, "what": lapse.what, "points": lapse.points,
        "lot": str(lapse.lot) if lapse.lot else None, "expires_at": instant(lapse.expires_at),
        "redemption_id": lapse.hold.redemption_id if lapse.hold else None,
    }  # fmt: skip


async def _tier(
    connection: Connection, programs: Sequence[Program], accounts: Sequence[Account], asked: Asked
) -> tuple[Json | None, list[Json]]:
    ladders = ladders_by_wallet(programs)
    wallet = programs[-1].ladder.wallet if programs[-1].ladder else next(iter(ladders), None)
    account = next((account.account for account in accounts if account.wallet == wallet), None)
    if wallet is None or account is None:
        return None, []
    ladder_at = ladders[wallet]
    found = await standing_at(connection, account, asked.member, wallet, ladder_at, now=asked.now, as_of=asked.as_of)
    tier = tier_as_json(found.state, ladder_at(found.instant), found.instant)
    return tier, await history(connection, account, found)


async def _redemptions(connection: Connection, asked: Asked, lapses: Sequence[TimedEffect]) -> list[Json]:
    """Return redemptions in the state that the ledger says they were in."""
    timed_out = {lapse.hold.key: lapse.instant for lapse in lapses if lapse.hold}
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
        found.append({
            **{name: row[name] for name in ("redemption_id", "source", "reward", "wallet", "points")},
            "state": state, "reason": reason or None, "requested_at": instant(row["requested_at"]),
            "held_until": instant(row["held_until"]),
            "settled_at": None if state == "reserved" else instant(settled_at),
        })  # fmt: skip
    return found


async def _referrals(connection: Connection, asked: Asked) -> list[Json]:
    rows = await connection.fetch(_REFERRALS, asked.member, asked.until, [int(operation) for operation in REVERSALS])
    return [_referral(row, asked) for row in rows]


def _referral(row: Any, asked: Asked) -> Json:
    state = row["state"]
    if state == "reversed" and (row["reversed_at"] or NEVER) > asked.until:
        state = "qualified"
    if state == "qualified" and row["qualified_at"] > asked.until:
        state = "open"
    if state == "refused" and (row["ordered_at"] or row["registered_at"]) > asked.until:
        state = "open"
    rewarded, decided = state in {"qualified", "reversed"}, state != "open"
    role = "friend" if row["friend"] == asked.member else "referrer"
    return {
        "referral_id": row["referral_id"], "source": row["source"], "role": role,
        "with": row["referrer" if role == "friend" else "friend"], "state": state,
        "reason": (row["reason"] or None) if state == row["state"] else None,
        "registered_at": instant(row["registered_at"]),
        "order_id": (row["order_id"] or None) if decided else None,
        "qualified_at": instant(row["qualified_at"]) if rewarded else None,
        "points": row[f"{role}_points"] if rewarded else 0,
    }  # fmt: skip


async def _notifications(connection: Connection, asked: Asked) -> list[Json]:
    return [
        {
            "kind": row["kind"], "state": row["state"], "reason": row["reason"] or None,
            "occurred_at": instant(row["occurred_at"]), "not_before": instant(row["not_before"]),
            "use_by": instant(row["use_by"]),
        }
        for row in await connection.fetch(_NOTIFICATIONS, asked.member, asked.until)
    ]  # fmt: skip
