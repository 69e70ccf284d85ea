"""What ``loyalty rehearse`` shows of a program that was run over events in memory."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from cli.output import print_json
from cli.render.comparison import rehearse_archive
from cli.render.tables import print_entries, print_line, print_records
from cli.render.verdicts import print_verdicts
from shared.admin.program_texts import ProgramTexts, read_program
from shared.errors import ProgramFileError, UsageError
from shared.instants import iso
from shared.queries.balances import Balance
from shared.queries.views.of_members import Json, as_json
from shared.simulation.events_file import read_events
from shared.simulation.outcome import outcome_of
from shared.simulation.recorder import Play


def show_archive(program: Path, home: Path, plot: Path | None, *, in_json: bool) -> Coroutine[Any, Any, None]:
    """Return what runs a program file over everything that happened in a deployment, and compares.

    Raises:
        UsageError: The program file has mistakes.
    """
    return rehearse_archive(_texts_of(program).text, program.name, home, plot, as_json=in_json)


def show_events(program: Path, events: Path, horizon: int | None, *, explain: bool, in_json: bool) -> None:
    """Run a program file over a file of events, and show all that comes of it.

    Args:
        program: The program file.
        events: JSON Lines: one structured CloudEvent a line.
        horizon: Let time go on to an instant after the last event; None: not.
        explain: Say of every event what it earned.
        in_json: Print JSON.

    Raises:
        UsageError: One of the files has mistakes, or the horizon lies before the last event.
    """
    texts = _texts_of(program)
    play = Play(texts.text, texts.templates, explain=explain)
    for line in read_events(events):
        play.play(line)
    if horizon is not None and horizon < play.now:
        raise UsageError(f"--until {iso(horizon)} lies before the last event, which happened at {iso(play.now)}")
    play.finish(play.now if horizon is None else horizon)
    outcome = outcome_of(play)
    if in_json:
        print_json(as_json(outcome))
    else:
        _print(outcome)


def _texts_of(program: Path) -> ProgramTexts:
    try:
        return read_program(program)
    except ProgramFileError as problem:
        raise UsageError(str(problem)) from None


def _print_explained(explained: Sequence[Json]) -> None:
    for one in explained:
        earned = ", ".join(f"{points:+,} {wallet}" for wallet, points in one["earned"].items()) or "nothing"
        said = "" if one["outcome"] == "accepted" else f"; {one['outcome']}"
        what = f"{one['what'] or one['type']} of {one['member_id']}, {one['occurred_at']}"
        print_line(f"line {one['line']}: {what}: {earned}{said}")
        print_verdicts(one["rules"], "")


def _print(outcome: Json) -> None:
    _print_explained(outcome.get("explained", ()))
    print_entries(outcome["entries"], "Entries")
    print_records(outcome["balances"], Balance._fields, "Balances")
    print_records(
        outcome["referrals"],
        ("referral_id", "referrer_id", "friend_id", "state", "reason", "order_id", "referrer_points", "friend_points"),
        "Referrals",
    )
    print_records(
        outcome["redemptions"],
        ("redemption_id", "member_id", "reward", "state", "reason", "points", "requested_at", "settled_at"),
        "Redemptions",
    )
    answers = [{"member_id": one["member_id"], **answer} for one in outcome["redemptions"] for answer in one["answers"]]
    print_records(answers, ("redemption_id", "asked", "type", "state", "reason"), "Answers to redemptions")
    print_records(
        outcome["tiers"],
        ("member_id", "tier", "metric_value", "valid_until", "to_keep", "next_tier", "to_next"),
        "Tiers",
    )
    print_records(
        outcome["tier_changes"], ("member_id", "occurred_at", "change", "old_tier", "tier", "reason"), "Tier changes"
    )
    _print_notifications(outcome["notifications"])
    print_records(outcome["refused"], ("line", "type", "reason", "detail"), "Refused")
    print_records(outcome["waiting"], ("line", "type", "order_id", "member_id"), "Waiting for an order that never came")
    print_line(
        f"{outcome['events']:,} events: {outcome['accepted']:,} accepted, {outcome['duplicates']:,} duplicates, "
        f"{len(outcome['refused']):,} refused; time stands at {outcome['until'] or 'the beginning'}"
    )


def _print_notifications(notifications: list[Json]) -> None:
    print_records(notifications, ("member_id", "kind", "state", "reason", "occurred_at", "not_before"), "Notifications")
    for one in notifications:
        if one["text"]:
            print_line(f"── to {one['member_id']} by {', '.join(one['channels'])}: {one['subject']}")
            print_line(f"{one['text']}\n")
