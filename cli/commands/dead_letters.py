"""``loyalty dead-letters list | show | replay | close``: what was refused, why, and again after a fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.home import Home
from cli.output import AsJson, command, console, errors, print_json, show
from devstack.home import DEFAULT_HOME, database, settings_for
from shared.errors import UNREAD_BATCH, UsageError
from shared.instants import iso
from shared.invisible import escaped

if TYPE_CHECKING:
    from shared.settings import Settings

app = typer.Typer(
    help="Records that were refused: list, look at, send again after a fix, or close.", no_args_is_help=True
)

Letter = Annotated[str, typer.Argument(help="The id of a dead letter, or its beginning.")]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]
_COLUMNS = "id, reason, topic, partition, epoch, record_offset, recorded_at, state, detail"
_REQUEST_BYTES = 9_000_000
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
    settings = settings_for(home)
    async with database(settings) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from dead_letter where ($1::text is null or reason = $1) "  # noqa: S608
            "and ($2 or state = 'open') "
            "order by recorded_at desc, topic, partition, epoch desc, record_offset desc limit $3",
            reason, everything, limit,
        )  # fmt: skip
    show(
        ("id", "reason", "position", "recorded", "state", "detail"),
        [
            (r["id"] if as_json else r["id"][:8], r["reason"],
             f"{r['topic']}[{r['partition']}] {r['epoch']}:{r['record_offset']}",
             iso(r["recorded_at"])[:19], r["state"], r["detail"])
            for r in rows
        ],
        as_json=as_json,
    )  # fmt: skip


@app.command("show")
@command
async def show_letter(letter: Letter, as_json: AsJson = False, home: Home = DEFAULT_HOME) -> None:
    """Show one refused record: reason, position, headers and value."""
    from shared.runtime.packed import unpack_records

    settings = settings_for(home)
    async with database(settings) as connection:
        row = await _find(connection, letter)
    (record,) = unpack_records(row["record"])
    value = "(null)" if record.value is None else record.value.decode(errors="backslashreplace")
    shown = {
        **{name: row[name] for name in ("id", "state", "reason", "detail", "service", "topic", "partition", "epoch")},
        "offset": record.offset,
        "recorded_at": iso(row["recorded_at"]),
        "key": (record.key or b"").decode(errors="backslashreplace"),
        "headers": {name: (content or b"").decode(errors="backslashreplace") for name, content in record.headers},
        "value": value,
    }
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
    if sum((letter is not None, reason is not None, everything)) != 1:
        raise UsageError("say which: an ID, --reason REASON or --all")
    settings = settings_for(home)
    async with database(settings) as connection:
        if letter is not None:
            rows = [await _find(connection, letter)]
            if rows[0]["state"] != "open":
                raise UsageError(f"{rows[0]['id']} is {rows[0]['state']} already")
        else:
            rows = await connection.fetch(
                "select * from dead_letter where state = 'open' and ($1::text is null or reason = $1) "
                "and reason <> all($2::text[]) order by recorded_at, id",
                reason,
                list(_NEVER_AGAIN),
            )
        for refused in (reason, *(row["reason"] for row in rows)):
            if refused in _NEVER_AGAIN:
                raise UsageError(f"{_NEVER_AGAIN[refused]}, then: loyalty dead-letters close ID")
        sent = await _send(connection, settings, rows)
    console.print(f"sent {sent} {'record' if sent == 1 else 'records'} again")


@app.command()
@command
async def close(letter: Letter, home: Home = DEFAULT_HOME) -> None:
    """Mark a dead letter as dealt with; it stays on record."""
    settings = settings_for(home)
    async with database(settings) as connection:
        row = await _find(connection, letter)
        await _settle(connection, [row["id"]], "closed")
    console.print(f"closed {row['id']}")


async def _find(connection: Any, letter: str) -> Any:
    rows = await connection.fetch("select * from dead_letter where starts_with(id, $1) limit 2", letter)
    if not rows:
        raise UsageError(f"no dead letter {letter}; `loyalty dead-letters list --all` shows them")
    if len(rows) > 1:
        raise UsageError(f"{letter} is the beginning of several ids; write more of it")
    return rows[0]


async def _settle(connection: Any, letters: list[str], state: str) -> None:
    await connection.execute(
        "update dead_letter set state = $2, settled_at = now() where id = any($1::text[])", letters, state
    )


async def _send(connection: Any, settings: Settings, rows: list[Any]) -> int:
    """Send each record to its topic and settle it as soon as Kafka has it: a failure leaves the rest open."""
    from aiokafka import AIOKafkaProducer
    from rich.progress import track

    from shared.runtime.packed import unpack_records

    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_brokers, acks="all", max_request_size=_REQUEST_BYTES,
        enable_idempotence=settings.kafka_idempotence,
    )  # fmt: skip
    await producer.start()
    try:
        for row in track(rows, "sending", console=errors, transient=True):
            (record,) = unpack_records(row["record"])
            # Kafka wants a key or a value; a record that had neither gets its letter's id.
            key = record.key if record.key or record.value is not None else row["id"].encode()
            await producer.send_and_wait(
                settings.topic(row["topic"]), record.value, key=key, headers=list(record.headers)
            )
            await _settle(connection, [row["id"]], "replayed")
    finally:
        await producer.stop()
    return len(rows)
