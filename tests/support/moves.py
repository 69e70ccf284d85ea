"""What the operations of the ledger do, written down independently of the product."""

from __future__ import annotations

#: By how much an operation moves available, pending, reserved, debt.
MOVES = {
    1: (1, 0, 0, 0), 2: (0, 1, 0, 0), 3: (1, -1, 0, 0), 4: (-1, 0, 1, 0), 5: (1, 0, -1, 0), 6: (0, 0, -1, 0),
    7: (-1, 0, 0, 0), 8: (-1, 0, 0, 0), 9: (0, -1, 0, 0), 10: (-1, 0, 0, -1), 11: (0, 0, 0, 1), 12: (0, 0, 0, 0),
    13: (0, 0, 0, 0), 14: (1, 0, 0, 0), 15: (0, 0, 0, 0), 16: (0, 0, 0, 0),
}  # fmt: skip
#: By how much it changes what is left of a lot.
LOT_MOVES = {1: 1, 2: 1, 4: -1, 5: 1, 7: -1, 8: -1, 9: -1, 10: -1, 14: 1}
