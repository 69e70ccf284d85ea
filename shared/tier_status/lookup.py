"""Looks up tiers within a batch, entries that the batch itself has posted included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.errors import InvariantBroken
from shared.ledger.model import Account, Entry
from shared.ledger.posting import Posting
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.ladders import Ladders
from shared.tier_status.read import Loaded, tier_input, tier_number_at


def append_entries(statuses: Mapping[int, Loaded], entries: Iterable[Entry]) -> None:
    """Append entries to the tier statuses of their accounts; entries that they already have are skipped."""
    for entry in entries:
        loaded = statuses.get(entry.account)
        if loaded is not None:
            last = loaded.inputs[-1].version if loaded.inputs else loaded.state.version
            if entry.version > last:
                loaded.inputs.append(tier_input(entry))


class TierLookup:
    """The tier statuses of a batch's accounts, kept up to date with the entries that the batch posts."""

    def __init__(self, statuses: Mapping[int, Loaded], ladders: Mapping[str, Ladders], posting: Posting) -> None:
        self._statuses = statuses
        self._ladders = ladders
        self._posting = posting
        self._followed = 0

    def number_at(self, account: Account, ladder: Ladder, instant: int) -> int:
        """Return the number (from 0) of the tier on a ladder that the account's member has, or had, at an instant."""
        entries = self._posting.entries
        append_entries(self._statuses, entries[self._followed :])
        self._followed = len(entries)
        loaded = self._statuses.get(account.account)
        if loaded is None:
            raise InvariantBroken(f"the tier status of account {account.account} was not loaded")
        return tier_number_at(loaded, self._ladders[ladder.wallet], ladder, instant)
