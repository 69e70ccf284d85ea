"""From events to mail: notify on a real Postgres and broker, and the example subscriber with a real SMTP server."""

from __future__ import annotations

import asyncio
import email.policy
import json
import sys
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pydantic_core
import pytest
from aiosmtpd.controller import Controller

from devstack.embedded.process import free_port
from services.notify.handler import NotifyHandler
from services.notify.state import State
from shared.contracts import notifications, points, profiles, rewards, tiers
from shared.contracts.envelope import seal
from shared.contracts.notifications import NOTIFICATION_REQUESTED, NotificationRequested
from shared.program import store
from shared.program.language.loader import load
from shared.program.templates import read_templates
from shared.runtime.batch.decode import decode
from shared.runtime.consumer import BatchConsumer
from shared.runtime.handler import Mark
from shared.runtime.packed import unpack_records
from shared.runtime.records import Record
from shared.settings import Clock
from tests.support.deployment import Deployment
from tests.support.events import about

ROOT = Path(__file__).parents[2]
NOTIFY_TOPICS = (points.TOPIC, tiers.TOPIC, rewards.TOPIC, profiles.TOPIC)
PROGRAM = """
program: fresh-market
name: Fresh Market Rewards
currency: USD
time_zone: America/New_York
effective: 2017-01-01
wallets: {points: {name: Points, unit: point, expiry: never}}
earning: [{rule: every-dollar, give: 1 point per whole USD}]
ladder:
  metric: spend
  window: calendar year
  keep: the rest of the period and the next
  tiers: [{tier: basic, name: Basic, from: 0}, {tier: gold, name: Gold, from: 500 USD}]
notifications: {templates: fresh-market.templates, quiet_hours: "21:00 to 08:00"}
"""
AT = "2017-03-01T12:00:00Z"
EXPIRES = "2017-03-08T05:00:00Z"
SECRETS = ("Zaphod", "heartofgold")


def profile(member: str) -> dict[str, Any]:
    return {
        "member_id": member, "occurred_at": AT, "name": "Zaphod", "email": f"{member}@heartofgold.invalid",
        "consent": ["email"],
    }  # fmt: skip


def expiring(member: str, **fields: Any) -> dict[str, Any]:
    return {
        "member_id": member, "occurred_at": AT, "wallet": "points", "points": 100, "days_left": 7,
        "expires_at": EXPIRES, **fields,
    }  # fmt: skip


def upgraded(member: str, tier: str = "gold") -> dict[str, Any]:
    return {
        "member_id": member, "occurred_at": AT, "tier": tier, "old_tier": "basic", "metric": "spend",
        "valid_from": AT, "valid_until": "2019-01-01T05:00:00Z", "to_keep": None, "next_tier": None, "to_next": None,
    }  # fmt: skip


async def send(deployment: Deployment, event_type: str, *events: dict[str, Any]) -> None:
    await deployment.send(
        about(event_type, {"occurred_at": AT, **one}, "/test", f"e{number}") for number, one in enumerate(events)
    )


async def lot(connection: Any, member: str, remaining: int, *, pending: bool = False) -> int:
    account: int = await connection.fetchval(
        "insert into account (member, wallet) values ($1, 'points') returning account", member
    )
    await connection.execute(
        "insert into lot (account, lot, earned, remaining, available_at, expires_at, pending) "
        "values ($1, 1, 100, $2, '-infinity', '2017-03-08T05:00:00Z', $3)",
        account, remaining, pending,
    )  # fmt: skip
    return account


async def standing(connection: Any, account: int, member: str, tier: str) -> None:
    await connection.execute(
        "insert into standing (account, member, version, program_version, tier, metric_value, valid_from, "
        "valid_until, fold, announced, next_due, updated_at) "
        "values ($1, $2, 1, 1, $3, 0, now(), 'infinity', '', '', 'infinity', now())",
        account, member, tier,
    )  # fmt: skip


