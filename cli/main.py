"""The ``loyalty`` command."""

from __future__ import annotations

import typer

from cli.lazily import Place, group_of

#: Every command, in the order in which they are listed; tests compare what is said here with their own help.
COMMANDS = (
    Place("up", "cli.commands.stack", "", "Start PostgreSQL, a Kafka broker and the workers on this machine."),
    Place("down", "cli.commands.stack", "", "Stop the stack; its data stays unless you say --purge."),
    Place("status", "cli.commands.stack", "", "Show what runs and how far behind it is."),
    Place("balances", "cli.commands.ledger", "", "List every account, sorted by member and wallet."),
    Place(
        "audit",
        "cli.commands.ledger",
        "",
        "Check every invariant over the whole ledger; exit status 1 if anything is wrong.",
    ),
    Place(
        "member",
        "cli.commands.member",
        "",
        "Show all that is known of a member, what is due included; exit status 1 if nobody knows them.",
    ),
    Place(
        "why",
        "cli.commands.why",
        "",
        "Explain what an order earned, by which rules, and what became of it; or a return, a referral, a redemption.",
    ),
    Place(
        "tiers",
        "cli.commands.flow",
        "",
        "Count the members of each tier, as the tiers service has last treated them.",
    ),
    Place(
        "redemptions",
        "cli.commands.flow",
        "",
        "List redemptions, the latest first; or count them by reward, state and reason.",
    ),
    Place(
        "notifications",
        "cli.commands.flow",
        "",
        "List whom the program told what, or why not, the latest first; or count by kind, state and reason.",
    ),
    Place(
        "referrals",
        "cli.commands.flow",
        "",
        "List referrals, the latest registration first; or count them by state and reason.",
    ),
    Place(
        "summary",
        "cli.commands.summary",
        "",
        "Show points by operation, tiers and their movements, redemptions, referrals and notifications.",
    ),
    Place(
        "rehearse",
        "cli.commands.rehearse",
        "",
        "Run a program over events in memory and show all that comes of it; nothing is changed.",
    ),
    Place("replay", "cli.commands.replay", "app", "Publish purchases to Kafka: real ones, or yours."),
    Place("program", "cli.commands.program", "app", "The program file: check, publish, and look at its versions."),
    Place("clock", "cli.commands.clock", "app", "The program's clock: show it, or move the manual one forward."),
    Place(
        "dead-letters",
        "cli.commands.dead_letters",
        "app",
        "Records that were refused: list, look at, send again after a fix, or close.",
    ),
    Place("topics", "cli.commands.system", "topics", "The topics in Kafka."),
    Place("database", "cli.commands.system", "database", "The tables in Postgres."),
)

app = typer.Typer(
    name="loyalty",
    help="Customer loyalty points: run the stack, publish a program, replay purchases, read and audit the ledger.",
    cls=group_of(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _loyalty() -> None:
    """Only so that this is a group of commands: they are found by name."""


if __name__ == "__main__":
    app()
