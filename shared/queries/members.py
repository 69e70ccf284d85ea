"""Everything that is known of one member, as of now or of any instant, past or future."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.database.pool import Connection
from shared.ledger.due import TimedEffect, expiry_of
from shared.ledger.model import Account
from shared.program.compiled.ladders import ladders_by_wallet
from shared.program.compiled.program import Program
from shared.queries.balances import accounts_of
from shared.queries.entries import list_entries
from shared.queries.member_flow import Asked, notifications_of, redemptions_of, referrals_of
from shared.queries.tiers import history, standing_at, tier_view
from shared.queries.views.of_members import DueView, LotView, MemberView, TierChangeView, TierView, WalletView
from shared.queries.words import instant, lot_times


async def read_member(connection: Connection, programs: Mapping[int, Program], asked: Asked) -> MemberView | None:
    """Return all that is known of a member; None if the ledger has never heard of them."""
    newest = programs[max(programs)]
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        held = await accounts_of(connection, newest, asked.member, now=asked.now, as_of=asked.as_of)
        if not held.accounts:
            return None
        entries = await list_entries(connection, programs, asked.member, until=asked.until, limit=asked.entries)
        redemptions = await redemptions_of(connection, asked, held.timed_effects)
        tier, changes = await _tier(connection, list(programs.values()), held.accounts, asked)
        return MemberView(
            member_id=asked.member,
            as_of=instant(asked.now if asked.as_of is None else asked.as_of),
            wallets=tuple(_wallet(account, newest) for account in held.accounts),
            lots=tuple(lot for account in held.accounts for lot in _lots(account)),
            reservations=tuple(one for one in redemptions if one.state == "reserved"),
            due=tuple(_due(effect) for effect in held.timed_effects),
            entries_in_all=held.entries,
            entries=entries.rows[::-1],
            tier=tier,
            tier_history=changes,
            referrals=await referrals_of(connection, asked),
            redemptions=tuple(redemptions),
            notifications=await notifications_of(connection, asked),
        )


def _wallet(account: Account, program: Program) -> WalletView:
    """Return a wallet's balance, and the instant at which its points expire if nothing is done before."""
    idle_until = min(
        (expiry_of(account, lot.terms, program) for lot in account.lots.values() if lot.terms.idle and not lot.pending),
        default=None,
    )
    return WalletView(
        wallet=account.wallet,
        available=account.available,
        pending=account.pending,
        reserved=account.reserved,
        debt=account.debt,
        lifetime=account.lifetime,
        version=account.version,
        lapses_unless_used=instant(idle_until),
    )


def _lots(account: Account) -> list[LotView]:
    """Return what is left, in the order in which it would be spent; pending points last."""
    lots = sorted(account.lots.values(), key=lambda lot: (lot.pending, lot.terms.expires_at, lot.terms.available_at))
    return [
        LotView(
            wallet=account.wallet,
            lot=str(lot.lot),
            state="pending" if lot.pending else "available",
            remaining=lot.remaining,
            **lot_times(lot.terms, pending=lot.pending)._asdict(),
        )
        for lot in lots
    ]


def _due(effect: TimedEffect) -> DueView:
    """Return something that is due and not recorded yet."""
    return DueView(
        at=instant(effect.instant),
        wallet=effect.account.wallet,
        what=effect.what,
        points=effect.points,
        lot=str(effect.lot) if effect.lot else None,
        expires_at=instant(effect.expires_at),
        redemption_id=effect.hold.redemption_id if effect.hold else None,
    )


async def _tier(
    connection: Connection, programs: Sequence[Program], accounts: Sequence[Account], asked: Asked
) -> tuple[TierView | None, tuple[TierChangeView, ...]]:
    ladders = ladders_by_wallet(programs)
    wallet = programs[-1].ladder.wallet if programs[-1].ladder else next(iter(ladders), None)
    account = next((account.account for account in accounts if account.wallet == wallet), None)
    if wallet is None or account is None:
        return None, ()
    ladder_at = ladders[wallet]
    found = await standing_at(connection, account, asked.member, wallet, ladder_at, now=asked.now, as_of=asked.as_of)
    tier = tier_view(found.state, ladder_at(found.instant), found.instant)
    return tier, await history(connection, account, found)
