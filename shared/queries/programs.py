"""Published versions of the program: listed, and as they were published."""

from __future__ import annotations

from shared.database.pool import Connection
from shared.errors import UsageError
from shared.instants import iso
from shared.program.compiled.program import Program
from shared.program.store import load_versions
from shared.queries.pages import Page, page_of
from shared.queries.views.of_lists import ProgramVersionView

_LIST = """
select version, program_id, effective_at, published_at, left(content_hash, 12) as sha256
from program where version > $1 order by version limit $2
"""
_TEXT = "select content from program where version = coalesce($1, (select max(version) from program))"


async def versions(connection: Connection) -> dict[int, Program]:
    """Return every version of the program by number, the newest last.

    Raises:
        UsageError: None was published.
    """
    found = await load_versions(connection)
    if not found:
        raise UsageError("no program is published yet; run `loyalty program publish FILE`")
    return {program.version: program for program in found}


async def list_versions(
    connection: Connection, *, limit: int, after: tuple[int] | None = None
) -> Page[ProgramVersionView, tuple[int]]:
    """Return a page of the published versions, the oldest first."""
    rows = await connection.fetch(_LIST, *(after or (0,)), limit + 1)
    return page_of(
        rows,
        limit,
        lambda row: ProgramVersionView(
            row["version"], row["program_id"], iso(row["effective_at"]), iso(row["published_at"]), row["sha256"]
        ),
        lambda row: (row["version"],),
    )


async def program_text(connection: Connection, version: int | None) -> str:
    """Return the program file of a version as it was published; None: of the newest.

    Raises:
        UsageError: There is no such version.
    """
    content: str | None = await connection.fetchval(_TEXT, version)
    if content is None:
        raise UsageError("no such version; `loyalty program list` shows what there is")
    return content
