"""How far a long command is: a bar on a terminal, else a line every few seconds. Both say what is in the ledger."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cli.output import errors, say
from shared.database.pool import Connection
from shared.queries.status import earned_so_far

#: How often figures are read: for a bar, and for lines.
_BAR_SECONDS, _LINE_SECONDS = 1.0, 5.0


class Report:
    """Tells how far a command is."""

    def __init__(self, doing: str, total: int, what: str, connection: Connection) -> None:
        """Describe the command.

        Args:
            doing: In a word: "replaying".
            total: How many steps there are.
            what: What a step is, in the plural: "events".
            connection: To read figures from.
        """
        self._doing, self._total, self._what = doing, total, what
        self._connection = connection
        self._done = 0
        self._bar = _bar() if errors.is_terminal else None
        self._task = self._bar.add_task(doing, total=total, figures="") if self._bar else None
        self._started = self._told_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self) -> None:
        """Count a step."""
        self._done += 1
        if self._bar and self._task is not None:
            self._bar.advance(self._task)

    async def tell(self, where: str) -> None:
        """Say how far it is and what is in the ledger, if it is time to.

        Args:
            where: The day that is being replayed, or whatever says more than a number.
        """
        if time.monotonic() - self._told_at < (_BAR_SECONDS if self._bar else _LINE_SECONDS):
            return
        members, points = await earned_so_far(self._connection)
        figures = f"{points:,} points earned by {members:,} members"
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=f"{self._doing} {where}", figures=figures)
        else:
            speed = self._done / (time.monotonic() - self._started)
            say(f"{where}: {self._done:,} of {self._total:,} {self._what} ({speed:,.0f} a second), {figures}")
        self._told_at = time.monotonic()


class _SpeedColumn(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        """Show the speed once there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _SpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=errors,
    )
