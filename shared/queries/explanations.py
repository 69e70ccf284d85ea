"""Why points came and went: an order, a return, a referral or a redemption, with everything that it caused."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jiter

from services.earn.handler import EarnHandler
from services.earn.orders import Order
from services.earn.rating.awards import Verdict
from services.earn.rating.engine import rate
from services.earn.referrals import open_until
from services.earn.store import load_orders
from shared.contracts.purchases import PurchaseAmended
from shared.database.pool import Connection, only_row
from shared.instants import moment
from shared.ledger.model import Terms
from shared.ledger.operations import Operation
from shared.posting.events import available_at_word
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import MemberContext
from shared.queries.balances import accounts_at, word
from shared.queries.keys import Match
from shared.queries.verdicts import verdicts_as_json
from shared.queries.words import ENTRY_COLUMNS, Json, answers_as_json, entries_as_json, instant, rule_name
from shared.runtime.decode import decode
from shared.runtime.packed import unpack_records

_ENTRIES = f"""
select a.member, a.wallet, {ENTRY_COLUMNS}
from account a join entry e using (account)
where a.member = any($1::text[]) and e.cause = any($2::uuid[]) order by a.member, a.wallet, e.version
"""
_LOTS = """
select a.wallet, l.lot, l.earned, l.remaining, l.available_at, l.expires_at, l.idle
from account a join lot l using (account) where a.member = $1 and l.lot = any($2::bigint[]) order by a.wallet, l.lot
"""
_MOVES = """
select e.lot, e.operation, sum(e.points)::bigint as points
from account a join entry e using (account) where a.member = $1 and e.lot = any($2::bigint[])
group by e.lot, e.operation order by e.lot, e.operation
"""
#: Where the order stands in the archive as it is now: an amendment that waited for it stands where it came.
_RATED = """
select coalesce(w.archive_seq, a.archive_seq, p.archive_seq),
       coalesce(w.archive_index, a.archive_index, p.archive_index)
from purchase p
left join lateral (select * from amendment where order_key = p.key order by number desc limit 1) a on true
left join parked w on w.key = a.key and w.state = 'applied'
where p.key = $1
"""
_RETURNS = "select key, order_key, source, return_id, member, occurred_at, result, kind from purchase_return "
_FULFILLED = "select key, occurred_at, kind from fulfilment where order_key = $1 order by occurred_at"
_CLAIM = """
select f.claim_id, f.member, f.occurred_at, p.order_id, p.source as order_source
from fulfilment f join purchase p on p.key = f.order_key where f.key = $1
"""
_AMENDMENTS = "select key, order_key, source, amendment_id, member, occurred_at, changes, number from amendment "
_REFERRALS = """
select key, source, referral_id, referrer, friend, registered_at, state, reason, order_key, order_id, order_source,
       qualified_at, minimum, program_version, referrer_points, friend_points
from referral
"""
_REDEMPTION = """
select key, source, redemption_id, member, wallet, reward, state, reason, points, requested_at, held_until, settled_at,
       program_version, answers
