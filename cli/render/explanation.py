"""What ``loyalty why`` shows: the reason of each point of an order, a return, a referral or a redemption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from cli.output import print_json, say
from cli.render.tables import print_entries, print_line, print_records, print_table, short
from cli.render.verdicts import print_verdicts
from devstack.home import database, settings_for
from shared.admin import clock
from shared.contracts.fields import in_money
from shared.errors import UsageError
from shared.queries.explanations import Explaining
from shared.queries.keys import Match, dead_letters, matches, waiting
from shared.queries.words import Json, life, versions


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
        found = await matches(connection, key, source)
        _refuse_several(key, found)
        explaining = Explaining(connection, programs, await clock.now(connection, settings))
        answer: Json = {
            "key": key,
            "found": [await explaining.explain(match) for match in found],
            "waiting": [] if found else await waiting(connection, key, source),
            "dead_letters": await dead_letters(connection, key, source),
        }
    if not (answer["found"] or answer["waiting"] or answer["dead_letters"]):
        of = f" of {source}" if source else ""
        say(f"no order, referral or redemption {key!r}{of}: no such event has come, or it is not handled yet")
        raise typer.Exit(1)
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _refuse_several(key: str, found: Sequence[Match]) -> None:
    """Ask for the source where the id alone does not tell.

    Raises:
        UsageError: Several sources have the id.
    """
    if len({match.source for match in found}) > 1:
        listed = "\n".join(f"  {match.kind} of member {match.member}: --source {match.source}" for match in found)
        raise UsageError(f"several sources have {key!r}; say which with --source:\n{listed}")


def _print(answer: Json) -> None:
    for one in answer["found"]:
        _PRINTERS[one["kind"]](one)
    for one in answer["waiting"]:
        print_line(
            f"{one['kind']} {one['id'] or ''} of {one['source']} waits since {one['since']} for order "
            f"{one['order_id']} of {one['order_source']}, which has not come"
        )
    print_records(
        answer["dead_letters"], ("id", "state", "reason", "event_type", "event_source", "recorded_at", "detail"),
        "Dead letters about it",
    )  # fmt: skip


def _print_order(order: Json) -> None:
    print_line(f"order {order['id']} of {order['source']}, member {order['member_id']}, {order['occurred_at']}")
    tier = order["tier"]
    multiplied = f", tier {tier['tier']} (times {tier['multiplier']})" if tier else ""
    earned = f"earned {order['points']:,} points" if order["awards"] else f"earned nothing: {order['reason']}"
    print_line(f"rated by version {order['program_version']} of the program{multiplied}: {earned}")
    counts = order["qualifying"]
    back = f", less {in_money(counts['returned'], order['currency'])} that came back" if counts["returned"] else ""
    print_line(f"counts towards a tier: {in_money(counts['bought'], order['currency'])}{back}")
    for word in ("fulfilled", "claimed"):
        if order[f"{word}_at"]:
            print_line(f"{word} {order[f'{word}_at']}")
    print_table(
        ("rule", "wallet", "points", "by line", "lot"),
        [(a["rule"], a["wallet"], a["points"], _pairs(a["lines"]), short(a["lot"])) for a in order["awards"]],
        "What the rules paid",
    )
    print_verdicts(order["rules"], "Every rule, and why")
    print_entries(order["entries"], "Entries that it caused")
    print_table(
        ("wallet", "lot", "earned", "remaining", "available at", "expires at", "what became of it"),
        [
            (lot["wallet"], short(lot["lot"]), lot["earned"], lot["remaining"], lot["available_at"] or "at once",
             life(lot), _pairs(lot["moves"]))
            for lot in order["lots"]
        ],
        "Its lots, with everything else that the member earned on the same terms",
    )  # fmt: skip
    for one in order["amendments"]:
        _print_amendment(one)
    for one in order["returns"]:
        _print_return(one)
    for one in order["referrals"]:
        _print_referral(one)


def _print_return(one: Json) -> None:
    order = one.get("order")
    of = f" of order {order['id']} of {order['source']}" if order else ""
    print_line(f"{one['kind']} {one['id']} of {one['source']}{of}, member {one['member_id']}, {one['occurred_at']}")
    print_records(one["lines"], ("line_id", "quantity", "amount"), "What came back")
    print_records(one["taken_back"], ("rule", "points"), "What it took back")
    print_entries(one["entries"], "From where")


def _print_amendment(one: Json) -> None:
    order = one.get("order")
    of = f" of order {order['id']} of {order['source']}" if order else ""
    print_line(
        f"amendment {one['id']} of {one['source']}{of}, number {one['number']}, member {one['member_id']}, "
        f"{one['occurred_at']}"
    )
    print_records(one["changed"], ("rule", "points"), "What it changed")
    print_entries(one["entries"], "Entries that it caused")


def _print_claim(one: Json) -> None:
    print_line(
        f"claim {one['id']} of {one['source']} of order {one['order']['id']} of {one['order']['source']}, "
        f"member {one['member_id']}, {one['occurred_at']}"
    )
    print_entries(one["entries"], "Entries that it caused")


def _print_referral(one: Json) -> None:
    why_so = f" ({one['reason']})" if one["reason"] else ""
    print_line(
        f"referral {one['id']} of {one['source']}: {one['referrer_id']} brought {one['friend_id']}, registered "
        f"{one['registered_at']}, {one['state']}{why_so}"
    )
    if one["too_late"]:
        print_line(f"no purchase of at least the minimum came before {one['open_until']}: it will not pay any more")
    elif one["open_until"]:
        print_line(f"a purchase before {one['open_until']} can make it pay")
    if one["order"]:
        print_line(f"decided by order {one['order']['id']} of {one['order']['source']}")
    if one["qualified_at"]:
        print_line(
            f"rewarded {one['qualified_at']} by version {one['program_version']}: {one['referrer_points']:,} points "
            f"for the referrer, {one['friend_points']:,} for the friend, for at least {one['minimum']:,} minor units"
        )
    print_entries(one.get("entries", []), "Entries that it caused")


def _print_redemption(one: Json) -> None:
    why_so = f" ({one['reason']})" if one["reason"] else ""
    print_line(
        f"redemption {one['id']} of {one['source']}, member {one['member_id']}: {one['reward']} for "
        f"{one['points']:,} points, asked for {one['requested_at']}, {one['state']}{why_so}"
    )
    print_table(
        ("asked", "answer", "reason", "points", "balance or what was possible"),
        [
            (a["asked"], a["state"], a["reason"], a.get("points", a.get("points_needed")),
             _pairs(a["balance"]) if "balance" in a
             else f"{a['points_available']:,} available; possible: {', '.join(a['possible_rewards']) or 'nothing'}")
            for a in one["answers"]
        ],
        "What was asked and answered",
    )  # fmt: skip
    print_entries(one["entries"], "Entries that it caused")


def _pairs(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name}: {number:,}" for name, number in numbers.items())


_PRINTERS: dict[str, Callable[[Json], None]] = {
    "order": _print_order, "return": _print_return, "cancellation": _print_return, "amendment": _print_amendment,
    "claim": _print_claim,
    "referral": _print_referral, "redemption": _print_redemption,
}  # fmt: skip
