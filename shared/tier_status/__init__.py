"""A member's tier status: a pure fold over ledger entries, and how it is read."""
