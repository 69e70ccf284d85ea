"""Why an order earned what it did, and what became of it: what came back, what was changed, what was claimed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import jiter

from services.earn.handler import EarnHandler
from services.earn.orders import Order
from services.earn.rating.awards import Verdict
from services.earn.rating.engine import rate
from services.earn.store.batch import load_orders
from shared.contracts.purchases import PurchaseAmended
from shared.instants import moment
from shared.ledger.model import Terms, terms_in_grace
from shared.ledger.operations import Operation
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import MemberContext
from shared.queries.balances import accounts_of
from shared.queries.views.of_causes import (
    AmendmentView,
    AwardView,
    ClaimView,
    LineBack,
    LineView,
    MultiplierView,
    OrderLotView,
    OrderName,
    OrderView,
    QualifyingView,
    ReturnView,
    RulePoints,
    VerdictView,
)
from shared.queries.why.explained import Reading, entries_of, referrals_of_order
from shared.queries.why.verdicts import verdict_views
from shared.queries.words import instant, lot_times, rule_name, word
from shared.runtime.batch.decode import decode
from shared.runtime.packed import unpack_records

_LOTS = """
select a.wallet, l.lot, l.earned, l.available_at, l.expires_at, l.fulfils, l.idle, l.life
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
left join parked w on w.order_key = p.key and w.key = a.key and w.state = 'applied'
where p.key = $1
"""
_ARCHIVED = "select body from archive where seq = $1"
_RESULT = "select result from order_now where key = $1"
_RETURNS = "select key, order_key, source, return_id, member, occurred_at, result, kind from purchase_return "
_OF_ORDER = "where order_key = $1 order by occurred_at, key"
_REFERRERS = "select referrer from referral where order_key = $1"
_FULFILLED = "select key, occurred_at, kind from fulfilment where order_key = $1 order by occurred_at"
_CLAIM = """
select f.claim_id, f.member, f.occurred_at, p.order_id, p.source as order_source
from fulfilment f join purchase p on p.key = f.order_key where f.key = $1
"""
_AMENDMENTS = "select key, order_key, source, amendment_id, member, occurred_at, changes, number from amendment "


async def order_by_key(reading: Reading, key: bytes) -> OrderView:
    """Return an order with everything that it caused."""
    connection = reading.connection
    order = (await load_orders(connection, [key]))[key]
    program = reading.programs[order.program_version]
    result = await connection.fetchval(_RESULT, key)
    fulfilled = await connection.fetch(_FULFILLED, key)
    amendments = await connection.fetch(_AMENDMENTS + "where order_key = $1 order by number", key)
    returns = await connection.fetch(_RETURNS + _OF_ORDER, key)
    bought = sum(line.qualifying for line in order.lines)
    at = {one["kind"]: instant(one["occurred_at"]) for one in reversed(fulfilled)}
    return OrderView(
        id=order.order_id,
        member_id=order.member,
        occurred_at=instant(order.occurred_at),
        program_version=order.program_version,
        currency=program.currency,
        tier=_tier(order, program),
        points=sum(sum(paid.line_points) for paid in order.awards),
        reason=jiter.from_json(result.encode()).get("reason"),
        qualifying=QualifyingView(bought, bought - order.qualifying, order.qualifying),
        lines=tuple(LineView(*line) for line in order.lines),
        awards=_awards(order, program),
        rules=await _rules(reading, order, program),
        entries=await entries_of(reading, [order.member], [key, *(one["key"] for one in fulfilled)]),
        lots=await _lots(reading, order.member, {paid.lot for paid in order.awards}),
        fulfilled_at=at.get("fulfilment"),
        claimed_at=at.get("claim"),
        amendments=tuple([await _amended(reading, row, order) for row in amendments]),
        returns=tuple([await _returned(reading, row, order) for row in returns]),
        referrals=await referrals_of_order(reading, key),
    )


def _awards(order: Order, program: Program) -> tuple[AwardView, ...]:
    return tuple(
        AwardView(
            rule=program.rules[paid.rule].name,
            wallet=paid.wallet or program.rules[paid.rule].wallet,
            points=sum(paid.line_points),
            lot=str(paid.lot),
            lines={line.line_id: points for line, points in zip(order.lines, paid.line_points, strict=True) if points},
        )
        for paid in order.awards
    )


async def _rules(reading: Reading, order: Order, program: Program) -> tuple[VerdictView, ...]:
    """Rate the order again, by what was known then, and return what became of each rule."""
    rated: Any = await reading.connection.fetchrow(_RATED, order.key)
    seq, position = rated
    body = await reading.connection.fetchval(_ARCHIVED, seq)
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
    return verdict_views(verdicts, [rule.name for rule in program.rules])


def _tier(order: Order, program: Program) -> MultiplierView | None:
    """Return the tier whose multiplier the order was rated with; None where none multiplies."""
    ladder = program.ladder
    if ladder is None or not ladder.multiplies or not order.awards:
        return None
    tier = ladder.tiers[order.kept.tier]
    return MultiplierView(tier.tier, str(tier.multiplier))


async def _lots(reading: Reading, member: str, lots: Iterable[int]) -> tuple[OrderLotView, ...]:
    """Return what became of lots: an order's points lie with all others of the same terms.

    Points that came back after their expiry live on in a lot beside theirs.
    """
    numbers = [number for lot in lots for number in (lot, terms_in_grace(lot).lot_id())]
    held = await accounts_of(reading.connection, reading.newest, member, now=reading.now)
    left = {lot.lot: lot for account in held.accounts for lot in account.lots.values()}
    moves: dict[int, dict[str, int]] = {number: {} for number in numbers}
    for lot, operation, points in await reading.connection.fetch(_MOVES, member, numbers):
        moves[lot][word(operation)] = points
    due = {"activated": Operation.ACTIVATE.word, "expired": Operation.EXPIRE.word}
    for effect in held.timed_effects:
        if effect.lot in moves:
            known = moves[effect.lot]
            known[due[effect.what]] = known.get(due[effect.what], 0) + effect.points
    rows = await reading.connection.fetch(_LOTS, member, numbers)
    return tuple(
        OrderLotView(
            wallet=wallet,
            lot=str(lot),
            earned=earned,
            remaining=left[lot].remaining if lot in left else 0,
            pending=lot in left and left[lot].pending,
            **lot_times(terms, pending=lot in left and left[lot].pending)._asdict(),
            moves=moves[lot],
        )
        for wallet, lot, earned, available_at, expires_at, fulfils, idle, life in rows
        for terms in (Terms(available_at, expires_at, fulfils or b"", idle, life),)
    )


async def return_by_key(reading: Reading, key: bytes) -> ReturnView:
    """Return a return or a cancellation, with its order."""
    row: Any = await reading.connection.fetchrow(_RETURNS + "where key = $1", key)
    order = (await load_orders(reading.connection, [row["order_key"]]))[row["order_key"]]
    return await _returned(reading, row, order, OrderName(order.order_id, order.source))


async def _returned(reading: Reading, row: Any, order: Order, of: OrderName | None = None) -> ReturnView:
    result = jiter.from_json(row["result"].encode())
    # A return that takes a referral back concerns the referrer too.
    referrers = await reading.connection.fetch(_REFERRERS, order.key)
    return ReturnView(
        id=row["return_id"],
        kind=row["kind"],
        source=row["source"],
        member_id=row["member"],
        occurred_at=instant(row["occurred_at"]),
        lines=tuple(
            LineBack(order.lines[index].line_id, quantity, amount) for index, quantity, amount in result["lines"]
        ),
        taken_back=tuple(
            RulePoints(rule_name(reading.programs, order.program_version, paid.rule), points)
            for paid, points in zip(order.awards, result["awards"], strict=True)
        ),
        entries=await entries_of(reading, [order.member, *(referrer for (referrer,) in referrers)], [row["key"]]),
        order=of,
    )


async def claim_by_key(reading: Reading, key: bytes) -> ClaimView:
    """Return a claim, with its order."""
    row: Any = await reading.connection.fetchrow(_CLAIM, key)
    return ClaimView(
        id=row["claim_id"],
        member_id=row["member"],
        occurred_at=instant(row["occurred_at"]),
        order=OrderName(row["order_id"], row["order_source"]),
        entries=await entries_of(reading, [row["member"]], [key]),
    )


async def amendment_by_key(reading: Reading, key: bytes) -> AmendmentView:
    """Return an amendment, with its order."""
    row: Any = await reading.connection.fetchrow(_AMENDMENTS + "where key = $1", key)
    order = (await load_orders(reading.connection, [row["order_key"]]))[row["order_key"]]
    return await _amended(reading, row, order, OrderName(order.order_id, order.source))


async def _amended(reading: Reading, row: Any, order: Order, of: OrderName | None = None) -> AmendmentView:
    changed: dict[str | None, int] = {}
    for rule, _lot, points in jiter.from_json(row["changes"].encode()):
        name = rule_name(reading.programs, order.program_version, rule)
        changed[name] = changed.get(name, 0) + points
    return AmendmentView(
        id=row["amendment_id"],
        source=row["source"],
        member_id=row["member"],
        number=row["number"],
        occurred_at=instant(row["occurred_at"]),
        changed=tuple(RulePoints(name, points) for name, points in changed.items()),
        entries=await entries_of(reading, [order.member], [row["key"]]),
        order=of,
    )
