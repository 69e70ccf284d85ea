"""What ``loyalty member`` shows: one member's wallets, lots, entries, tier, referrals, redemptions, notifications."""

from __future__ import annotations

from pathlib import Path

import typer

from cli.output import print_json, say
from cli.render.tables import life, print_entries, print_line, print_records, print_table, short
from devstack.home import database, settings_for
from shared.contracts.fields import in_money
from shared.queries import clock
from shared.queries.member_flow import Asked
from shared.queries.members import read_member
from shared.queries.programs import versions
from shared.queries.views.of_members import MemberView, TierView, as_json


async def show_member(home: Path, member_id: str, moment: int | None, entries: int, *, in_json: bool) -> None:
    """Show all that is known of a member.

    Args:
        home: Of the stack.
        member_id: The member.
        moment: As of an instant; None: of now.
        entries: How many entries to list, the last ones.
        in_json: Print JSON.

    Raises:
        typer.Exit: Nobody knows the member.
    """
    settings = settings_for(home)
    async with database(settings) as connection:
        programs = await versions(connection)
        asked = Asked(member_id, await clock.now(connection, settings), moment, entries)
        found = await read_member(connection, programs, asked)
    if found is None:
        say(f"no member {member_id!r}: nothing of theirs has reached the ledger yet")
        raise typer.Exit(1)
    if in_json:
        print_json(as_json(found))
    else:
        _print(found)


def _print(found: MemberView) -> None:
    print_line(f"member {found.member_id} as of {found.as_of}")
    if found.tier:
        print_line(_tier_in_words(found.tier))
    columns = ["wallet", "available", "pending", "reserved", "debt", "lifetime", "version"]
    if any(wallet.lapses_unless_used for wallet in found.wallets):
        columns.append("lapses_unless_used")
    print_records(found.wallets, columns, "Wallets")
    print_table(
        ("wallet", "lot", "state", "remaining", "available at", "expires at"),
        [
            (
                lot.wallet,
                short(lot.lot),
                lot.state,
                lot.remaining,
                _available(lot.available_at),
                life(lot.expires_at, lot.idle, lot.life),
            )
            for lot in found.lots
        ],
        "Lots, in the order in which they are spent",
    )
    print_records(
        found.reservations, ("redemption_id", "source", "reward", "points", "held_until"), "Open reservations"
    )
    print_entries(found.entries, f"The last {len(found.entries)} of {found.entries_in_all:,} entries")
    print_records(
        found.due, ("at", "wallet", "what", "points", "expires_at", "redemption_id"), "Due, and not recorded yet"
    )
    print_records(
        found.tier_history,
        ("occurred_at", "change", "old_tier", "tier", "metric_value", "reason", "announced"),
        "Tier history",
    )
    print_records(
        found.referrals,
        ("referral_id", "role", "with_", "state", "reason", "points", "order_id", "registered_at", "qualified_at"),
        "Referrals",
    )
    print_records(
        found.redemptions,
        ("redemption_id", "reward", "state", "reason", "points", "requested_at", "settled_at"),
        "Redemptions",
    )
    print_records(
        found.notifications, ("kind", "state", "reason", "occurred_at", "not_before", "use_by"), "Notifications"
    )


def _available(at: str | None) -> str:
    if at is None:
        return "at once"
    return "when the order is fulfilled, or claimed" if at == "never" else at


def _tier_in_words(tier: TierView) -> str:
    def in_words(value: int) -> str:
        return in_money(value, tier.currency) if tier.currency else f"{value:,} points"

    earned = f"{in_words(tier.metric_value)}{' spent' if tier.currency else ' earned'}"
    words = f"tier {tier.tier}, until {tier.valid_until or 'further notice'}; {earned}"
    if tier.to_keep:
        words += f"; {in_words(tier.to_keep)} more keep it"
    if tier.next_tier and tier.to_next is not None:
        words += f"; {in_words(tier.to_next)} more reach {tier.next_tier}"
    return words
