"""Runs in a copy of the tree that has the event: sends it to a real worker, and prints what came of it as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shared.contracts.catalogue import EVENTS
from shared.contracts.members import SEGMENTED, UPDATED
from shared.logs import configure
from tests.support.deployment import PROGRAM, Servers, deployed
from tests.support.events import about, event, purchase

STUDENTS = "\n  - {rule: students, give: 7 points per order, when: {segment: student}}\n"
MEMBER = {"member_id": "m1", "occurred_at": "2017-03-01T12:00:00-05:00"}


def segmented(change: str, at: str, **segments: list[str]) -> Any:
    return about(SEGMENTED, {"change_id": change, "member_id": "m1", "occurred_at": at, **segments})


async def see(servers: Servers) -> dict[str, Any]:
    async with deployed(servers, PROGRAM + STUDENTS) as made:
        entered = segmented("c1", "2017-03-02T12:00:00-05:00", entered=["student"])
        async with made.worker():
            for sent in (
                [about(UPDATED, {**MEMBER, "birthday": "04-23"}), event(purchase("o1", occurred_at=at("03-01T13")))],
                # Topics are not in order with each other: one waits until the other was read.
                [entered],
                [event(purchase("o2", occurred_at=at("03-02T13")))],
                [entered, segmented("c1", "2017-03-02T12:00:00-05:00", left=["student"])],
                [segmented("c2", "2017-03-03T12:00:00-05:00", left=["student"])],
                [event(purchase("o3", occurred_at=at("03-03T13")))],
            ):
                await made.send(sent)
                await made.idle()
        await made.check_audit()
        await made.check_replay()
        return {
            "direction": EVENTS[SEGMENTED].direction,
            "students": [order for (order,) in await made.rows(
                "select order_id from purchase join entry on entry.cause = purchase.key where entry.rule = 2"
            )],
            "member": [json.loads(content) for (content,) in await made.rows("select content from member")],
            "archived": sum(n for (n,) in await made.rows("select records from archive where topic = 'members'")),
            "duplicates": sum(n for (n,) in await made.rows("select duplicates from archive")),
            "dead letters": await made.rows("select reason, event_type, split_part(detail, ' ', 1) from dead_letter"),
        }  # fmt: skip


def at(hour: str) -> str:
    return f"2017-{hour}:00:00-05:00"


if __name__ == "__main__":
    home, url, port, kind = sys.argv[1:]
    unused: Any = None
    configure("critical")
    broker: Any = SimpleNamespace(port=int(port))
    print(json.dumps(asyncio.run(see(Servers(Path(home), unused, url, broker, kind)))))
