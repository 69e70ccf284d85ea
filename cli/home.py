"""The option by which every command finds its deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path,
    typer.Option("--home", envvar="LOYALTY_HOME", help="Where the embedded stack keeps its state.", resolve_path=True),
]
