"""``loyalty topics create`` and ``loyalty database migrate``: set up a real Kafka and a real Postgres."""

from __future__ import annotations

from urllib.parse import quote

import typer

from cli.home import Home
from cli.output import command, console
from devstack import home as homes
from devstack.home import DEFAULT_HOME, settings_for

topics = typer.Typer(help="The topics in Kafka.", no_args_is_help=True)
database = typer.Typer(help="The tables in Postgres.", no_args_is_help=True)


@topics.callback()
def _topics() -> None:
    """The topics in Kafka."""


@database.callback()
def _database() -> None:
    """The tables in Postgres."""


@topics.command()
@command
def create(home: Home = DEFAULT_HOME) -> None:
    """Make the topics that are missing."""
    from shared.runtime.kafka.brokers import Admin

    settings = settings_for(home)
    admin = Admin(settings.kafka_brokers)
    try:
        created = admin.create_topics(settings)
    finally:
        admin.close()
    console.print(f"made {', '.join(created)}" if created else "all topics were there already")


@database.command()
@command
def url(home: Home = DEFAULT_HOME) -> None:
    """Print the URL of the database, password included: psql "$(loyalty database url)"."""
    settings = settings_for(home)
    options = quote(f"-csearch_path={settings.database_schema}")
    print(f"{settings.database_url.get_secret_value()}?options={options}")


@database.command("migrate")
@command
async def migrate_tables(home: Home = DEFAULT_HOME) -> None:
    """Bring the tables up to date, and the rights of the services' roles, where there are such roles."""
    from shared.database.migrate import migrate
    from shared.database.roles import grant_roles

    settings = settings_for(home)
    async with homes.database(settings) as connection:
        applied = await migrate(connection, settings.database_schema)
        granted = await grant_roles(connection, settings.database_schema)
    console.print(f"applied {', '.join(applied)}" if applied else "the tables were up to date already")
    if granted:
        console.print(f"granted their rights to {', '.join(granted)}")