async def publish(deployment: Deployment) -> None:
    templates = read_templates(ROOT / "programs" / "fresh-market.yaml", load(PROGRAM))
    async with deployment.database() as connection:
        published = await store.publish(connection, PROGRAM, "program.yaml", templates)
        assert published.fresh
        assert not (await store.publish(connection, PROGRAM, "program.yaml", templates)).fresh
        changed = {**templates, "points-earned.en.txt": templates["points-earned.en.txt"] + "!"}
        assert (await store.publish(connection, PROGRAM, "program.yaml", changed)).fresh, "words are content too"
        facts = await connection.fetchval("select facts from archive where kind = 'program' order by seq desc limit 1")
        assert json.loads(facts) == changed
        assert (await store.load_versions(connection))[-1].templates == changed


def handler(deployment: Deployment) -> NotifyHandler:
    return NotifyHandler(f"/loyalty/{deployment.settings.topic_prefix}/notify", Clock.MANUAL)


async def decided(deployment: Deployment, number: int) -> list[Any]:
    async with deployment.database() as connection, asyncio.timeout(30):
        while True:
            rows: list[Any] = await connection.fetch("select * from notification order by dedupe_key")
            if len(rows) >= number:
                return rows
            await asyncio.sleep(0.05)


async def test_from_events_to_notifications(deployment: Deployment) -> None:
    await publish(deployment)
    async with deployment.database() as connection:
        await lot(connection, "told", 40)
        await lot(connection, "spent", 0)
        await lot(connection, "waits", 100, pending=True)
        await standing(connection, await lot(connection, "fell", 100), "fell", "basic")
    everybody = ["told", "spent", "waits", "fell"]
    await send(deployment, profiles.UPDATED, *map(profile, everybody))
    consumer = BatchConsumer(deployment.settings, handler(deployment), NOTIFY_TOPICS, "/loyalty/test/notify")
    async with consumer, deployment.database() as connection:
        async with asyncio.timeout(30):
            while await connection.fetchval("select count(*) from profile") < len(everybody):
                await asyncio.sleep(0.05)
        await send(deployment, points.EXPIRING,
            *(expiring(member) for member in ("told", "told", "spent", "waits", "unknown")),
        )  # fmt: skip
        await send(deployment, tiers.UPGRADED, upgraded("told"), upgraded("fell"))
        rows = await decided(deployment, 6)
        assert {(row["kind"], row["member"], row["reason"]) for row in rows} == {
            ("points-expiring", "told", ""), ("points-expiring", "spent", "cause-gone"),
            ("points-expiring", "waits", "cause-gone"), ("points-expiring", "unknown", "cause-gone"),
            ("tier-upgraded", "told", ""), ("tier-upgraded", "fell", "cause-gone"),
        }  # fmt: skip
        async with asyncio.timeout(30):
            while await connection.fetchval("select count(*) from outbox"):
                await asyncio.sleep(0.05)
    told = [NOTIFICATION_REQUESTED.validate_json(r.value) for r in await deployment.published(notifications.TOPIC)]
    assert {one["kind"] for one in told} == {"points-expiring", "tier-upgraded"}
    assert {one["channels"][0]["to"] for one in told} == {"told@heartofgold.invalid"}
    assert {one["not_before"] for one in told} == {"2017-03-01T13:00:00Z"}, "seven in the morning in New York is early"
    await nothing_personal_and_the_same_again(deployment, rows)


async def nothing_personal_and_the_same_again(deployment: Deployment, rows: list[Any]) -> None:
    """The archive alone reproduces the decisions, and contains no personal data."""
    async with deployment.database() as connection:
        archive = await connection.fetch("select * from archive order by seq")
        programs = tuple(await store.load_versions(connection))
    replay, own, again = State(programs, 0), handler(deployment), []
    for batch in archive:
        records = unpack_records(batch["body"]) if batch["kind"] == "batch" else []
        left = f"{[record.value for record in records]} {batch['facts']!r}"
        assert not [secret for secret in SECRETS if secret in left]
        assert batch["topic"] != profiles.TOPIC or not records
        replay.recall(batch["facts"] if batch["kind"] == "batch" else b"")
        events = decode(records, own.contracts, 1_000_000).events
        again += own.decide(replay, events, Mark(batch["seq"], batch["recorded_at"], 0)).effects.rows
    assert sorted(again) == [tuple(row) for row in rows]


