"""The ledger: accounts, lots and entries. Everything is pure but the SQL in ``store`` and ``audit``."""
