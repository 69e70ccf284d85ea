"""Splits that always sum to their whole."""

from __future__ import annotations

from collections.abc import Sequence


def split(whole: int, weights: Sequence[int]) -> list[int]:
    """Split ``whole`` by weight so that the parts sum to it exactly (largest remainder, ties to the earlier part).

    Weights that are all 0 count as equal.
    """
    if len(weights) == 1:
        return [whole]
    total = sum(weights)
    if not total:
        weights, total = [1] * len(weights), len(weights)
    shares = [whole * weight // total for weight in weights]
    missing = whole - sum(shares)
    if missing:
        by_remainder = sorted(range(len(weights)), key=lambda i: -(whole * weights[i] % total))
        for i in by_remainder[:missing]:
            shares[i] += 1
    return shares
