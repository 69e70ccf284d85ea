"""Which worker of ``pytest -n`` runs a test: any that is free, except for files that share slow fixtures."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

#: Their module fixtures fill a deployment, or start a stack; a second worker would do it again.
_TOGETHER = ("tests/year/test_year.py", "tests/integration/test_readers.py")


class Scheduling(LoadScopeScheduling):
    """One test at a time, in the order in which they were collected; shared files first, for they take longest."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in _TOGETHER else nodeid
