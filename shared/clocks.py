"""Which clock says what is due; apart from the settings, for commands name it before they load anything else."""

from __future__ import annotations

from enum import StrEnum


class Clock(StrEnum):
    """Which clock says what is due."""

    WALL = "wall"
    MANUAL = "manual"
