"""Published program versions in Postgres, the source of truth: every batch reads the newest version number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

from shared.database import archive
from shared.database.archive import Archived
from shared.database.locks import PUBLISHING
from shared.database.pool import Connection
from shared.errors import ProgramFileError, UsageError
from shared.instants import iso, microseconds
from shared.program.compiled.program import Program, compile_program
from shared.program.language.loader import load
from shared.program.templates import check_templates

_PUBLISH_SECONDS = 30


class Published(NamedTuple):
    """The result of publishing: the version, and whether it is new."""

    version: int
    program: Program
    fresh: bool


async def newest_version(connection: Connection) -> int:
    """Return the number of the newest version; 0 if none has ever been published."""
    version: int = await connection.fetchval("select coalesce(max(version), 0) from program")
    return version


async def load_versions(connection: Connection, after: int = 0) -> list[Program]:
    """Return the compiled versions with a number above ``after``, oldest first."""
    rows = await connection.fetch(
        "select version, content, templates from program where version > $1 order by version", after
    )
    return [
        compile_program(load(row["content"], f"version {row['version']}"), row["version"], json.loads(row["templates"]))
        for row in rows
    ]


async def publish(
    connection: Connection, text: str, filename: str, templates: Mapping[str, str] | None = None
) -> Published:
    """Store a program file as the next version; publishing the same content again adds no version.

    All watermarks are locked meanwhile, and none can be added: running batches finish first and later ones see the
    new version, so no purchase at or after the effective date is rated by the old one.

    Args:
        connection: Not in a transaction.
        text: The program file.
        filename: Where it was read from, for messages.
        templates: The texts of its notifications by file name (``templates.read_templates``). None: it has none, and
            its notifications fail with ``template-error``.

    Raises:
        ProgramFileError: The file, or a template, has mistakes.
        UsageError: It belongs to another program, or takes effect before a purchase that was already rated.
    """
    program_file = load(text, filename)
    if templates is not None and (problems := check_templates(program_file, templates)):
        raise ProgramFileError(problems)
    words = json.dumps(dict(templates or {}), ensure_ascii=False, sort_keys=True)
    content_hash = hashlib.sha256(f"{text}\0{words}".encode() if templates else text.encode()).hexdigest()
    async with connection.transaction():
        # All watermarks are locked below: a command that is suspended at that moment must not stop every service.
        await connection.execute(f"set local transaction_timeout = '{_PUBLISH_SECONDS}s'")
        await connection.execute(f"select pg_advisory_xact_lock({PUBLISHING})")
        marks = await connection.fetch("select latest_at from watermark order by service, topic, partition for update")
        newest = await connection.fetchrow(
            "select version, program_id, content_hash from program order by version desc limit 1"
        )
        version = newest["version"] + 1 if newest else 1
        program = compile_program(program_file, version, templates)
        if newest:
            if newest["program_id"] != program_file.program:
                raise UsageError(
                    f"this deployment runs the program {newest['program_id']!r}; "
                    f"start another one (loyalty up --home …) for {program_file.program!r}"
                )
            if newest["content_hash"] == content_hash:
                known = compile_program(program_file, newest["version"], templates)
                return Published(newest["version"], known, fresh=False)
            latest = max((row["latest_at"] for row in marks), default=microseconds(program.effective_at) - 1)
            if microseconds(program.effective_at) <= latest:
                raise UsageError(
                    f"effective {program_file.effective}: purchases up to {iso(latest)} were already rated by version "
                    f"{newest['version']}; choose a later date"
                )
        await connection.execute(
            "insert into program (version, program_id, effective_at, content, content_hash, templates) "
            "values ($1, $2, $3, $4, $5, $6)",
            version,
            program_file.program,
            microseconds(program.effective_at),
            text,
            content_hash,
            words,
        )
        await archive.append(connection, Archived(kind="program", body=text.encode(), facts=words.encode()))
    return Published(version, program, fresh=True)
