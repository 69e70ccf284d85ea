"""A group of commands whose modules are imported when they are run: most of a command's start would be imports."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Place(NamedTuple):
    """Where a command, or a group of commands, is.

    Attributes:
        module: Its module.
        attribute: The module's Typer app if it is a group; a module of single commands has ``add_to``.
        help: What the list of commands says of it: the first paragraph of its help, which nobody imported yet.
    """

    name: str
    module: str
    attribute: str
    help: str


class Unloaded(TyperCommand):
    """Stands for a command until it is run."""

    def __init__(self, place: Place) -> None:
        """Stand for the command at a place."""
        super().__init__(name=place.name, help=place.help)
        self._place = place

    def load(self) -> Any:
        """Import the command and return it."""
        module = importlib.import_module(self._place.module)
        if self._place.attribute:
            group = typer.main.get_group(getattr(module, self._place.attribute))
            group.name = self._place.name
            return group
        several = typer.Typer()
        module.add_to(several)
        return typer.main.get_group(several).commands[self._place.name]

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the arguments as the command itself does; its context is run, not this command's."""
        return self.load().make_context(*args, **kwargs)


def group_of(places: Iterable[Place]) -> type[TyperGroup]:
    """Return the class of a group that has the commands at some places, in their order."""
    unloaded = {place.name: Unloaded(place) for place in places}

    class LazyGroup(TyperGroup):
        """Knows its commands by name."""

        def __init__(self, **attributes: Any) -> None:
            super().__init__(**{**attributes, "commands": dict(unloaded)})

    return LazyGroup
