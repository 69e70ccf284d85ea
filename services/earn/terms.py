"""When the points of an order become available, and when they expire."""

from __future__ import annotations

import hashlib
from typing import Literal

from services.earn.rating.awards import Award, Rating
from shared.instants import NEVER
from shared.ledger.model import Terms


def terms_of(award: Award, rating: Rating, key: bytes) -> Terms:
    """Return the terms of points that an order earns by a rule in a wallet."""
    lifetime = award.rule.lifetimes[award.wallet]
    available_at, expires_at, life = lifetime.of(rating.day, rating.joined_on)
    if available_at != NEVER or lifetime.pending is None:
        return Terms(available_at, expires_at, idle=lifetime.idle)
    return Terms(available_at, expires_at, waits_for(key, lifetime.pending.until), lifetime.idle, life)


def waits_for(key: bytes, until: Literal["fulfilled", "claimed"]) -> bytes:
    """Return what makes an order's points available that wait: the order itself, shipped, or the claim of it."""
    return key if until == "fulfilled" else hashlib.blake2b(key + b"claimed", digest_size=16).digest()
