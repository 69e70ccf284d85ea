"""What came of a program that was run over events in memory, as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from shared.ledger.operations import EFFECTS, Operation
from shared.queries.balances import Balance
from shared.queries.tiers import tier_view
from shared.queries.views.of_members import Json, as_json
from shared.queries.why.verdicts import verdict_views
from shared.queries.words import answers_as_json, entry_view, instant
from shared.simulation.recorder import Play
from shared.tier_status.fold import advance


def outcome_of(play: Play) -> Json:
    """Return everything that came of the events; ``as_json`` of it is what ``loyalty rehearse --json`` prints."""
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
            entry_view(entry, owners[entry.account].member, owners[entry.account].wallet, play.names, programs)
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
                "member_id": member,
                "occurred_at": instant(change.occurred_at),
                "change": change.change,
                "old_tier": change.old_tier,
                "tier": change.tier,
                "reason": change.reason,
            }
            for member, _number, change in rehearsal.tier_changes
        ],
        "notifications": list(_notifications(play)),
        "refused": [
            {
                "line": line,
                "event_id": refusal.event_id,
                "type": refusal.type,
                "reason": refusal.reason,
                "detail": refusal.detail,
            }
            for line, refusal in sorted(play.refused, key=lambda refused: refused[0])
        ],
        "waiting": list(_waiting(play)),
        **({"explained": list(_explained(play))} if play.rehearsal.verdicts is not None else {}),
    }


def _referrals(play: Play) -> Iterator[Json]:
    for one in play.referrals:
        yield {
            "referral_id": one.referral_id,
            "referrer_id": one.referrer,
            "friend_id": one.friend,
            "state": one.state,
            "reason": one.reason or None,
            "order_id": one.order_id or None,
            "registered_at": instant(one.registered_at),
            "qualified_at": instant(one.qualified_at),
            "referrer_points": one.referrer_points,
            "friend_points": one.friend_points,
        }


def _redemptions(play: Play) -> Iterator[Json]:
    for one in play.rehearsal.redeem_state.redemptions.values():
        yield {
            "redemption_id": one.redemption_id,
            "member_id": one.member,
            "reward": one.reward,
            "state": one.state,
            "reason": one.reason or None,
            "points": one.points,
            "requested_at": instant(one.requested_at),
            "held_until": instant(one.held_until),
            "settled_at": instant(one.settled_at),
            "answers": answers_as_json(one.answers),
        }


def _tiers(play: Play) -> Iterator[Json]:
    state = play.rehearsal.tiers_state
    if state is None:
        return
    for (member, wallet), standing in sorted(state.standings.items()):
        shown, ladder_at = standing.state.copy(), state.ladders[wallet]
        advance(shown, play.now, ladder_at)
        tier = tier_view(shown, ladder_at(play.now), play.now)
        if tier is not None:
            yield {"member_id": member, **as_json(tier)}


def _notifications(play: Play) -> Iterator[Json]:
    for one in play.rehearsal.notifications:
        rendered = one.rendered or {"subject": None, "text": None}
        yield {
            "member_id": one.news.member,
            "kind": one.news.kind,
            "state": "suppressed" if one.reason else "sent",
            "reason": one.reason,
            "occurred_at": instant(one.news.occurred_at),
            "not_before": instant(one.not_before),
            "channels": [address["channel"] for address in one.channels],
            **rendered,
        }


def _waiting(play: Play) -> Iterator[Json]:
    for parked in play.rehearsal.earn_state.parked.values():
        for one in parked:
            yield {
                "line": one.received.origin.record.offset,
                "type": one.received.type,
                "order_id": one.received.event.order_id,
                "member_id": one.received.event.member_id,
            }


def _explained(play: Play) -> Iterator[Json]:
    rules = [rule.name for rule in play.rehearsal.programs[-1].rules]
    wallets = {account.account: account.wallet for account in play.rehearsal.accounts.values()}
    for one in play.explained:
        earned: Counter[str] = Counter()
        for entry in one.posted:
            earned[wallets[entry.account]] += entry.points * EFFECTS[Operation(entry.operation)].lifetime
        event = one.received.event
        yield {
            "line": one.number,
            "type": one.received.type,
            "member_id": event.member_id,
            "what": str(play.names.get(one.received.key, "")),
            "occurred_at": instant(one.received.occurred_at),
            "outcome": one.outcome,
            "earned": {wallet: points for wallet, points in earned.items() if points},
            "rules": verdict_views(one.verdicts, rules),
        }
