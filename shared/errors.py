"""Every error of the product, and the one action that each leads to.

LoyaltyError
├── PoisonEvent        the record can never be handled as it is: dead letter, the batch goes on
├── Transient          Postgres or the broker is away, or a race was lost: retry in place, with back-off
│   └── LoadAgain      the load found that it must begin again, often with rows made first: roll back, load again
├── Fenced             another worker moved the watermark: drop the batch, take the partition over again
├── InvariantBroken    the ledger would become wrong: stop the process, unacknowledged, loudly
├── ProgramFileError   the program file has mistakes: refuse it, say where and what is allowed
└── UsageError         a person or a deployment asked for something impossible: say what to do instead
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

#: Characters; parsers repeat what they found, and a record may be megabytes of it.
_DETAIL_MAX = 900
#: Reasons that are about a whole record batch which could not be unpacked: nothing of it is there to be kept.
UNREAD_BATCH = frozenset({"batch-too-large", "batch-unreadable"})


class LoyaltyError(Exception):
    """The root of every error that this product raises on purpose."""


class PoisonEvent(LoyaltyError):
    """A record that no retry can help; it becomes a dead letter.

    Attributes:
        reason: A short, stable code such as ``not-json``; operators count and filter by it.
        detail: One sentence that a person can act on; cut where a hostile record would make it endless.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail if len(detail) <= _DETAIL_MAX else f"{detail[:_DETAIL_MAX]}…"
        super().__init__(f"{reason}: {self.detail}")


class Transient(LoyaltyError):
    """Something outside is away, or another worker was faster: the same work will succeed later."""


class LoadAgain(Transient):
    """The load needs rows that do not exist yet, or found what it knew to be old.

    Attributes:
        prepare: Makes the rows, in a transaction of its own, so that no lock is held meanwhile; None where loading
            again is all that is needed.
    """

    def __init__(self, why: str, prepare: Callable[[Any], Awaitable[None]] | None = None) -> None:
        super().__init__(why)
        self.prepare = prepare


class Fenced(LoyaltyError):
    """The watermark is not where this worker left it: somebody else owns the partition now."""


class InvariantBroken(LoyaltyError):
    """Going on would write a ledger that cannot be explained."""


class ProgramFileError(LoyaltyError):
    """A program file that cannot be used.

    Attributes:
        problems: One line each: file, line, column, field, what was found, what is allowed.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class UsageError(LoyaltyError):
    """What was asked for is not possible; the message says what is."""
