"""Runs earn in memory over records: the same decode and decide, no database. What it gives is what a worker gives."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence

from services.earn.handler import EarnHandler, Effects, State
from shared.database.pool import Connection
from shared.ledger.model import Account, Entry
from shared.program.compiled import Program, compile_program
from shared.program.loader import load
from shared.stream.decode import decode, refuse_future
from shared.stream.handler import Mark
from shared.stream.packing import unpack_records
from shared.stream.records import Decisions, Record


class Rehearsal:
    """A ledger in memory.

    Attributes:
        entries: Everything posted, in order.
        accounts: By (member, wallet); their numbers are the rehearsal's own.
    """

    def __init__(self, programs: Sequence[Program] = (), record_bytes: int = 1_000_000) -> None:
        """Make an empty ledger under some versions of a program."""
        self.programs = list(programs)
        self.entries: list[Entry] = []
        self.accounts: dict[tuple[str, str], Account] = {}
        self._handler = EarnHandler("/loyalty/rehearsal/earn")
        self._record_bytes = record_bytes
        self._known: dict[bytes, bytes] = {}
        self._numbers = itertools.count(1)

    def publish(self, text: str) -> None:
        """Add the next version of the program."""
        self.programs.append(compile_program(load(text), len(self.programs) + 1))

    def batch(self, records: Sequence[Record], mark: Mark) -> Decisions:
        """Handle records as one batch."""
        decoded = decode(records, self._handler.contracts, self._record_bytes)
        wallets = {wallet for program in self.programs for wallet in program.wallets}
        for received in decoded.events:
            for wallet in wallets:
                member = received.event.member_id
                if (member, wallet) not in self.accounts:
                    self.accounts[member, wallet] = Account(next(self._numbers), member, wallet)
        events, from_the_future = refuse_future(decoded.events, mark.judged_at)
        decisions = self._handler.decide(State(self.accounts, self._known, self.programs), events, mark)
        decisions.refused = [*decoded.refused, *from_the_future, *decisions.refused]
        effects: Effects = decisions.effects
        self.entries.extend(effects.posting.entries)
        return decisions


async def from_archive(connection: Connection, record_bytes: int) -> AsyncIterator[tuple[Rehearsal, int]]:
    """Replay the archive in ``seq`` order; yields the rehearsal and the number of records after each batch."""
    rehearsal = Rehearsal(record_bytes=record_bytes)
    async with connection.transaction(readonly=True):
        rows = connection.cursor(
            "select seq, kind, judged_at, recorded_at, body from archive order by seq", prefetch=20
        )
        async for row in rows:
            if row["kind"] == "program":
                rehearsal.publish(row["body"].decode())
            elif row["kind"] == "batch":
                records = unpack_records(row["body"])
                rehearsal.batch(records, Mark(row["seq"], row["recorded_at"], row["judged_at"]))
                yield rehearsal, len(records)