from redemption where key = $1
"""


class Explaining:
    """Explains what ids name, from the tables of one deployment."""

    def __init__(self, connection: Connection, programs: Mapping[int, Program], now: int) -> None:
        """Begin.

        Args:
            connection: To the deployment's schema.
            programs: Every version by number, the newest last.
            now: The program's present instant: lots are shown with what is due by then.
        """
        self._connection = connection
        self._programs = programs
        self._now = now

    async def explain(self, match: Match) -> Json:
        """Return what is known of a match."""
        found: Json = await getattr(self, f"_{match.kind}")(match.key)
        return {"kind": match.kind, "source": match.source, **found}

    # ---- orders

    async def _order(self, key: bytes) -> Json:
        order = (await load_orders(self._connection, [key]))[key]
        program = self._programs[order.program_version]
        result = await self._connection.fetchval("select result from order_now where key = $1", key)
        fulfilled = await self._connection.fetch(_FULFILLED, key)
        referrals = await self._connection.fetch(_REFERRALS + "where order_key = $1", key)
        bought = sum(line.qualifying for line in order.lines)
        return {
            "id": order.order_id,
            "member_id": order.member,
            "occurred_at": instant(order.occurred_at),
            "program_version": order.program_version,
            "currency": program.currency,
            "tier": self._tier(order, program),
            "points": sum(sum(paid.line_points) for paid in order.awards),
            "reason": jiter.from_json(result.encode()).get("reason"),
            "qualifying": {"bought": bought, "returned": bought - order.qualifying, "counts": order.qualifying},
            "lines": [line._asdict() for line in order.lines],
            "awards": self._awards(order, program),
            "rules": await self._rules(order, program),
            "entries": await self._entries([order.member], [key, *(one["key"] for one in fulfilled)]),
            "lots": await self._lots(order.member, {paid.lot for paid in order.awards}),
            **{
                f"{word}_at": next((instant(one["occurred_at"]) for one in fulfilled if one["kind"] == kind), None)
                for word, kind in (("fulfilled", "fulfilment"), ("claimed", "claim"))
            },
            "amendments": [
                await self._amended(row, order)
                for row in await self._connection.fetch(_AMENDMENTS + "where order_key = $1 order by number", key)
            ],
            "returns": await self._returns(order),
            "referrals": [self._as_referral(row) for row in referrals],
        }

    def _awards(self, order: Order, program: Program) -> list[Json]:
        return [
            {
                "rule": program.rules[paid.rule].name, "wallet": paid.wallet or program.rules[paid.rule].wallet,
                "points": sum(paid.line_points), "lot": str(paid.lot),
                "lines": {
                    line.line_id: points for line, points in zip(order.lines, paid.line_points, strict=True) if points
                },
            }
            for paid in order.awards
        ]  # fmt: skip

    async def _rules(self, order: Order, program: Program) -> list[Json]:
        """Rate the order again, by what was known then, and return what became of each rule."""
        seq, position = await only_row(self._connection, _RATED, order.key)
        body = await self._connection.fetchval("select body from archive where seq = $1", seq)
        # It was accepted, so it is not too large.
        decoded = decode(unpack_records(body)[position : position + 1], EarnHandler.contracts, sys.maxsize)
        verdicts: list[Verdict] = []
        kept, bought_at = order.kept, moment(order.occurred_at)
        known = MemberContext(kept.tier, lambda key: kept.counts.get(key, 0), kept.member)
        for received in decoded.events:
            event = received.event
            if isinstance(event, PurchaseAmended) and bought_at is not None:
                event = event.as_bought(bought_at)
            rate(program, event, known, verdicts)
        return verdicts_as_json(verdicts, [rule.name for rule in program.rules])

    def _tier(self, order: Order, program: Program) -> Json | None:
        """Return the tier whose multiplier the order was rated with; None where none multiplies."""
        ladder = program.ladder
        if ladder is None or not ladder.multiplies or not order.awards:
            return None
        tier = ladder.tiers[order.kept.tier]
        return {"tier": tier.tier, "multiplier": str(tier.multiplier)}

    async def _lots(self, member: str, lots: Iterable[int]) -> list[Json]:
        """Return what became of lots: an order's points lie with all others of the same terms."""
        numbers = list(lots)
        accounts, lapses = await accounts_at(
            self._connection, self._programs[max(self._programs)], now=self._now, member=member
        )
        left = {lot.lot: lot for account in accounts for lot in account.lots.values()}
        moves: dict[int, dict[str, int]] = {number: {} for number in numbers}
        for lot, operation, points in await self._connection.fetch(_MOVES, member, numbers):
            moves[lot][word(operation)] = points
        due = {"activated": Operation.ACTIVATE.word, "expired": Operation.EXPIRE.word}
        for lapse in lapses:
            if lapse.lot in moves:
                known = moves[lapse.lot]
                known[due[lapse.what]] = known.get(due[lapse.what], 0) + lapse.points
        return [
            {
                "wallet": wallet, "lot": str(lot), "earned": earned,
                "remaining": left[lot].remaining if lot in left else 0, "pending": lot in left and left[lot].pending,
                "available_at": available_at_word(Terms(available_at, expires_at)), "expires_at": instant(expires_at),
                "idle": idle or None, "moves": moves[lot],
            }
            for wallet, lot, earned, _recorded, available_at, expires_at, idle in await self._connection.fetch(
                _LOTS, member, numbers
            )
        ]  # fmt: skip

    async def _entries(self, members: Sequence[str], keys: Sequence[bytes]) -> list[Json]:
        rows = await self._connection.fetch(_ENTRIES, members, keys)
        return await entries_as_json(self._connection, rows, self._programs)

    # ---- returns

    async def _returns(self, order: Order) -> list[Json]:
        rows = await self._connection.fetch(_RETURNS + "where order_key = $1 order by occurred_at, key", order.key)
        return [await self._returned(row, order) for row in rows]

    async def _return(self, key: bytes) -> Json:
        row = await only_row(self._connection, _RETURNS + "where key = $1", key)
        order = (await load_orders(self._connection, [row["order_key"]]))[row["order_key"]]
        return {**await self._returned(row, order), "order": {"id": order.order_id, "source": order.source}}

    _cancellation = _return

    async def _returned(self, row: Any, order: Order) -> Json:
        result = jiter.from_json(row["result"].encode())
        # A return that takes a referral back concerns the referrer too.
        referrers = await self._connection.fetch("select referrer from referral where order_key = $1", order.key)
        members = [order.member, *(referrer for (referrer,) in referrers)]
        return {
            "id": row["return_id"],
            "kind": row["kind"],
            "source": row["source"],
            "member_id": row["member"],
            "occurred_at": instant(row["occurred_at"]),
            "lines": [
                {"line_id": order.lines[index].line_id, "quantity": quantity, "amount": amount}
                for index, quantity, amount in result["lines"]
            ],
            "taken_back": [
                {"rule": rule_name(self._programs, order.program_version, paid.rule), "points": points}
                for paid, points in zip(order.awards, result["awards"], strict=True)
            ],
            "entries": await self._entries(members, [row["key"]]),
        }

    # ---- claims and amendments

    async def _claim(self, key: bytes) -> Json:
        row = await only_row(self._connection, _CLAIM, key)
        return {
            "id": row["claim_id"], "member_id": row["member"], "occurred_at": instant(row["occurred_at"]),
            "order": {"id": row["order_id"], "source": row["order_source"]},
            "entries": await self._entries([row["member"]], [key]),
        }  # fmt: skip

    async def _amendment(self, key: bytes) -> Json:
        row = await only_row(self._connection, _AMENDMENTS + "where key = $1", key)
        order = (await load_orders(self._connection, [row["order_key"]]))[row["order_key"]]
        return {**await self._amended(row, order), "order": {"id": order.order_id, "source": order.source}}

    async def _amended(self, row: Any, order: Order) -> Json:
        changed: dict[str | None, int] = {}
        for rule, _lot, points in jiter.from_json(row["changes"].encode()):
            name = rule_name(self._programs, order.program_version, rule)
            changed[name] = changed.get(name, 0) + points
        return {
            "id": row["amendment_id"], "source": row["source"], "member_id": row["member"], "number": row["number"],
            "occurred_at": instant(row["occurred_at"]),
            "changed": [{"rule": name, "points": points} for name, points in changed.items()],
            "entries": await self._entries([order.member], [row["key"]]),
        }  # fmt: skip

    # ---- referrals and redemptions

    async def _referral(self, key: bytes) -> Json:
        row = await only_row(self._connection, _REFERRALS + "where key = $1", key)
        back = await self._connection.fetch(
            "select key from purchase_return where order_key = $1 union all select key from amendment "
            "where order_key = $1", row["order_key"],
        )  # fmt: skip
        entries = await self._entries([row["referrer"], row["friend"]], [key, *(one for (one,) in back)])
        # Of a return's entries, only those that took the referral's rewards back.
        return {**self._as_referral(row), "entries": [e for e in entries if _of_referral(e)]}

    def _as_referral(self, row: Any) -> Json:
        """Return a referral with the day up to which the friend's purchase can make it pay, by the newest program."""
        newest = self._programs[max(self._programs)]
        until = open_until(row["registered_at"], newest) if row["state"] == "open" and newest.referral else None
        return {**_referral(row), "open_until": instant(until), "too_late": until is not None and until <= self._now}

    async def _redemption(self, key: bytes) -> Json:
        row = await only_row(self._connection, _REDEMPTION, key)
        return {
            "id": row["redemption_id"],
            "member_id": row["member"],
            **{name: row[name] for name in ("reward", "wallet", "points", "state")},
            "reason": row["reason"] or None,
            **{name: instant(row[name]) for name in ("requested_at", "held_until", "settled_at")},
            "program_version": row["program_version"] or None,
            "answers": answers_as_json(row["answers"]),
            "entries": await self._entries([row["member"]], [key]),
        }


def _of_referral(entry: Json) -> bool:
    return entry["cause"]["kind"] == "referral" or str(entry["rule"]).startswith("referral-")


def _referral(row: Any) -> Json:
    """Return a referral's row."""
    return {
        "id": row["referral_id"], "source": row["source"], "referrer_id": row["referrer"], "friend_id": row["friend"],
        "state": row["state"], "reason": row["reason"] or None, "registered_at": instant(row["registered_at"]),
        "qualified_at": instant(row["qualified_at"]),
        "order": {"id": row["order_id"], "source": row["order_source"]} if row["order_id"] else None,
        "minimum": row["minimum"] or None, "program_version": row["program_version"] or None,
        "referrer_points": row["referrer_points"], "friend_points": row["friend_points"],
    }  # fmt: skip
