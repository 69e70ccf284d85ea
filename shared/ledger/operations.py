"""The one table of how each operation moves an account. The model posts by it; the audit checks by it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Operation(IntEnum):
    """What an entry does. The number stands in the ledger and never changes its meaning."""

    EARN = 1


class Effect(NamedTuple):
    """By how many times its points an operation moves each balance, the lot and the lifetime total."""

    available: int
    pending: int
    reserved: int
    debt: int
    lot: int
    lifetime: int


EFFECTS: dict[Operation, Effect] = {
    Operation.EARN: Effect(available=1, pending=0, reserved=0, debt=0, lot=1, lifetime=1),
}


def effects_as_values() -> str:
    """Return the table as the body of an SQL ``VALUES`` list: operation, then the fields of ``Effect``."""
    return ", ".join(
        f"({int(operation)}, {', '.join(str(factor) for factor in effect)})" for operation, effect in EFFECTS.items()
    )
