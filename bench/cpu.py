"""CPU time of a process, and of a server with all its children, including those that have ended."""

from __future__ import annotations

import psutil

#: After this many attempts, a server that forks all the time is read as it is.
_LOOKS = 20


def seconds(process: psutil.Process) -> float:
    """Return the user and system CPU time of a process."""
    times = process.cpu_times()
    return times.user + times.system


def family_seconds(server: psutil.Process) -> float:
    """Return the CPU time of a server and of all its children.

    Postgres has a process for each connection and starts others for vacuum. When one has ended, its time is added to
    the process that waited for it. A child that ends between the two readings would be counted twice or not at all, so
    a reading counts only if the children before and after it are the same.
    """
    found = 0.0
    for _look in range(_LOOKS):
        children = server.children(recursive=True)
        try:
            found = sum(_with_ended_children(process) for process in [*children, server])
        except psutil.NoSuchProcess:
            if not server.is_running():
                raise
            continue
        if server.children(recursive=True) == children:
            break
    return found


def _with_ended_children(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system
