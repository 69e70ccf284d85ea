"""``loyalty dead-letters list | show | replay | close``: what was refused, why, and again after a fix."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli.home import Home
from cli.output import AsJson, command, console, errors, print_json, say, show
from devstack.home import DEFAULT_HOME, database, settings_for
from shared.errors import UNREAD_BATCH, UsageError
from shared.invisible import escaped

if TYPE_CHECKING:
    from shared.database.pool import Connection
    from shared.queries.dead_letters import Refused
    from shared.settings import Settings

app = typer.Typer(
    help="Records that were refused: list, look at, send again after a fix, or close.", no_args_is_help=True
)

Letter = Annotated[str, typer.Argument(help="The id of a dead letter, or its beginning.")]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]
_UNREAD = "the records of a batch that was not unpacked are not kept: have their producer send them again"
#: What cannot be sent again from here, and what to do instead.
_NEVER_AGAIN = {
    "conflict": "a conflict cannot be replayed: the order was accepted with other content and stays as it is. "
    "Publish a correction under an id of its own",
    **dict.fromkeys(UNREAD_BATCH, _UNREAD),
}


@app.command("list")
@command
async def list_letters(
    reason: Reason = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were replayed or closed.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 100,
    as_json: AsJson = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """List refused records, the newest first."""
    from shared.queries.dead_letters import list_dead_letters

    settings = settings_for(home)
    async with database(settings) as connection:
        page = await list_dead_letters(connection, reason=reason, everything=everything, limit=limit)
    show(
        ("id", "reason", "position", "recorded", "state", "detail"),
        [
            (
                one.id if as_json else one.id[:8],
                one.reason,
                f"{one.topic}[{one.partition}] {one.epoch}:{one.offset}",
                (one.recorded_at or "")[:19],
                one.state,
                one.detail,
            )
            for one in page.rows
        ],
        as_json=as_json,
    )
    if page.next is not None:
        say(f"{len(page.rows):,} dead letters shown, and there are more")


@app.command("show")
@command
async def show_letter(letter: Letter, as_json: AsJson = False, home: Home = DEFAULT_HOME) -> None:
    """Show one refused record: reason, position, headers and value."""
    from shared.queries.dead_letters import dead_letter
    from shared.queries.views.of_members import as_json as json_of

    settings = settings_for(home)
    async with database(settings) as connection:
        _refused, view = await dead_letter(connection, letter)
    shown = json_of(view)
    if as_json:
        print_json(shown)
        return
    for name, content in shown.items():
        console.print(escaped(f"{name}: {content}"), markup=False, soft_wrap=True)


@app.command()
@command
async def replay(
    letter: Annotated[str | None, typer.Argument(help="The id of a dead letter, or its beginning.")] = None,
    reason: Reason = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every open dead letter, except those that never can be.")
    ] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Send records again to the topic that they came from; what is still wrong comes back as a new dead letter."""
    from shared.queries.dead_letters import dead_letter, open_dead_letters

    if sum((letter is not None, reason is not None, everything)) != 1:
        raise UsageError("say which: an ID, --reason REASON or --all")
    settings = settings_for(home)
    async with database(settings) as connection:
        if letter is None:
            _refuse_never_again(reason)
            sent = await _send(connection, settings, open_dead_letters(connection, reason=reason, without=_NEVER_AGAIN))
        else:
            refused, _view = await dead_letter(connection, letter)
            if refused.state != "open":
                raise UsageError(f"{refused.id} is {refused.state} already")
            _refuse_never_again(refused.reason)
            sent = await _send(connection, settings, _one(refused))
    console.print(f"sent {sent} {'record' if sent == 1 else 'records'} again")


@app.command()
@command
async def close(letter: Letter, home: Home = DEFAULT_HOME) -> None:
    """Mark a dead letter as dealt with; it stays on record."""
    from shared.admin.dead_letters import close_dead_letter
    from shared.queries.dead_letters import dead_letter

    settings = settings_for(home)
    async with database(settings) as connection:
        refused, _view = await dead_letter(connection, letter)
        await close_dead_letter(connection, refused.id)
    console.print(f"closed {refused.id}")


def _refuse_never_again(reason: str | None) -> None:
    if reason in _NEVER_AGAIN:
        raise UsageError(f"{_NEVER_AGAIN[reason]}, then: loyalty dead-letters close ID")


async def _one(refused: Refused) -> AsyncIterator[Refused]:
    yield refused


async def _send(connection: Connection, settings: Settings, letters: AsyncIterator[Refused]) -> int:
    """Send each record to its topic; return how many there were."""
    from shared.admin.dead_letters import send_again

    sent = 0
    with errors.status("sending …"):
        async for _letter in send_again(
            connection, settings, ((one.id, one.topic, one.record) async for one in letters)
        ):
            sent += 1
    return sent
