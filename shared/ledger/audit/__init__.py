"""Checks of everything that the ledger promises."""
