"""What ``loyalty why`` shows: the reason of each point of an order, a return, a referral or a redemption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from cli.output import print_json, say
from cli.render.tables import life, print_entries, print_line, print_records, print_table, short
from cli.render.verdicts import print_verdicts
from devstack.home import database, settings_for
from shared.contracts.fields import in_money
from shared.errors import UsageError
from shared.queries import clock
from shared.queries.programs import versions
from shared.queries.views.of_causes import (
    AmendmentView,
    ClaimView,
    Explanation,
    OrderName,
    OrderView,
    RedemptionExplained,
    ReferralExplained,
    ReturnView,
)
from shared.queries.why.explanations import Answer, Explaining, SeveralSources
from shared.queries.why.keys import Match


async def show_why(home: Path, key: str, source: str | None, *, as_json: bool) -> None:
    """Explain what has an id.

    Args:
        home: Of the stack.
        key: The id of an order, of anything about one, of a referral or of a redemption.
        source: Its event's source; None: of any.
        as_json: Print JSON.

    Raises:
        typer.Exit: Nothing has the id.
        UsageError: Several sources have it.
    """
    settings = settings_for(home)
    async with database(settings) as connection:
        programs = await versions(connection)
        explaining = Explaining(connection, programs, await clock.now(connection, settings))
        try:
            answer = await explaining.answer(key, source)
        except SeveralSources as several:
            raise _which(key, several.matches) from None
    if not (answer.found or answer.waiting or answer.dead_letters):
        of = f" of {source}" if source else ""
        say(f"no order, referral or redemption {key!r}{of}: no such event has come, or it is not handled yet")
        raise typer.Exit(1)
    if as_json:
        print_json(answer.as_json())
    else:
        _print(answer)


def _which(key: str, found: Sequence[Match]) -> UsageError:
    """Return what asks for the source where the id alone does not tell."""
    listed = "\n".join(f"  {match.kind} of member {match.member}: --source {match.source}" for match in found)
    return UsageError(f"several sources have {key!r}; say which with --source:\n{listed}")


def _print(answer: Answer) -> None:
    for one in answer.found:
        _print_found(one)
    for early in answer.waiting:
        print_line(
            f"{early.kind} {early.id or ''} of {early.source} waits since {early.since} for order "
            f"{early.order_id} of {early.order_source}, which has not come"
        )
    print_records(
        answer.dead_letters,
        ("id", "state", "reason", "event_type", "event_source", "recorded_at", "detail"),
        "Dead letters about it",
    )


def _print_found(found: Explanation) -> None:
    match found.about:
        case OrderView() as order:
            _print_order(order, found.source)
        case ReturnView() as back:
            _print_return(back)
        case AmendmentView() as amendment:
            _print_amendment(amendment)
        case ClaimView() as claim:
            _print_claim(claim, found.source)
        case ReferralExplained() as referral:
            _print_referral(referral)
        case RedemptionExplained() as redemption:
            _print_redemption(redemption, found.source)


def _print_order(order: OrderView, source: str) -> None:
    print_line(f"order {order.id} of {source}, member {order.member_id}, {order.occurred_at}")
    tier = order.tier
    multiplied = f", tier {tier.tier} (times {tier.multiplier})" if tier else ""
    earned = f"earned {order.points:,} points" if order.awards else f"earned nothing: {order.reason}"
    print_line(f"rated by version {order.program_version} of the program{multiplied}: {earned}")
    counts = order.qualifying
    less = f", less {in_money(counts.returned, order.currency)} that came back" if counts.returned else ""
    print_line(f"counts towards a tier: {in_money(counts.bought, order.currency)}{less}")
    for word, at in (("fulfilled", order.fulfilled_at), ("claimed", order.claimed_at)):
        if at:
            print_line(f"{word} {at}")
    print_table(
        ("rule", "wallet", "points", "by line", "lot"),
        [(a.rule, a.wallet, a.points, _pairs(a.lines), short(a.lot)) for a in order.awards],
        "What the rules paid",
    )
    print_verdicts(order.rules, "Every rule, and why")
    print_entries(order.entries, "Entries that it caused")
    print_table(
        ("wallet", "lot", "earned", "remaining", "available at", "expires at", "what became of it"),
        [
            (
                lot.wallet,
                short(lot.lot),
                lot.earned,
                lot.remaining,
                lot.available_at or "at once",
                life(lot.expires_at, lot.idle, lot.life),
                _pairs(lot.moves),
            )
            for lot in order.lots
        ],
        "Its lots, with everything else that the member earned on the same terms",
    )
    for amendment in order.amendments:
        _print_amendment(amendment)
    for back in order.returns:
        _print_return(back)
    for referral in order.referrals:
        _print_referral(referral)


def _print_return(one: ReturnView) -> None:
    print_line(f"{one.kind} {one.id} of {one.source}{_of(one.order)}, member {one.member_id}, {one.occurred_at}")
    print_records(one.lines, ("line_id", "quantity", "amount"), "What came back")
    print_records(one.taken_back, ("rule", "points"), "What it took back")
    print_entries(one.entries, "From where")


def _print_amendment(one: AmendmentView) -> None:
    print_line(
        f"amendment {one.id} of {one.source}{_of(one.order)}, number {one.number}, member {one.member_id}, "
        f"{one.occurred_at}"
    )
    print_records(one.changed, ("rule", "points"), "What it changed")
    print_entries(one.entries, "Entries that it caused")


def _print_claim(one: ClaimView, source: str) -> None:
    print_line(
        f"claim {one.id} of {source} of order {one.order.id} of {one.order.source}, "
        f"member {one.member_id}, {one.occurred_at}"
    )
    print_entries(one.entries, "Entries that it caused")


def _print_referral(one: ReferralExplained) -> None:
    why_so = f" ({one.reason})" if one.reason else ""
    print_line(
        f"referral {one.id} of {one.source}: {one.referrer_id} brought {one.friend_id}, registered "
        f"{one.registered_at}, {one.state}{why_so}"
    )
    if one.too_late:
        print_line(f"no purchase of at least the minimum came before {one.open_until}: it will not pay any more")
    elif one.open_until:
        print_line(f"a purchase before {one.open_until} can make it pay")
    if one.order:
        print_line(f"decided by order {one.order.id} of {one.order.source}")
    if one.qualified_at:
        print_line(
            f"rewarded {one.qualified_at} by version {one.program_version}: {one.referrer_points:,} points "
            f"for the referrer, {one.friend_points:,} for the friend, for at least {one.minimum or 0:,} minor units"
        )
    print_entries(one.entries or (), "Entries that it caused")


def _print_redemption(one: RedemptionExplained, source: str) -> None:
    why_so = f" ({one.reason})" if one.reason else ""
    print_line(
        f"redemption {one.id} of {source}, member {one.member_id}: {one.reward} for "
        f"{one.points:,} points, asked for {one.requested_at}, {one.state}{why_so}"
    )
    print_table(
        ("asked", "answer", "reason", "points", "balance or what was possible"),
        [
            (
                a["asked"],
                a["state"],
                a["reason"],
                a.get("points", a.get("points_needed")),
                _pairs(a["balance"])
                if "balance" in a
                else f"{a['points_available']:,} available; possible: {', '.join(a['possible_rewards']) or 'nothing'}",
            )
            for a in one.answers
        ],
        "What was asked and answered",
    )
    print_entries(one.entries, "Entries that it caused")


def _of(order: OrderName | None) -> str:
    return f" of order {order.id} of {order.source}" if order else ""


def _pairs(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {number:,}" for name, number in numbers.items())
