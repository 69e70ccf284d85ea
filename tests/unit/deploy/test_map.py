"""CONTRIBUTING says where a change belongs: everything that it names exists, and every package is named."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TABLE = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where a change belongs")[2].partition("\n## ")[0]
#: Folders whose packages are named one by one.
PARTS = {"shared", "services"}


def named() -> list[Path]:
    """Return every path in the table; a file's name alone belongs to the folder named before it in its line."""
    found = []
    for line in TABLE.splitlines():
        if not line.startswith("|"):
            continue
        folder = ROOT
        for name in re.findall(r"`([^` ]+)`", line):
            path = ROOT / name if "/" in name or (ROOT / name).is_dir() else folder / name
            found.append(path)
            folder = path if path.suffix == "" else path.parent
    return found


def test_every_path_exists() -> None:
    assert len(named()) > 30
    assert not [str(path.relative_to(ROOT)) for path in named() if not path.exists()]


def test_every_package_is_named() -> None:
    tops = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    packages = (tops - PARTS - {"docs", "tests", "build", "loyalty_points.egg-info"}) | {
        f"{top}/{path.name}" for top in PARTS for path in (ROOT / top).iterdir() if (path / "__init__.py").exists()
    }
    covered = {str(path.relative_to(ROOT)) for path in named()}
    missing = {name for name in packages if not any(one == name or one.startswith(f"{name}/") for one in covered)}
    assert not missing
