"""The versions of the program that a worker knows. One of these serves all pipelines of a handler."""

from __future__ import annotations

from collections.abc import Mapping

from shared.database.pool import Connection
from shared.errors import LoadAgain, Transient
from shared.program.compiled.ladders import Ladders, ladders_by_wallet
from shared.program.compiled.program import Program
from shared.program.store import load_versions, newest_version


class Programs:
    """Every published version, oldest first; grows when a newer one is found.

    Attributes:
        versions: The compiled versions; a new tuple when one is added, so that a batch keeps what it was given.
        ladders: The ladders of all versions, by wallet.
        wallets: The names of the wallets of all versions, sorted.
    """

    def __init__(self) -> None:
        self.versions: tuple[Program, ...] = ()
        self.ladders: Mapping[str, Ladders] = {}
        self.wallets: list[str] = []

    @property
    def version(self) -> int:
        """The newest version's number; 0 if none is known."""
        return self.versions[-1].version if self.versions else 0

    async def refresh(self, connection: Connection) -> None:
        """Read the versions that are newer than those we have."""
        found = await load_versions(connection, self.version)
        # Several pipelines may have asked at the same time.
        newer = [program for program in found if program.version > self.version]
        if newer:
            self.versions = (*self.versions, *newer)
            self.ladders = ladders_by_wallet(self.versions)
            self.wallets = sorted({wallet for program in self.versions for wallet in program.wallets})

    async def need(self, connection: Connection) -> None:
        """Make sure that a version is known.

        Raises:
            Transient: None was ever published.
        """
        if not self.versions:
            await self.refresh(connection)
            if not self.versions:
                raise Transient("no program is published; run `loyalty program publish FILE`")

    async def catch_up(self, connection: Connection) -> bool:
        """Read what is newer, if anything is; return whether there was."""
        behind = await newest_version(connection) > self.version
        if behind:
            await self.refresh(connection)
        return behind

    async def stay(self, connection: Connection) -> None:
        """Make sure, under the locks of a batch, that its load looked through the eyes of the newest version.

        Raises:
            LoadAgain: It did not: wallets, referrals, ladders, all may look different now.
        """
        if await self.catch_up(connection):
            raise LoadAgain("a new version of the program")
