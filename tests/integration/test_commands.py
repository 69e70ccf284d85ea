"""The commands of operators and marketers, on a running deployment."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

from devstack.embedded.process import free_port, port_is_free
from shared.ledger.audit.ledger import LEDGER_CHECKS
from shared.ledger.audit.lots import LOT_CHECKS, changed_terms
from shared.ledger.audit.runner import findings
from shared.ledger.model import GRACE
from tests.support.commands import loyalty_process
from tests.support.deployment import PROGRAM, Deployment
from tests.support.events import event, purchase
from tools.documents import ROOT


async def loyalty(deployment: Deployment, *arguments: str, status: int = 0) -> str:
    return (await deployment.loyalty(*arguments, status=status)).output


async def test_dead_letters_are_replayed_after_the_program_was_put_right(
    deployment: Deployment, tmp_path: Path
) -> None:
    early = purchase("o1", occurred_at="2016-06-01T12:00:00-04:00")
    async with deployment.worker():
        await deployment.send([event(early)])
        await deployment.idle()
        (letter,) = json.loads(await loyalty(deployment, "dead-letters", "list", "--json"))
        assert letter["reason"] == "no-program"
        shown = await loyalty(deployment, "dead-letters", "show", letter["id"])
        assert '"order_id":"o1"' in shown
        # Nothing was rated yet, so a version may reach back: the program is fixed, and the dead letter replayed.
        reaching_back = tmp_path / "program.yaml"
        reaching_back.write_text(PROGRAM.replace("effective: 2017-01-01", "effective: 2016-01-01"))
        assert "published version 2" in await loyalty(deployment, "program", "publish", str(reaching_back))
        await loyalty(deployment, "dead-letters", "replay", letter["id"])
        await deployment.idle()
        assert [row[3] for row in await deployment.ledger()] == [10, 10]
        assert json.loads(await loyalty(deployment, "dead-letters", "list", "--json")) == []
        assert "already" in await loyalty(deployment, "dead-letters", "replay", letter["id"], status=2)

        await deployment.send([event({**early, "channel": "web"}, "again")])
        await deployment.idle()
        (conflict,) = json.loads(await loyalty(deployment, "dead-letters", "list", "--json"))
        assert "cannot be replayed" in await loyalty(deployment, "dead-letters", "replay", conflict["id"], status=2)
        await loyalty(deployment, "dead-letters", "close", conflict["id"])
        assert json.loads(await loyalty(deployment, "dead-letters", "list", "--json")) == []
    await deployment.check_audit()


async def test_a_new_version_rates_from_its_day_on(deployment: Deployment, tmp_path: Path) -> None:
    double = tmp_path / "double.yaml"
    text = PROGRAM.replace("1 point per whole USD\n    rounding", "2 points per whole USD\n    rounding", 1)
    double.write_text(text.replace("effective: 2017-01-01", "effective: 2017-06-01"))
    async with deployment.worker():
        await deployment.send([event(purchase("o1"))])
        await deployment.idle()
        await loyalty(deployment, "program", "publish", str(double))
        assert "nothing was published" in await loyalty(deployment, "program", "publish", str(double))
        await deployment.send([
            event(purchase("o2", occurred_at="2017-05-31T23:59:59-04:00")),
            event(purchase("o3", occurred_at="2017-06-01T00:00:00-04:00")),
        ])  # fmt: skip
        await deployment.idle()
        late = tmp_path / "late.yaml"
        late.write_text(text.replace("2 points", "3 points").replace("effective: 2017-01-01", "effective: 2017-05-01"))
        assert "already rated" in await loyalty(deployment, "program", "publish", str(late), status=2)
        broken = tmp_path / "broken.yaml"
        broken.write_text(text.replace("rounding", "runding"))
        assert "broken.yaml:21:5" in await loyalty(deployment, "program", "publish", str(broken), status=1)
        assert "broken.yaml:21:5" in await loyalty(deployment, "program", "check", str(broken), status=1)
    rows = await deployment.ledger()
    assert [(row[3], row[13]) for row in rows] == [(10, 1), (10, 1), (10, 1), (10, 1), (20, 2), (10, 2)]
    versions = json.loads(await loyalty(deployment, "program", "list", "--json"))
    assert [version["version"] for version in versions] == [1, 2]
    assert await loyalty(deployment, "program", "show", "1") == PROGRAM
    assert "the ledger is clean" in await loyalty(deployment, "audit", "--replay")


async def test_the_clock_moves_forward_only(deployment: Deployment) -> None:
    await loyalty(deployment, "clock", "set", "2017-05-01T00:00:00-04:00")
    assert "2017-05-01T04:00:00Z (manual clock)" in await loyalty(deployment, "clock", "show")
    assert "forward only" in await loyalty(deployment, "clock", "set", "2017-04-01T00:00:00-04:00", status=2)
    assert "offset" in await loyalty(deployment, "clock", "set", "2017-06-01", status=2)


async def test_points_past_their_expiry_are_not_available(deployment: Deployment) -> None:
    async with deployment.worker():
        await deployment.send([event(purchase("o1"))])
        await deployment.idle()
    await loyalty(deployment, "clock", "set", "2018-03-31T23:59:59-04:00")
    (balance,) = json.loads(await loyalty(deployment, "balances", "--json"))
    assert balance["available"] == 20
    await loyalty(deployment, "clock", "set", "2018-04-01T00:00:00-04:00")
    (balance,) = json.loads(await loyalty(deployment, "balances", "--json"))
    assert (balance["available"], balance["lifetime"]) == (0, 20)


async def test_events_of_a_file_are_published(deployment: Deployment, tmp_path: Path) -> None:
    lines = [
        json.dumps({"specversion": "1.0", "id": f"e{n}", "source": "/shop", "type": "loyalty.purchase.completed.v1",
                    "data": purchase(f"o{n}")})
        for n in range(3)
    ]  # fmt: skip
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(lines))
    async with deployment.workers():
        assert "3 events published" in await loyalty(deployment, "replay", "file", str(path))
        await loyalty(deployment, "status", "--wait-idle", "--timeout", "90")
        assert len(await deployment.ledger()) == 6
        await loyalty(deployment, "replay", "file", str(ROOT / "examples" / "purchases.jsonl"))
        await deployment.idle()
    assert [row[3] for row in await deployment.ledger() if row[0] == "ada"] == [12, 12], "as the README says"
    path.write_text('{"id": 1}')
    assert "events.jsonl:1:" in await loyalty(deployment, "replay", "file", str(path), status=2)


#: For each check of the audit, something that only this kind of damage changes.
DAMAGE = {
    "versions": "update entry set version = version + 1 where version = (select max(version) from entry)",
    "balances": "update entry set available = available + 1 where version = 1",
    "accounts": "update account set lifetime = lifetime + 1",
    "lots": "update lot set remaining = remaining - 1",
    "pending": "update lot set pending = true",
    "lives": f"update lot set life = '{GRACE}1'",
    "due": "update account set next_due = 'infinity'",
    "activity": "update account set earned_at = earned_at - interval '1 second'",
    "owners": "update account set member = 'somebody else'",
    "times": "update account set as_of = as_of - interval '1 second'",
    "orders": """update purchase set result = replace(result, '[10]', '[11]')""",
    "reasons": """update purchase set result = '{"lines":[],"awards":[]}'""",
    "qualifying": "update entry set qualifying = qualifying + 1 where qualifying > 0",
    "progress": "update watermark set next_offset = next_offset + 1",
}


async def test_each_check_of_the_audit_finds_its_damage(deployment: Deployment) -> None:
    async with deployment.worker():
        await deployment.send([event(purchase("o1")), event(purchase("o2"))])
        await deployment.idle()
    checks = (*LEDGER_CHECKS, *LOT_CHECKS)
    assert set(DAMAGE) == {check.name for check in checks}
    more = {
        "owners": "delete from account",
        "times": "update entry set occurred_at = occurred_at - interval '1 second' where version = 4",
        "lots": "update lot set expired = expired + 1",
        "lives": "update lot set fulfils = '00000000-0000-0000-0000-000000000001'",
        "orders": "update entry set rule = rule + 1 where version = 1",
        "progress": "delete from watermark",
    }
    async with deployment.database() as connection:
        for check in checks:
            assert await findings(connection, check) == []
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(DAMAGE[check.name])
            assert await findings(connection, check), check.name
            await transaction.rollback()
        for check in checks:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(more.get(check.name, DAMAGE[check.name]))
            assert await findings(connection, check), check.name
            await transaction.rollback()
        assert await changed_terms(connection) == []
        await connection.execute("update lot set expires_at = expires_at + interval '5 years'")
        assert await changed_terms(connection)


async def test_damage_is_reported_by_member_with_exit_status_1(deployment: Deployment) -> None:
    async with deployment.worker():
        await deployment.send([event(purchase("o1"))])
        await deployment.idle()
    async with deployment.database() as connection:
        await connection.execute("update account set available = available + 412")
    # Scripts depend on the exit status.
    found = await asyncio.to_thread(
        loyalty_process, "audit", environment={**deployment.environment(), "LOYALTY_HOME": "/nonexistent"}, status=1
    )
    assert "m1 points" in found
    assert "m1 points" in await loyalty(deployment, "audit", "--replay", status=1)


def _get(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


async def test_metrics_and_health_of_a_worker(deployment: Deployment) -> None:
    port = free_port()
    deployment.start_process(web_port=port, audit_seconds=1)
    await deployment.send([event(purchase("o1")), event(purchase("o1")), event(purchase("o2", currency="EUR"))])
    await deployment.idle()
    assert not port_is_free(port)
    await asyncio.sleep(1.5)
    assert (await asyncio.to_thread(_get, port, "/healthz"))[0] == 200
    ready, body = await asyncio.to_thread(_get, port, "/readyz")
    assert (ready, json.loads(body)) == (200, {"broker": True, "database": True, "progress": True})
    _status, text = await asyncio.to_thread(_get, port, "/metrics")
    samples: dict[str, Any] = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert samples['loyalty_events_total{outcome="accepted",service="earn"}'] == "1.0"
    assert samples['loyalty_duplicates_total{service="earn"}'] == "1.0"
    assert samples['loyalty_dead_letters_total{reason="other-currency",service="earn"}'] == "1.0"
    assert samples['loyalty_points_issued_total{rule="own-brands",wallet="points"}'] == "10.0"
    assert samples['loyalty_ledger_mismatches{service="earn"}'] == "0.0"
    assert "m1" not in text, "never a label per member"
