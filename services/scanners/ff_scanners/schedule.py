"""When a scanner looks at which partition. Pure: times are passed in, so it is tested without a clock.

All partitions are swept once an interval. In between only those are visited that have a reason: a full
batch left more behind, or a scan saw when the next entry comes due. What comes due is told in Valkey's
time and compared with this machine's, which is an estimate and no more: when ours is behind, the sweep
still finds the entry; when it is ahead, early visits find nothing and become rarer until the sweep.
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet

from ff_scanners.scanner import ScanResult

#: Visits between sweeps happen on this grid, so that entries that come due one after the other share one.
VISIT_GRID_S = 0.02
#: First pause after a failure, doubled by each further one up to the longest.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class Schedule:
    """The plan of one scanner over its partitions; seconds of one monotonic clock."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._sweep_at = -math.inf
        self._visit_at: dict[int, float] = {}
        """Partitions with a reason to be visited before the sweep."""
        self._in_vain: dict[int, int] = {}
        """Early visits in a row that found nothing though something seemed due."""
        self._failures: dict[int, int] = {}
        self._blocked_until: dict[int, float] = {}

    def take(self, owned: AbstractSet[int], now: float) -> list[int]:
        """The partitions to scan now."""
        is_sweep = now >= self._sweep_at
        if is_sweep:
            self._sweep_at = now + self._interval_s
        wanted = [
            partition
            for partition in sorted(owned)
            if (is_sweep or self._visit_at.get(partition, math.inf) <= now)
            and self._blocked_until.get(partition, now) <= now
        ]
        for partition in wanted:
            self._visit_at.pop(partition, None)
        return wanted

    def scanned(self, partition: int, result: ScanResult, now: float, now_ms: int) -> None:
        """Takes what a scan found; `now_ms` estimates Valkey's time."""
        self._failures.pop(partition, None)
        self._blocked_until.pop(partition, None)
        if result.more:
            self._visit_at[partition] = now
        elif result.next_due_ms:
            pause = max(0.0, (result.next_due_ms + 1 - now_ms) / 1000)
            if result.next_due_ms <= now_ms and not result.changed:
                in_vain = self._in_vain[partition] = self._in_vain.get(partition, 0) + 1
                pause = VISIT_GRID_S * 2 ** min(in_vain, 16)
            else:
                self._in_vain.pop(partition, None)
            self._visit_at[partition] = (math.floor((now + pause) / VISIT_GRID_S) + 1) * VISIT_GRID_S

    def failed(self, partition: int, now: float) -> None:
        """Leaves a partition alone for a while, longer each time."""
        failures = self._failures[partition] = self._failures.get(partition, 0) + 1
        pause = min(FIRST_PAUSE_S * 2 ** min(failures - 1, 16), LONGEST_PAUSE_S)
        self._blocked_until[partition] = self._visit_at[partition] = now + pause

    def next_at(self, owned: AbstractSet[int]) -> float:
        """When to take again."""
        visits = (at for partition, at in self._visit_at.items() if partition in owned)
        return min(self._sweep_at, min(visits, default=math.inf))
