"""The table of how each operation changes an account: postings apply it, and the audit checks by it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Operation(IntEnum):
    """What an entry does. The number is stored in the ledger and never changes its meaning."""

    EARN = 1
    EARN_PENDING = 2
    ACTIVATE = 3
    RESERVE = 4
    RELEASE = 5
    REDEEM = 6
    EXPIRE = 7
    REVERSE = 8
    REVERSE_PENDING = 9
    REPAY = 10
    #: A return took back points that were already spent: the member owes them …
    REVERSE_OWED = 11
    #: … or they are let go (policy "clamp") …
    REVERSE_WAIVED = 12
    #: … or the refund is reduced by what they were worth (policy "withhold").
    REVERSE_WITHHELD = 13
    #: A redemption was cancelled after its confirmation.
    REFUND = 14
    #: A return took back points that had expired: the member is not charged again.
    REVERSE_EXPIRED = 15
    #: What was let go (clamp, withhold, "within pending") counts again, for the order earns more again.
    REINSTATE = 16

    @property
    def word(self) -> str:
        """The name of the operation in events and on the command line: ``earn-pending``."""
        return self.name.lower().replace("_", "-")


class Effect(NamedTuple):
    """Factors by which an operation's points change each balance, the lot's sums, and the account's two totals.

    ``lot`` is what remains of the lot; ``expired`` and ``excused`` are sums of the lot, too.
    """

    available: int = 0
    pending: int = 0
    reserved: int = 0
    debt: int = 0
    lot: int = 0
    earned: int = 0
    lifetime: int = 0
    expired: int = 0
    excused: int = 0


EFFECTS: dict[Operation, Effect] = {
    Operation.EARN: Effect(available=1, lot=1, earned=1, lifetime=1),
    Operation.EARN_PENDING: Effect(pending=1, lot=1, earned=1, lifetime=1),
    Operation.ACTIVATE: Effect(available=1, pending=-1),
    Operation.RESERVE: Effect(available=-1, reserved=1, lot=-1),
    Operation.RELEASE: Effect(available=1, reserved=-1, lot=1),
    Operation.REDEEM: Effect(reserved=-1),
    Operation.EXPIRE: Effect(available=-1, lot=-1, expired=1),
    Operation.REVERSE: Effect(available=-1, lot=-1, lifetime=-1),
    Operation.REVERSE_PENDING: Effect(pending=-1, lot=-1, lifetime=-1),
    Operation.REPAY: Effect(available=-1, debt=-1, lot=-1),
    Operation.REVERSE_OWED: Effect(debt=1, lifetime=-1),
    Operation.REVERSE_WAIVED: Effect(lifetime=-1),
    Operation.REVERSE_WITHHELD: Effect(lifetime=-1),
    Operation.REFUND: Effect(available=1, lot=1),
    Operation.REVERSE_EXPIRED: Effect(lifetime=-1, excused=1),
    Operation.REINSTATE: Effect(lifetime=1),
}

#: The same by number: every posting looks one up, and indexing a tuple is far cheaper than hashing an enum.
EFFECT_OF: tuple[Effect, ...] = tuple(
    EFFECTS.get(Operation(n), Effect()) if n else Effect() for n in range(len(EFFECTS) + 1)
)

#: What a clawback posts; together they are the points that it took back.
REVERSALS = frozenset(
    {
        Operation.REVERSE,
        Operation.REVERSE_PENDING,
        Operation.REVERSE_OWED,
        Operation.REVERSE_WAIVED,
        Operation.REVERSE_WITHHELD,
        Operation.REVERSE_EXPIRED,
    }
)


def effects_as_table() -> str:
    """Return the table for the ``from`` clause of a query: ``f``, with ``operation`` and the fields of ``Effect``."""
    rows = ", ".join(
        f"({int(operation)}, {', '.join(str(factor) for factor in effect)})" for operation, effect in EFFECTS.items()
    )
    return f"(values {rows}) as f(operation, {', '.join(Effect._fields)})"
