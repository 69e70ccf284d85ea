"""What ``loyalty rehearse`` shows of a program that was run over events in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from cli.explaining_rules import print_verdicts, verdicts_as_json
from cli.output import print_json
from cli.reading_events import read_events
from cli.reading_rehearsal import Play
from cli.reading_standing import tier_as_json
from cli.reading_words import (
    Json,
    answers_as_json,
    entry_as_json,
    instant,
    print_entries,
    print_line,
    print_records,
)
from cli.rehearsing_archive import rehearse_archive
from cli.stack import ProgramTexts, read_program
from shared.errors import ProgramFileError, UsageError
from shared.instants import iso
from shared.ledger.operations import EFFECTS, Operation
from shared.ledger.read import Balance
from shared.standings.fold import advance


def show_archive(program: Path, home: Path, plot: Path | None, *, as_json: bool) -> Coroutine[Any, Any, None]:
    """Return what runs a program file over everything that happened in a deployment, and compares.

    Raises:
        UsageError: The program file has mistakes.
    """
    return rehearse_archive(_texts_of(program).text, program.name, home, plot, as_json=as_json)


def show_events(program: Path, events: Path, horizon: int | None, *, explain: bool, as_json: bool) -> None:
    """Run a program file over a file of events, and show all that comes of it.

    Args:
        program: The program file.
        events: JSON Lines: one structured CloudEvent a line.
        horizon: Let time go on to an instant after the last event; None: not.
        explain: Say of every event what it earned.
        as_json: Print JSON.

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
    outcome = _outcome(play)
    if as_json:
        print_json(outcome)
    else:
        _print(outcome)


def _texts_of(program: Path) -> ProgramTexts:
    try:
        return read_program(program)
    except ProgramFileError as problem:
        raise UsageError(str(problem)) from None


def _outcome(play: Play) -> Json:
    rehearsal = play.rehearsal
    accounts = sorted(rehearsal.accounts.values(), key=lambda account: (account.member, account.wallet))
    owners = {account.account: account for account in accounts}
    programs = {one.version: one for one in rehearsal.programs}
    return {
        "program": rehearsal.programs[-1].program_id,
        "events": play.events,
        "accepted": play.accepted,
        "duplicates": play.duplicates,
        "until": instant(play.now),
        "entries": [
            entry_as_json(entry, owners[entry.account].member, owners[entry.account].wallet, play.names, programs)
            for entry in rehearsal.entries
        ],
        "balances": [
            Balance(a.member, a.wallet, a.available, a.pending, a.reserved, a.debt, a.lifetime, a.version)._asdict()
            for a in accounts
        ],
        "referrals": list(_referrals(play)),
        "redemptions": list(_redemptions(play)),
        "tiers": list(_tiers(play)),
        "tier_changes": [
            {
                "member_id": member, "occurred_at": instant(change.occurred_at), "change": change.change,
                "old_tier": change.old_tier, "tier": change.tier, "reason": change.reason,
            }
            for member, _number, change in rehearsal.tier_changes
        ],
        "notifications": list(_notifications(play)),
        "refused": [
            {
                "line": line, "event_id": refusal.event_id, "type": refusal.type, "reason": refusal.reason,
                "detail": refusal.detail,
            }
            for line, refusal in sorted(play.refused, key=lambda refused: refused[0])
        ],
        "waiting": list(_waiting(play)),
        **({"explained": list(_explained(play))} if play.rehearsal.verdicts is not None else {}),
    }  # fmt: skip


def _referrals(play: Play) -> Iterator[Json]:
    for one in play.referrals:
        yield {
            "referral_id": one.referral_id, "referrer_id": one.referrer, "friend_id": one.friend, "state": one.state,
            "reason": one.reason or None, "order_id": one.order_id or None,
            "registered_at": instant(one.registered_at), "qualified_at": instant(one.qualified_at),
            "referrer_points": one.referrer_points, "friend_points": one.friend_points,
        }  # fmt: skip


def _redemptions(play: Play) -> Iterator[Json]:
    for one in play.rehearsal.redeem_state.redemptions.values():
        yield {
            "redemption_id": one.redemption_id, "member_id": one.member, "reward": one.reward, "state": one.state,
            "reason": one.reason or None, "points": one.points, "requested_at": instant(one.requested_at),
            "held_until": instant(one.held_until), "settled_at": instant(one.settled_at),
            "answers": answers_as_json(one.answers),
        }  # fmt: skip


def _tiers(play: Play) -> Iterator[Json]:
    state = play.rehearsal.tiers_state
    if state is None:
        return
    for (member, wallet), standing in sorted(state.standings.items()):
        shown, ladder_at = standing.state.copy(), state.ladders[wallet]
        advance(shown, play.now, ladder_at)
        tier = tier_as_json(shown, ladder_at(play.now), play.now)
        if tier is not None:
            yield {"member_id": member, **tier}


def _notifications(play: Play) -> Iterator[Json]:
    for one in play.rehearsal.notifications:
        rendered = one.rendered or {"subject": None, "text": None}
        yield {
            "member_id": one.news.member, "kind": one.news.kind, "state": "suppressed" if one.reason else "sent",
            "reason": one.reason, "occurred_at": instant(one.news.occurred_at), "not_before": instant(one.not_before),
            "channels": [address["channel"] for address in one.channels], **rendered,
        }  # fmt: skip


def _waiting(play: Play) -> Iterator[Json]:
    for parked in play.rehearsal.earn_state.parked.values():
        for one in parked:
            yield {
                "line": one.received.origin.record.offset, "type": one.received.type,
                "order_id": one.received.event.order_id, "member_id": one.received.event.member_id,
            }  # fmt: skip


def _explained(play: Play) -> Iterator[Json]:
    rules = [rule.name for rule in play.rehearsal.programs[-1].rules]
    wallets = {account.account: account.wallet for account in play.rehearsal.accounts.values()}
    for one in play.explained:
        earned: Counter[str] = Counter()
        for entry in one.posted:
            earned[wallets[entry.account]] += entry.points * EFFECTS[Operation(entry.operation)].lifetime
        event = one.received.event
        yield {
            "line": one.number, "type": one.received.type, "member_id": event.member_id,
            "what": str(play.names.get(one.received.key, "")), "occurred_at": instant(one.received.occurred_at),
            "outcome": one.outcome, "earned": {wallet: points for wallet, points in earned.items() if points},
            "rules": verdicts_as_json(one.verdicts, rules),
        }  # fmt: skip


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
        ("member_id", "tier", "metric_value", "valid_until", "to_keep", "next_tier", "to_next"), "Tiers",
    )  # fmt: skip
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
