"""Advisory locks that more than one module takes, as SQL expressions."""

from __future__ import annotations

#: Held while a version is published; a partition is not claimed meanwhile.
PUBLISHING = "hashtext('loyalty publish ' || current_schema())"
