"""How often Python looks for garbage that refers to itself."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Let the collector look rarely, and never at what exists now: that lives as long as the process.

    Batches make hundreds of thousands of short-lived objects, and a ledger in memory keeps as many; the default
    thresholds would walk them over and over (a third of the time of a rehearsal of a year).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
