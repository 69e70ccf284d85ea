"""``loyalty replay completejourney | file``: publish purchases to Kafka, with progress."""

from __future__ import annotations

import functools
import heapq
import itertools
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.home import Home
from cli.output import command, console, errors, say
from devstack.home import DEFAULT_HOME, database, settings_for
from shared.clocks import Clock
from shared.errors import UsageError
from shared.instants import microseconds

if TYPE_CHECKING:
    from shared.settings import Settings

app = typer.Typer(help="Publish purchases to Kafka: real ones, or yours.", no_args_is_help=True)

Rate = Annotated[float | None, typer.Option(min=0.1, help="Events a second; flat out unless given.")]


@app.command()
@command
async def completejourney(
    limit: Annotated[int | None, typer.Option(min=1, help="Most baskets.")] = None,
    rate: Rate = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")] = None,
    extra: Annotated[
        str,
        typer.Option(
            "--with",
            help="Also publish, comma-separated: returns, referrals, redemptions, profiles, amendments, "
            "cancellations, members.",
        ),
    ] = "",
    barrier: Annotated[
        bool, typer.Option(help="Day by day: wait until all services are idle, then move the manual clock on.")
    ] = True,
    home: Home = DEFAULT_HOME,
) -> None:
    """Publish the Complete Journey: 155,848 baskets of 2,469 households in 2017, in order of time."""
    from cli.render.progress import Report
    from devstack.completejourney import ZONE, Baskets
    from devstack.journey_extras import KINDS, Extra, extras
    from devstack.progress import Watcher
    from devstack.sender import Sender
    from shared.contracts import purchases

    if first and last and first > last:
        raise UsageError("--from is after --to")
    with errors.status("reading the data set"):
        baskets = Baskets(first and first.date(), last and last.date(), limit)
    if not len(baskets):
        raise UsageError("no baskets in that range; the data set covers 2017-01-01 to 2017-12-31")
    kinds = [kind.strip() for kind in extra.split(",") if kind.strip()]
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise UsageError(f"--with {', '.join(unknown)}: there are {', '.join(KINDS)}")
    beside = extras(baskets, kinds)
    total = len(baskets) + len(beside)
    events = heapq.merge(
        (Extra(p.moment, purchases.TOPIC, *p[1:]) for p in baskets), beside, key=lambda event: event.moment
    )
    days = ((day, list(of_day)) for day, of_day in itertools.groupby(events, key=lambda event: event.moment.date()))
    settings = settings_for(home)
    started = time.monotonic()
    async with (
        database(settings) as connection,
        Sender(settings, rate) as sender,
        Watcher(settings, connection) as watcher,
    ):
        if barrier:
            await watcher.settled()
        with Report("replaying", total, "events", connection) as report:
            following = next(days, None)
            while following is not None:
                day, of_day = following
                tell = functools.partial(report.tell, day.isoformat())
                for event in of_day:
                    await sender.send(event.member_id, event.value, event.headers, event.topic)
                    report.advance()
                if barrier:
                    await sender.flush()
                # Made while the services are at work.
                following = next(days, None)
                if barrier:
                    await watcher.settled(sender.sent, tell)
                    await _end_of_day(connection, settings, day, ZONE)
                await tell()
            await sender.flush()
            published = time.monotonic() - started
            say("waiting until everything is in the ledger")
            await watcher.settled(sender.sent, tell)
            if not barrier:
                await _end_of_day(connection, settings, day, ZONE)
                await watcher.settled(meanwhile=tell)
    seconds = time.monotonic() - started
    console.print(
        f"{len(baskets):,} purchases{f' and {len(beside):,} other events' if beside else ''} published in "
        f"{published:.1f} s and in the ledger after {seconds:.1f} s ({total / seconds:,.0f} a second)"
    )


@app.command("file")
@command
async def file(
    path: Annotated[Path, typer.Argument(help="JSON Lines: one structured CloudEvent a line.")],
    rate: Rate = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Publish the events of a JSON Lines file, in its order: where the topic changes, all services are waited for."""
    from cli.render.progress import Report
    from devstack.progress import Watcher
    from devstack.sender import Sender

    settings = settings_for(home)
    events = list(_read_events(path))
    count = len(events)
    async with (
        Sender(settings, rate) as sender,
        database(settings) as connection,
        Watcher(settings, connection) as watcher,
    ):
        with Report("publishing", count, "events", connection) as report:
            before = events[0][3] if events else ""
            for member, value, headers, topic in events:
                tell = functools.partial(report.tell, topic)
                if topic != before:
                    # Topics are not ordered among each other: what comes before is handled first.
                    await sender.flush()
                    await watcher.settled(sender.sent, tell)
                before = topic
                await sender.send(member, value, headers, topic)
                report.advance()
                await tell()
            await sender.flush()
    console.print(f"{count:,} {'event' if count == 1 else 'events'} published")


async def _end_of_day(connection: Any, settings: Settings, day: date, zone: Any) -> None:
    """Move the manual clock to the end of a day, unless it is there already (a replay of a replay)."""
    if settings.clock is not Clock.MANUAL:
        return
    from shared.admin import clock
    from shared.queries.clock import now

    end = microseconds(datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=zone))
    if end > await now(connection, settings):
        await clock.move(connection, settings, end)


def _read_events(path: Path) -> Iterator[tuple[str, bytes, list[tuple[str, bytes]], str]]:
    """Read structured events; they are sent in binary mode, keyed by member."""
    import jiter
    import pydantic_core

    from shared.contracts.catalogue import TOPIC_OF
    from shared.contracts.envelope import seal

    for number, line in _lines(path):
        try:
            event = jiter.from_json(line.encode())
            data, member = event["data"], str(event["data"]["member_id"])
            headers = seal(
                event_id=str(event["id"]),
                source=str(event["source"]),
                event_type=str(event["type"]),
                time=str(event.get("time", data.get("occurred_at", ""))),
                key=member,
            )
        except KeyError as missing:
            raise UsageError(
                f"{path}:{number}: found no {missing}; needed are id, source, type, data and data.member_id"
            ) from None
        except (ValueError, TypeError) as problem:
            raise UsageError(f"{path}:{number}: not a structured CloudEvent: {problem}") from None
        topic = TOPIC_OF.get(str(event["type"]))
        if topic is None:
            raise UsageError(f"{path}:{number}: nobody reads events of type {event['type']!r}")
        yield member, pydantic_core.to_json(data), headers, topic


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        return [(number, line) for number, line in enumerate(path.read_text().splitlines(), start=1) if line.strip()]
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read {path}: {problem}") from None
