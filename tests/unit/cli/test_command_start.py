"""A command imports what it needs when it runs, not to print its help."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import typer
from typer.core import TyperCommand, TyperGroup

import cli.commands
from cli.lazily import Unloaded
from cli.main import COMMANDS, app

#: Each of them takes as long to import as Python takes to start, or longer.
HEAVY = {
    "aiokafka", "asyncpg", "faust", "jinja2", "kafka", "matplotlib", "numpy", "pandas", "psutil", "pyarrow", "pydantic",
    "pydantic_settings", "ruamel", "services", "supervisor", "xmlrpc", "zstandard",
}  # fmt: skip


def imported_by(code: str) -> set[str]:
    """Names of the packages that a process of its own has imported after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_help_of_loyalty_imports_no_command() -> None:
    modules = imported_by("from cli.main import app\ntry: app(['--help'])\nexcept SystemExit: pass")
    assert not HEAVY & modules
    assert not [name for name in modules if name.startswith("cli.commands.")]


def test_no_command_imports_what_it_works_with_before_it_works() -> None:
    modules = imported_by(
        "from cli.lazily import Unloaded\nfrom cli.main import COMMANDS\nfor place in COMMANDS: Unloaded(place).load()"
    )
    assert {f"cli.commands.{name}" for name in ("clock", "ledger", "replay", "stack", "why")} < modules
    assert not (HEAVY - {"xmlrpc"}) & modules


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    for place in COMMANDS:
        command = Unloaded(place).load()
        assert isinstance(command, TyperCommand | TyperGroup)
        assert command.name == place.name
        assert (command.help or "").split("\n\n")[0].replace("\n", " ") == place.help


def test_no_command_is_left_out() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    listed = {(place.module, place.attribute or place.name) for place in COMMANDS}
    for info in pkgutil.iter_modules(cli.commands.__path__, "cli.commands."):
        module = importlib.import_module(info.name)
        found = {name for name, value in vars(module).items() if isinstance(value, typer.Typer)}
        if hasattr(module, "add_to"):
            several = typer.Typer()
            module.add_to(several)
            found |= set(typer.main.get_group(several).commands)
        assert found, f"{info.name} has no command"
        assert {(info.name, name) for name in found} <= listed
    assert list(group.commands) == [place.name for place in COMMANDS]
