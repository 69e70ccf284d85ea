"""CPU time of processes: of one, and of a server with all its children, those that have ended included."""

from __future__ import annotations

import psutil

#: A server that forks without a pause is read as it is after so many looks.
_LOOKS = 20


def seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process, in its own code and in the kernel."""
    times = process.cpu_times()
    return times.user + times.system


def family_seconds(server: psutil.Process) -> float:
    """Return the CPU time of a server and of all its children.

    Postgres has a process for each connection and starts others for vacuum; once one has ended, its time stands with
    the process that waited for it. A child that ends between the two readings would be counted twice or not at all,
    so a reading counts only if the children before and after it are the same.
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
