"""Runs one scanner over the partitions this process owns: cadence, back-off, batch breaker, metrics, log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import Counter, Gauge, Histogram

from ff_core import clock
from ff_core.errors import EngineError
from ff_core.membership import Ownership
from ff_scanners.scanner import Scanner, ScanResult
from ff_scanners.schedule import Schedule

log = structlog.get_logger()

CYCLES = Counter("ff_scanner_cycles_total", "Turns in which a scanner looked at partitions", ["scanner"])
SECONDS = Histogram("ff_scanner_cycle_seconds", "How long a turn took", ["scanner"])
CHANGED = Counter("ff_scanner_changed_total", "Entries a scanner handled", ["scanner"])
ERRORS = Counter("ff_scanner_errors_total", "Scans of a partition that failed", ["scanner"])
OWNED = Gauge("ff_scanner_owned_partitions", "Partitions a scanner of this process looks after", ["scanner"])

#: Scans in flight at a time. The store sends those of one turn as one write, and Valkey answers little
#: else meanwhile.
AT_ONCE = 64
#: After this long the others no longer wait for a partition; its scan goes on beside them.
TURN_S = 1.0
#: A scan that changed something and took longer than this has too large a batch: Valkey did nothing else.
SLOW_S = 0.25
SMALLEST_BATCH = 8


class Runner:
    """The actor of one scanner."""

    def __init__(
        self,
        scanner: Scanner,
        interval_s: float,
        ownership: Ownership,
        *,
        now: Callable[[], float] = clock.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.scanner = scanner
        self._ownership = ownership
        self._schedule = Schedule(interval_s)
        self._now = now
        self._sleep = sleep
        self._in_flight: set[int] = set()
        self._failures: list[tuple[int, Exception]] = []
        self._changed = 0
        self._is_slow = False
        self._cycles = CYCLES.labels(scanner.name)
        self._seconds = SECONDS.labels(scanner.name)
        self._changes = CHANGED.labels(scanner.name)
        self._errors = ERRORS.labels(scanner.name)
        OWNED.labels(scanner.name).set_function(lambda: len(self.partitions))

    @property
    def partitions(self) -> frozenset[int]:
        """What this process scans."""
        owned = self._ownership.owned
        return owned & {0} if self.scanner.is_once_per_fleet else owned

    async def run(self) -> None:
        """Scans until cancelled."""
        self._in_flight.clear()
        async with asyncio.TaskGroup() as scans:
            while True:
                await self._take_turn(scans)
                pause = self._schedule.next_at(self.partitions - self._in_flight) - self._now()
                await self._sleep(max(0.0, pause))

    async def _take_turn(self, scans: asyncio.TaskGroup) -> None:
        started = self._now()
        wanted = self._schedule.take(self.partitions - self._in_flight, started)
        if not wanted:
            return
        for first in range(0, len(wanted), AT_ONCE):
            group = wanted[first : first + AT_ONCE]
            self._in_flight.update(group)
            await asyncio.wait([scans.create_task(self._scan(one)) for one in group], timeout=TURN_S)
        self._cycles.inc()
        self._seconds.observe(self._now() - started)
        self._report()

    async def _scan(self, partition: int) -> None:
        started = self._now()
        try:
            result = await self.scanner.scan(partition)
        except Exception as error:  # a bug met in one partition is no reason to leave the others alone
            self._schedule.failed(partition, self._now())
            self._failures.append((partition, error))
            self._errors.inc()
        else:
            now = self._now()
            self._schedule.scanned(partition, result, now, clock.wall_ms())
            if result.changed:
                self._note(partition, result, is_slow=now - started > SLOW_S)
        finally:
            self._in_flight.discard(partition)

    def _note(self, partition: int, result: ScanResult, *, is_slow: bool) -> None:
        self._changes.inc(result.changed)
        self._changed += result.changed
        self._is_slow = self._is_slow or is_slow
        if self.scanner.is_news:
            log.info(
                "scanner_changed",
                scanner=self.scanner.name,
                partition=partition,
                changed=result.changed,
                detail=result.detail,
            )

    def _report(self) -> None:
        """Says once a turn what happened in its partitions."""
        name = self.scanner.name
        if self._changed and not self.scanner.is_news:
            log.debug("scanner_changed", scanner=name, changed=self._changed)
        if self._failures:
            partition, error = self._failures[0]
            reason = error.code.name if isinstance(error, EngineError) else type(error).__name__
            bug = None if isinstance(error, EngineError) else error
            log.warning(
                "scans_failed",
                scanner=name,
                partitions=len(self._failures),
                first=partition,
                code=reason,
                detail=str(error),
                exc_info=bug,
            )
        if self._is_slow and self.scanner.batch > SMALLEST_BATCH:
            self.scanner.batch = max(SMALLEST_BATCH, self.scanner.batch // 2)
            log.warning("scanner_slow", scanner=name, batch=self.scanner.batch)
        self._failures, self._changed, self._is_slow = [], 0, False
