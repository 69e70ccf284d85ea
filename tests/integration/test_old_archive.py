"""A ledger from before the present meaning of events is refused, and stays as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.deployment import Deployment, Servers
from tests.support.old_archive import loyalty, restored


@pytest.fixture
async def old(servers: Servers) -> AsyncIterator[Deployment]:
    made = await restored(servers, "oldledger")
    yield made
    await made.close()


async def test_a_ledger_in_which_events_meant_something_else_is_refused(old: Deployment) -> None:
    migrations = "select name, checksum from schema_migration order by name"
    before = await old.rows(migrations)
    refused = await old.loyalty("database", "migrate", status=2)
    assert "not carried over" in refused.stderr
    assert "LOYALTY_DATABASE_SCHEMA" in refused.stderr
    assert await old.rows(migrations) == before


async def test_an_old_schema_without_events_is_carried_over(old: Deployment) -> None:
    """Programs alone mean what they meant: nothing was decided by them."""
    await old.rows("delete from archive where kind <> 'program'")
    assert await loyalty(old, "database", "migrate")
    assert "up to date already" in await loyalty(old, "database", "migrate")
