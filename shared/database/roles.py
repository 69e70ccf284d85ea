"""One database role per service, with the rights that the service needs and no others.

A role is called ``<schema>_<service>``, because roles belong to the whole server and a schema to one deployment. The
operator creates them with their passwords (``deploy/postgres/roles.sql``); this module grants their rights. Where no
such role exists (the embedded stack), the workers run as the owner.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.database.pool import Connection

_READ, _ADD, _WRITE = "select", "select, insert", "select, insert, update"

#: The tables of the runtime, which all services share.
_COMMON = {
    "schema_migration": _READ,
    "program": _READ,
    "clock": _READ,
    "watermark": _WRITE,
    "archive": "insert",
    "outbox": "select, insert, delete",
    "dead_letter": _ADD,
}
#: Whoever touches an account applies what is due, including time-outs of reservations. Entries are never changed.
_LEDGER = {"account": _WRITE, "lot": _WRITE, "entry": _ADD, "redemption": "select, update", "standing": _READ}

#: The rights of each service, by table.
RIGHTS: Mapping[str, Mapping[str, str]] = {
    "earn": {
        **_COMMON,
        **_LEDGER,
        "purchase": _ADD,
        "purchase_return": _ADD,
        "fulfilment": _ADD,
        "amendment": _ADD,
        "order_now": _READ,
        "parked": _WRITE,
        "accepted_key": "select, insert, delete",
        "referral": _WRITE,
        "tally": _WRITE,
        "member": _WRITE,
    },
    # The running audit of accounts that redeem has written compares their older entries with the orders.
    "redeem": {**_COMMON, **_LEDGER, "redemption": _WRITE, "purchase": _READ},
    "tiers": {**_COMMON, "account": _READ, "entry": _READ, "standing": _WRITE, "tier_history": _ADD},
    "notify": {
        **_COMMON,
        "account": _READ,
        "lot": _READ,
        "standing": _READ,
        "profile": _WRITE,
        "notification": _ADD,
    },
}


def role_of(schema: str, service: str) -> str:
    """Return the name of a service's role."""
    return f"{schema}_{service}"


async def grant_roles(connection: Connection, schema: str) -> list[str]:
    """Give every existing role exactly its rights, and return these roles. Repeating it changes nothing.

    Args:
        connection: A connection as the owner of the tables, after ``migrate``.
        schema: The deployment's schema.
    """
    async with connection.transaction():
        # Two concurrent grants would change the same rows of the catalogue.
        await connection.execute("select pg_advisory_xact_lock(hashtext($1))", f"loyalty migrate {schema}")
        names = [role_of(schema, service) for service in RIGHTS]
        rows = await connection.fetch("select rolname::text from pg_roles where rolname = any($1::text[])", names)
        present = {name for (name,) in rows}
        if present:
            await connection.execute(f'alter table "{schema}".outbox enable row level security')
        for service, rights in RIGHTS.items():
            if role_of(schema, service) in present:
                await connection.execute(_grants(schema, service, rights))
    return [name for name in names if name in present]


def _grants(schema: str, service: str, rights: Mapping[str, str]) -> str:
    """Return the SQL that revokes everything from a role and grants its rights.

    Messages of notify contain addresses and wait in the outbox, so each service sees only its own rows there.
    """
    role = role_of(schema, service)
    return "\n".join(
        [
            f'revoke all on all tables in schema "{schema}" from "{role}";',
            f'revoke all on all sequences in schema "{schema}" from "{role}";',
            f'revoke all on schema "{schema}" from "{role}";',
            f'grant usage on schema "{schema}" to "{role}";',
            f'grant usage on sequence "{schema}".archive_seq to "{role}";',
            *(f'grant {verbs} on "{schema}"."{table}" to "{role}";' for table, verbs in rights.items()),
            f'drop policy if exists "{service}" on "{schema}".outbox;',
            f'create policy "{service}" on "{schema}".outbox to "{role}" using (service = \'{service}\');',
        ]
    )
