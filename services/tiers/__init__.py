"""tiers: what members earn and spend becomes their status, and every change of it is announced."""
