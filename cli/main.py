"""The ``loyalty`` command."""

from __future__ import annotations

import typer

from cli.commands import clock, dead_letters, flow, ledger, member, program, rehearse, replay, stack, system, why

app = typer.Typer(
    name="loyalty",
    help="Customer loyalty points: run the stack, publish a program, replay purchases, read and audit the ledger.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
stack.add_to(app)
ledger.add_to(app)
member.add_to(app)
why.add_to(app)
flow.add_to(app)
rehearse.add_to(app)
app.add_typer(replay.app, name="replay")
app.add_typer(program.app, name="program")
app.add_typer(clock.app, name="clock")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(system.topics, name="topics")
app.add_typer(system.database, name="database")

if __name__ == "__main__":
    app()
