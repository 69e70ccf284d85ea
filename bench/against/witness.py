"""Finds out which code a process of a tree under test ran.

An editable installation puts this tree on the path of its virtual environment, so with a wrong path this tree would be
compared with itself, and nobody would notice.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from bench.running import RunFailed

#: Runs a module as ``python -m`` does, and at its end writes from which file each module of the product came.
#: Arguments: the report, the names of the product's packages, the module, its own arguments.
PROGRAM = """
import atexit, json, pathlib, runpy, sys
report, packages, module = sys.argv[1:4]
sys.argv = sys.argv[3:]
def tell():
    names = [name for name in list(sys.modules) if name.partition(".")[0] in packages.split(",")]
    files = {name: getattr(sys.modules[name], "__file__", None) for name in names}
    pathlib.Path(report).write_text(json.dumps(files))
atexit.register(tell)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def packages_of(*roots: Path) -> frozenset[str]:
    """Return the names of the packages in the roots of trees."""
    return frozenset(found.parent.name for root in roots for found in root.glob("*/__init__.py"))


def check(report: Path, root: Path, needed: Collection[str] = ()) -> None:
    """Check that all code of the product came from one tree.

    Args:
        report: The file that the process wrote at its end.
        root: The root of the tree.
        needed: Modules that must have been loaded.

    Raises:
        RunFailed: A module came from elsewhere, or its origin is unknown.
    """
    if not report.exists():
        raise RunFailed(f"a process ended without saying which code it ran ({report.name})")
    files: dict[str, str | None] = json.loads(report.read_text())
    if missing := sorted(set(needed) - set(files)) or ([] if files else ["anything"]):
        raise RunFailed(f"a process was to run {', '.join(missing)} of {root} and did not")
    home = root.resolve()
    foreign = {name: file for name, file in files.items() if not file or home not in Path(file).resolve().parents}
    for name, file in foreign.items():
        raise RunFailed(f"{name} was to come from {root} and came from {file}: these figures would be of other code")
