"""``loyalty program check | publish | list | show | schema``: the program file and its versions."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from cli.home import Home
from cli.output import AsJson, command, console, print_json, say, say_if, show
from devstack.home import DEFAULT_HOME, database, settings_for

app = typer.Typer(help="The program file: check, publish, and look at its versions.", no_args_is_help=True)

_PAGE = 100
File = Annotated[Path, typer.Argument(help="A program file (YAML), or the name of one that comes with the product.")]


@app.command()
@command
def check(file: File) -> None:
    """Say what is wrong with a program file and its templates, line by line; exit status 1 if anything is.

    What the file may say, but hardly means, is a warning: it is no mistake.
    """
    from shared.admin.program_texts import read_program
    from shared.program.language.loader import doubts_about

    texts = read_program(file)
    program = texts.program
    for doubt in doubts_about(texts.text, texts.filename):
        say(f"warning: {doubt}")
    console.print(
        f"{file}: {program.name}, {len(program.earning)} earning rule{'' if len(program.earning) == 1 else 's'}, "
        f"wallets {', '.join(program.wallets)}, effective {program.effective}: no mistakes found",
        soft_wrap=True,
    )


@app.command()
@command
async def publish(file: File, home: Home = DEFAULT_HOME) -> None:
    """Store a program file as the next version; running workers pick it up with their next batch."""
    from shared.admin.hints import send_hint
    from shared.admin.program_texts import read_program
    from shared.contracts import control
    from shared.program import store

    settings = settings_for(home)
    texts = read_program(file)
    async with database(settings) as connection:
        published = await store.publish(connection, texts.text, texts.filename, texts.templates)
    if not published.fresh:
        console.print(f"version {published.version} has this content already; nothing was published")
        return
    effective = published.program.effective_at.isoformat()
    hint = {"program_id": published.program.program_id, "version": published.version, "effective_at": effective}
    say_if(await send_hint(settings, control.PROGRAM_PUBLISHED, hint))
    console.print(f"published version {published.version}, effective {effective}")


@app.command("list")
@command
async def list_versions(as_json: AsJson = False, home: Home = DEFAULT_HOME) -> None:
    """List the published versions."""
    from shared.queries import programs
    from shared.queries.views.of_lists import ProgramVersionView

    settings = settings_for(home)
    async with database(settings) as connection:
        rows: list[ProgramVersionView] = []
        after = None
        while page := await programs.list_versions(connection, limit=_PAGE, after=after):
            rows += page.rows
            after = page.next
            if after is None:
                break
    columns = [field.name for field in fields(ProgramVersionView)]
    show(columns, [[getattr(row, name) for name in columns] for row in rows], as_json=as_json)


@app.command("show")
@command
async def show_version(
    version: Annotated[int | None, typer.Argument(help="The version; the newest unless given.")] = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Print the program file of a version as it was published."""
    from shared.queries.programs import program_text

    settings = settings_for(home)
    async with database(settings) as connection:
        content = await program_text(connection, version)
    console.print(content, markup=False, end="", soft_wrap=True)


@app.command()
@command
def schema() -> None:
    """Print the JSON Schema of a program file, for editors."""
    from shared.program.language.loader import json_schema

    print_json(json_schema())
