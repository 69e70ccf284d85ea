"""The program versions that a worker has loaded. One cache serves all pipelines of a handler."""

from __future__ import annotations

from collections.abc import Mapping

from shared.database.pool import Connection
from shared.errors import LoadAgain, Transient
from shared.program.compiled.ladders import Ladders, ladders_by_wallet
from shared.program.compiled.program import Program
from shared.program.store import load_versions, newest_version


class Programs:
    """Every published version, oldest first; it grows when a newer one is found.

    Attributes:
        versions: The compiled versions; a new tuple for each change, so that a batch keeps the one that it got.
        ladders: The ladders of all versions, by wallet.
        wallets: The names of the wallets of all versions, sorted.
    """

    def __init__(self) -> None:
        self.versions: tuple[Program, ...] = ()
        self.ladders: Mapping[str, Ladders] = {}
        self.wallets: list[str] = []

    @property
    def version(self) -> int:
        """The newest version's number; 0 if none is loaded."""
        return self.versions[-1].version if self.versions else 0

    async def refresh(self, connection: Connection) -> None:
        """Load the versions that are newer than the newest one here."""
        found = await load_versions(connection, self.version)
        # Several pipelines may have asked at the same time.
        newer = [program for program in found if program.version > self.version]
        if newer:
            self.versions = (*self.versions, *newer)
            self.ladders = ladders_by_wallet(self.versions)
            self.wallets = sorted({wallet for program in self.versions for wallet in program.wallets})

    async def need(self, connection: Connection) -> None:
        """Make sure that at least one version is loaded.

        Raises:
            Transient: None has ever been published.
        """
        if not self.versions:
            await self.refresh(connection)
            if not self.versions:
                raise Transient("no program is published; run `loyalty program publish FILE`")

    async def catch_up(self, connection: Connection) -> bool:
        """Load newer versions, and return whether there were any."""
        behind = await newest_version(connection) > self.version
        if behind:
            await self.refresh(connection)
        return behind

    async def stay(self, connection: Connection) -> None:
        """Check, under the locks of a batch, that the batch was loaded with the newest version.

        Raises:
            LoadAgain: It was not: its wallets, referrals and ladders may be different now.
        """
        if await self.catch_up(connection):
            raise LoadAgain("a new version of the program")
