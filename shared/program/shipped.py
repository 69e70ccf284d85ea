"""Finds the program files that come with the product, in a checkout and in an installation alike."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

_SUFFIX = ".yaml"


def shipped_program(name: str) -> Path | None:
    """Return the program file of a name such as ``fresh-market``; None if none comes with the product."""
    folder = Path(str(importlib.resources.files("programs")))
    known = {file.name.removesuffix(_SUFFIX): file for file in folder.glob(f"*{_SUFFIX}")}
    return known.get(name)


def program_file(path: Path) -> Path:
    """Return the file that is meant: the one at the path; else, by its name, one that comes with the product.

    So that ``fresh-market`` and ``programs/fresh-market.yaml`` mean something where there is no checkout, too.
    """
    if path.exists():
        return path
    return shipped_program(path.name.removesuffix(_SUFFIX)) or path
