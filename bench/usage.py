"""What processes cost: CPU time and memory, read from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on: the name before them may hold spaces."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far; 0 when it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND if fields else 0.0


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    fields = _stat(pid)
    return int(fields[21]) * PAGE_BYTES if fields else 0


def family(root: int) -> list[int]:
    """A process and everything it started."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(parents.get(pid, ()))
    return found


class Usage:
    """A stop-watch over the CPU time of processes grouped by role.

    Make it when all processes are up: children started later are not counted.
    """

    def __init__(self, roles: Mapping[str, Iterable[int]]) -> None:
        self._pids = {role: [pid for root in roots for pid in family(root)] for role, roots in roles.items()}
        self._pids["driver"] = [os.getpid()]
        self._before = self._cpu()
        self._started = time.perf_counter()

    def _cpu(self) -> dict[str, float]:
        return {role: sum(map(cpu_seconds, pids)) for role, pids in self._pids.items()}

    def cores(self) -> dict[str, float]:
        """CPU seconds per second since the start, by role."""
        elapsed = time.perf_counter() - self._started
        return {role: (cpu - self._before[role]) / elapsed for role, cpu in self._cpu().items()}

    def resident_mib(self) -> dict[str, float]:
        """Resident memory now, by role, in MiB."""
        return {role: sum(map(resident_bytes, pids)) / 2**20 for role, pids in self._pids.items()}