async def test_two_batches_about_one_member_wait_for_each_other(deployment: Deployment) -> None:
    await publish(deployment)
    headers = seal(event_id="e", source="/test", event_type=points.EXPIRING, time=AT, key="m")
    record = Record(0, 0, b"m", pydantic_core.to_json(expiring("m")), tuple(headers))
    own = handler(deployment)
    events = decode([record], own.contracts, 1_000_000).events

    async def batch(seq: int, loaded: asyncio.Event, go_on: asyncio.Event) -> int:
        async with deployment.database() as connection, connection.transaction():
            state = await own.load(connection, events)
            loaded.set()
            await go_on.wait()
            mark = Mark(seq, 0, 0)
            decisions = own.decide(state, events, mark)
            await own.store(connection, decisions, mark)
        return decisions.duplicates

    first_loaded, second_loaded, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(batch(1, first_loaded, go_on))
    await first_loaded.wait()
    second = asyncio.create_task(batch(2, second_loaded, go_on))
    await asyncio.sleep(0.3)
    assert not second_loaded.is_set(), "it waits for the first one's decision"
    go_on.set()
    assert (await first, await second) == (0, 1)


async def test_more_members_than_locks(deployment: Deployment) -> None:
    await publish(deployment)
    own = handler(deployment)
    records = []
    for number in range(3000):
        headers = seal(event_id=f"e{number}", source="/t", event_type=points.EXPIRING, time=AT, key="m")
        records.append(Record(number, 0, b"m", pydantic_core.to_json(expiring(f"m{number}")), tuple(headers)))
    events = decode(records, own.contracts, 1_000_000).events
    async with deployment.database() as connection, connection.transaction():
        state = await own.load(connection, events)
        locks = await connection.fetchval(
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        )
        assert 0 < locks <= 256
        decisions = own.decide(state, events, Mark(1, 0, 0))
        await own.store(connection, decisions, Mark(1, 0, 0))
        assert await connection.fetchval("select count(*) from notification") == 3000


# ---- the subscriber


