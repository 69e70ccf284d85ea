"""Advisory locks that several modules take, as SQL expressions."""

from __future__ import annotations

#: Held while a version is published; no partition lease can be acquired meanwhile.
PUBLISHING = "hashtext('loyalty publish ' || current_schema())"
