"""The lots of an account, and the order in which they are burned. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import InvariantBroken
from shared.ledger.model import Account, Lot, terms_in_grace


def burn_order(lot: Lot) -> tuple[int, int, int]:
    """Soonest to expire first, then oldest; the id only makes the order total."""
    return (lot.terms.expires_at, lot.terms.available_at, lot.lot)


def all_lots(account: Account) -> dict[int, Lot]:
    """Return every lot of an account.

    Raises:
        InvariantBroken: The batch did not load them.
    """
    if not account.complete:
        raise InvariantBroken(f"the lots of account {account.account} were not loaded")
    return account.lots


def available_lots(account: Account) -> list[Lot]:
    """Return the lots that can be spent, in burn order."""
    return sorted((lot for lot in account.lots.values() if not lot.pending), key=burn_order)


def pending_lots(account: Account) -> list[Lot]:
    """Return the lots that cannot be spent yet, in burn order."""
    return sorted((lot for lot in all_lots(account).values() if lot.pending), key=burn_order)


def lots_by_id(account: Account, ids: Iterable[int]) -> list[Lot]:
    """Return the lots of some ids that have points left, each once."""
    lots = all_lots(account)
    return [lots[lot] for lot in dict.fromkeys(ids) if lot in lots]


def with_grace(account: Account, ids: Iterable[int]) -> list[int]:
    """Return the ids of lots, each followed by that in which its points live on that came back after their expiry."""
    if not account.graced:
        return list(ids)
    found = []
    for lot in ids:
        later = terms_in_grace(lot).lot_id()
        found += [lot, later] if later in account.graced else [lot]
    return found


def expired_of(account: Account, lot: int) -> int:
    """Return how many points of a lot expired and were not excused since.

    Raises:
        InvariantBroken: The batch did not load it.
    """
    expired = account.expired.get(lot)
    if expired is None and not account.all_expired:
        raise InvariantBroken(f"what expired of lot {lot} of account {account.account} was not loaded")
    return expired or 0