class Inbox:
    """The mails that an SMTP server on this machine received."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuses: set[str] = set()
        #: Called once so many mails are there, before their sender is told.
        self.after: dict[int, Callable[[], None]] = {}

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if address in self.refuses:
            return "550 no such member"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = BytesParser(policy=email.policy.default).parsebytes(envelope.content)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.after.get(len(self.mails), lambda: None)()
        return "250 OK"


@pytest.fixture
def smtp() -> Iterator[tuple[Inbox, int]]:
    inbox, port = Inbox(), free_port()
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    yield inbox, port
    server.stop()


def requested(member: str, identity: str, **fields: Any) -> dict[str, Any]:
    event: NotificationRequested = {
        "notification_id": identity,
        "dedupe_key": f"redemption-done {member} /t {identity}",
        "member_id": member,
        "program_id": "fresh-market",
        "kind": "redemption-done",
        "channels": [{"channel": "sms", "to": "+15550042"}, {"channel": "email", "to": f"{member}@example.invalid"}],
        "locale": "en",
        "template": "redemption-done.en.txt",
        "parameters": {},
        "rendered": {"subject": f"Grüße an {member}", "text": "Guten Tag,\n\n500 Punkte, gewiß!"},
        "not_before": AT,
        "use_by": "2999-01-01T00:00:00Z",
        "occurred_at": AT,
    }
    return {**event, **fields}


def subscriber(deployment: Deployment, state: Path, port: int) -> list[str]:
    return [
        sys.executable, str(ROOT / "examples" / "email_subscriber.py"), "--brokers", deployment.settings.kafka_brokers,
        "--prefix", deployment.settings.topic_prefix, "--smtp", f"127.0.0.1:{port}", "--state", str(state),
        "--until-idle", "1",
    ]  # fmt: skip


async def subscribe(deployment: Deployment, state: Path, port: int, *more: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *subscriber(deployment, state, port), *more, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _out, errors = await process.communicate()
    return process.returncode or 0, errors.decode()


async def test_each_mail_is_there_once(deployment: Deployment, smtp: tuple[Inbox, int], tmp_path: Path) -> None:
    inbox, port = smtp
    inbox.refuses.add("gone@example.invalid")
    stale, early = "2017-03-04T12:00:00Z", "2998-01-01T00:00:00Z"
    first = [
        requested("ann", "a1"), requested("bob", "b1"), requested("ann", "a1"), requested("stale", "s1", use_by=stale),
        requested("early", "e1", not_before=early), requested("gone", "g1"),
        requested("odd", "o1", channels=[{"channel": "email", "to": "a,b@c.invalid"}]),
        requested("push", "p1", channels=[{"channel": "push", "to": "push"}]),
    ]  # fmt: skip
    await send(deployment, notifications.REQUESTED, *first, {"member_id": "x", "not": "one"})
    state = tmp_path / "state.db"
    status, said = await subscribe(deployment, state, port)
    assert (status, "example.invalid" in said) == (0, False), said
    # A second copy of what was sent, as a crashed worker publishes it, and something new.
    await send(deployment, notifications.REQUESTED, requested("bob", "b1"), requested("eve", "c1"))
    assert (await subscribe(deployment, state, port))[0] == 0
    assert sorted((mail["To"], mail["Message-ID"]) for mail in inbox.mails) == [
        ("ann@example.invalid", "<a1@example.invalid>"), ("bob@example.invalid", "<b1@example.invalid>"),
        ("eve@example.invalid", "<c1@example.invalid>"),
    ]  # fmt: skip
    [mail] = [mail for mail in inbox.mails if mail["To"] == "ann@example.invalid"]
    assert mail["Subject"] == "Grüße an ann"
    assert mail.get_content().splitlines() == ["Guten Tag,", "", "500 Punkte, gewiß!"]


async def test_what_was_sent_before_a_kill_is_not_sent_again(
    deployment: Deployment, smtp: tuple[Inbox, int], tmp_path: Path
) -> None:
    inbox, port = smtp
    await send(deployment, notifications.REQUESTED, *(requested("ann", f"a{number}") for number in range(5)))
    process = await asyncio.create_subprocess_exec(*subscriber(deployment, tmp_path / "state.db", port))
    inbox.after[3] = process.kill
    async with asyncio.timeout(60):
        await process.wait()
    assert (await subscribe(deployment, tmp_path / "state.db", port))[0] == 0
    identities = [mail["Message-ID"] for mail in inbox.mails]
    # The one in hand may come twice.
    assert len(set(identities)) == 5
    assert 5 <= len(identities) <= 6
    assert set(identities[:2]).isdisjoint(identities[3:])


async def test_a_mail_server_that_is_away(deployment: Deployment, smtp: tuple[Inbox, int], tmp_path: Path) -> None:
    inbox, port = smtp
    await send(deployment, notifications.REQUESTED, requested("ann", "a1"))
    status, said = await subscribe(deployment, tmp_path / "state.db", free_port())
    assert (status, "a1: the server is away" in said) == (1, True)
    assert (await subscribe(deployment, tmp_path / "state.db", port))[0] == 0
    assert [mail["Message-ID"] for mail in inbox.mails] == ["<a1@example.invalid>"]


async def test_a_folder_instead_of_a_server(deployment: Deployment, tmp_path: Path) -> None:
    early = "2998-01-01T00:00:00Z"
    sent = [requested("ann", "a1", not_before=early), requested("bob", "b1", use_by=AT)]
    await send(deployment, notifications.REQUESTED, *sent)
    folder = tmp_path / "mail"
    assert (await subscribe(deployment, tmp_path / "s.db", 1, "--mail-folder", str(folder), "--now"))[0] == 0
    assert sorted(file.name for file in folder.iterdir()) == ["a1.eml", "b1.eml"]
    assert b"To: ann@example.invalid" in (folder / "a1.eml").read_bytes()
