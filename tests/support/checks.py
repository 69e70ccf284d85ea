"""What must be true of any run, whatever happened in it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.contracts import points
from shared.ledger.audit.runner import audit
from shared.runtime.handler import Mark
from shared.runtime.records import Record
from shared.simulation.archive import differences, from_archive
from shared.simulation.simulator import Rehearsal
from tests.support.events import Sent

if TYPE_CHECKING:
    from tests.support.deployment import Deployment


async def check_replay(deployment: Deployment) -> None:
    """The archive, replayed in memory, gives the same, row for row."""
    async with deployment.database() as connection:
        rehearsal = None
        async for rehearsal, _records in from_archive(connection, deployment.settings.record_bytes):  # noqa: B007
            pass
        assert rehearsal is not None
        assert await differences(connection, rehearsal) == []


async def check_audit(deployment: Deployment) -> None:
    async with deployment.database() as connection:
        findings = [(check.name, *finding) async for check, found in audit(connection) for finding in found]
    assert not findings, findings


async def check_published(deployment: Deployment) -> None:
    """Every event about points was published at least once, and first copies in the order of versions."""
    records = await deployment.published()
    first: dict[str, Any] = {}
    for record in records:
        first.setdefault(dict(record.headers)["ce_id"].decode(), record)
    events = [points.POINTS_EARNED.validate_json(record.value) for record in first.values()]
    paid: dict[tuple[str, str], int] = defaultdict(int)
    versions: dict[tuple[str, str], int] = defaultdict(int)
    for earned in events:
        account = earned["member_id"], earned["wallet"]
        assert earned["version"] > versions[account], "first copies come in version order"
        versions[account] = earned["version"]
        paid[account] += earned["points"]
    ledger: dict[tuple[str, str], int] = defaultdict(int)
    for member, wallet, _version, amount, *_rest in await deployment.ledger():
        ledger[member, wallet] += amount
    assert paid == ledger, "every points event was published at least once"


def calm_ledger(program: str, events: Sequence[Sent]) -> list[tuple[Any, ...]]:
    """The ledger of an undisturbed run: each partition's events in one batch, in memory."""
    rehearsal = Rehearsal()
    rehearsal.publish(program)
    by_partition: dict[int, list[Record]] = defaultdict(list)
    for one in events:
        records = by_partition[one.place]
        records.append(Record(len(records), 0, one.member.encode(), one.value, tuple(one.headers)))
    for records in by_partition.values():
        rehearsal.batch(records, Mark(1, 0, int(time.time() * 1_000_000)))
    names = {account.account: key for key, account in rehearsal.accounts.items()}
    return sorted((*names[entry.account], *tuple(entry)[1:]) for entry in rehearsal.entries)
