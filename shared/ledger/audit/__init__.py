"""The audit: checks of every invariant of the ledger and of what is built on it."""
