"""A pool's slots: how many handlers run, and how many grants may wait in front of them.

A worker whose handlers are short would spend its time waiting for the next grant, so some are fetched
ahead. Never many: work that waits in a worker cannot go to another that is free. A grant is fetched ahead
only if it should wait no longer than AHEAD_S at the pace of the last handlers, and given back after
PATIENCE_S.
"""

from __future__ import annotations

from dataclasses import dataclass

# How long a grant may be expected to wait for a slot.
AHEAD_S = 0.030

# How long it may really wait before it is given back.
PATIENCE_S = 0.100

# The pace while nothing is known of the handlers: too slow for anything to be fetched ahead.
UNKNOWN_PACE_S = 1.0

# Pace of handlers that is worth waiting for the next.
COMPANY_S = 0.002

# Handlers that the pace is an average of; the last counts for one of them. The first pace is that of as many
# as there are slots, or the shortest that ran side by side would speak for all.
REMEMBERED = 8

# How many may wait for each slot: enough that the next are here while the outcomes of the last are on their
# way, and that a message carries many. A small pool may fetch more a slot.
AHEAD_A_SLOT = 6
SMALL_POOL = 16


@dataclass(slots=True)
class Slots:
    """The slots of one pool."""

    total: int
    prefetch: bool = True
    """Whether grants may wait at all."""
    busy: int = 0
    """Handlers that run."""
    granted: int = 0
    """Grants that run or wait."""
    pace: float = UNKNOWN_PACE_S
    """Seconds from one slot that comes free to the next when all are busy, a moving average."""
    crowded_until: float = 0.0
    """A grant had to wait for a slot a moment before that, by the loop's clock."""
    _measured: int = 0
    """Of the first handlers, which are no pace yet; and the sum of what they took."""
    _taken: float = 0.0

    @property
    def ahead(self) -> int:
        """How many grants may wait."""
        if not self.prefetch:
            return 0
        return min(int(AHEAD_S / self.pace), max(self.total * AHEAD_A_SLOT, SMALL_POOL))

    @property
    def room(self) -> int:
        """How many more grants are wanted."""
        return max(0, self.total + self.ahead - self.granted)

    @property
    def is_full(self) -> bool:
        """Whether another grant would have to wait."""
        return self.busy >= self.total

    def measure(self, seconds: float) -> None:
        """A handler had its slot so long."""
        a_slot, first = max(seconds / self.total, 1e-6), max(self.total, REMEMBERED)
        if self._measured == first:
            self.pace += (a_slot - self.pace) / REMEMBERED
            return
        self._measured += 1
        self._taken += a_slot
        if self._measured == first:
            self.pace = self._taken / first

    def crowd(self, now: float) -> None:
        """A grant has to wait."""
        self.crowded_until = now + AHEAD_S

    def gathers(self, now: float) -> bool:
        """Whether handlers end one right after the other, so that an outcome soon has company."""
        return self.granted > 0 and self.pace <= COMPANY_S and now < self.crowded_until

    def slow_down(self) -> None:
        """Handlers take longer than was thought: nothing is fetched ahead until they are seen to be short."""
        self.pace = max(self.pace, UNKNOWN_PACE_S)
