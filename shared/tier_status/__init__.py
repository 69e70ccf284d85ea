"""A member's standing on the ladder of tiers: a pure fold over ledger entries, and how it is read."""
