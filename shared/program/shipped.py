"""Finds the program files that come with the product, in a checkout and in an installation alike."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

_SUFFIX = ".yaml"


def shipped_program(name: str) -> Path | None:
    """Return the program file with a name such as ``fresh-market``; None if the product ships no such file."""
    folder = Path(str(importlib.resources.files("programs")))
    known = {file.name.removesuffix(_SUFFIX): file for file in folder.glob(f"*{_SUFFIX}")}
    return known.get(name)


def program_file(path: Path) -> Path:
    """Return the file at a path if there is one, else the shipped file with that name.

    So ``fresh-market`` and ``programs/fresh-market.yaml`` also work in an installation without a checkout.
    """
    if path.exists():
        return path
    return shipped_program(path.name.removesuffix(_SUFFIX)) or path
