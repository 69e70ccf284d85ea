"""Kinds of calculation. To add one, write a module with one class and add the class to ``KINDS`` and ``Calculate``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.program.calculations.base import CalculationKind
from shared.program.calculations.every_nth_unit import EveryNthUnit
from shared.program.calculations.table import Table

#: By the ``kind`` that the file names.
KINDS: dict[str, type[CalculationKind]] = {"table": Table, "every-nth-unit": EveryNthUnit}
Calculate = Annotated[Table | EveryNthUnit, Field(discriminator="kind")]
