"""The ledger: accounts, lots and entries. Pure model and operations; SQL in ``store``, ``audit`` and ``read``."""
