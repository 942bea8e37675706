"""The actor of a scanner, with a scanner that is told what to find and a clock that is told to go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
import structlog
from prometheus_client import REGISTRY

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_core.membership import Ownership
from ff_scanners import runner as runner_module
from ff_scanners.runner import Runner
from ff_scanners.scanner import Scanner, ScanResult

INTERVAL_S = 1.0


class Pace:
    """Time that passes only while the runner sleeps, and only when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self._asleep: asyncio.Queue[float] = asyncio.Queue()
        self._woken: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self._asleep.put_nowait(seconds)
        await self._woken.get()
        self.now += seconds

    async def turn_over(self) -> float:
        """How long the runner wants to sleep, now that its turn is over."""
        return await self._asleep.get()

    def wake(self) -> None:
        self._woken.put_nowait(None)


class Probe(Scanner):
    """Counts its scans; `find` says what each finds."""

    name = "probe"
    default_interval_ms = 1000
    default_batch = 100

    def __init__(self, find: Callable[[int], ScanResult] = lambda _partition: ScanResult()) -> None:
        super().__init__(cast("EngineBackend", None), lease_ttl_ms=1)
        self.scans: Counter[int] = Counter()
        self.find = find
        self.held: dict[int, asyncio.Event] = {}
        self.is_scanning = asyncio.Event()

    async def scan(self, partition: int) -> ScanResult:
        self.scans[partition] += 1
        self.is_scanning.set()
        if partition in self.held:
            await self.held[partition].wait()
        return self.find(partition)


class Lonely(Probe):
    is_once_per_fleet = True


class Newsworthy(Probe):
    is_news = True


@pytest.fixture
def pace() -> Pace:
    return Pace()


@contextlib.asynccontextmanager
async def running(scanner: Scanner, pace: Pace, owned: frozenset[int]) -> AsyncIterator[Runner]:
    ownership = Ownership("me", 64, owned)
    runner = Runner(scanner, INTERVAL_S, ownership, now=lambda: pace.now, sleep=pace.sleep)
    async with asyncio.TaskGroup() as group:
        actor = group.create_task(runner.run())
        yield runner
        actor.cancel()


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name, {"scanner": "probe"}) or 0.0


def refuse(_partition: int) -> ScanResult:
    raise EngineError(ErrorCode.STORE_UNAVAILABLE, "gone")


async def test_every_owned_partition_is_scanned_once_a_turn(pace: Pace) -> None:
    probe = Probe()
    async with running(probe, pace, frozenset(range(200))):
        assert await pace.turn_over() == INTERVAL_S
        assert probe.scans == dict.fromkeys(range(200), 1)

        pace.wake()
        await pace.turn_over()
        assert probe.scans == dict.fromkeys(range(200), 2)


async def test_the_partitions_of_a_turn_are_scanned_side_by_side(pace: Pace) -> None:
    probe = Probe()
    everyone_is_there = asyncio.Barrier(10)

    class Meeting(Probe):
        async def scan(self, partition: int) -> ScanResult:
            await everyone_is_there.wait()
            return await super().scan(partition)

    probe = Meeting()
    async with running(probe, pace, frozenset(range(10))):
        await pace.turn_over()

    assert probe.scans.total() == 10


async def test_a_full_batch_is_followed_by_the_next_at_once(pace: Pace) -> None:
    left = [250]

    def find(partition: int) -> ScanResult:
        if partition != 3:
            return ScanResult()
        changed = min(100, left[0])
        left[0] -= changed
        return ScanResult(changed, more=changed == 100)

    probe = Probe(find)
    before = metric("ff_scanner_changed_total")
    async with running(probe, pace, frozenset({3, 4})):
        for expected in (0.0, 0.0, INTERVAL_S):
            assert await pace.turn_over() == expected
            pace.wake()
        await pace.turn_over()

    assert metric("ff_scanner_changed_total") == before + 250
    assert probe.scans == {3: 4, 4: 2}


async def test_a_partition_that_fails_does_not_stop_the_others(pace: Pace) -> None:
    probe = Probe(lambda partition: refuse(partition) if partition == 1 else ScanResult())
    before = metric("ff_scanner_errors_total")
    with structlog.testing.capture_logs() as logs:
        async with running(probe, pace, frozenset({1, 2})):
            for _ in range(12):
                await pace.turn_over()
                pace.wake()
            await pace.turn_over()

    assert probe.scans[2] > probe.scans[1] > 1
    assert metric("ff_scanner_errors_total") == before + probe.scans[1]
    assert {(line["event"], line["code"], line["partitions"]) for line in logs} == {
        ("scans_failed", "STORE_UNAVAILABLE", 1)
    }


async def test_a_bug_met_in_one_partition_does_not_stop_the_others_and_is_logged_whole(pace: Pace) -> None:
    def find(partition: int) -> ScanResult:
        return ScanResult(1 // partition)

    probe = Probe(find)
    with structlog.testing.capture_logs() as logs:
        async with running(probe, pace, frozenset({0, 2})):
            await pace.turn_over()

    [line] = [line for line in logs if line["event"] == "scans_failed"]
    assert probe.scans == {0: 1, 2: 1}
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_a_partition_that_hangs_is_not_waited_for_and_not_scanned_twice(
    pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "TURN_S", 0.001)
    probe = Probe()
    probe.held[1] = asyncio.Event()
    async with running(probe, pace, frozenset({1, 2})):
        await pace.turn_over()
        pace.wake()
        await pace.turn_over()
        assert probe.scans == {1: 1, 2: 2}

        probe.held.pop(1).set()
        pace.wake()
        await pace.turn_over()
        pace.wake()
        await pace.turn_over()
        assert probe.scans[1] >= 2


async def test_slow_scans_make_the_batch_smaller_once_a_turn_down_to_a_floor(pace: Pace) -> None:
    def find(_partition: int) -> ScanResult:
        pace.now += 0.3
        return ScanResult(1)

    probe = Probe(find)
    batches = []
    async with running(probe, pace, frozenset({1, 2})):
        for _ in range(6):
            await pace.turn_over()
            batches.append(probe.batch)
            pace.wake()

    assert batches == [50, 25, 12, 8, 8, 8]


async def test_slowness_that_is_not_due_to_the_batch_leaves_it(pace: Pace) -> None:
    def find(_partition: int) -> ScanResult:
        pace.now += 5.0
        return ScanResult(0)

    probe = Probe(find)
    async with running(probe, pace, frozenset({1})):
        await pace.turn_over()

    assert probe.batch == 100


@pytest.mark.parametrize(("owned", "scanned"), [({0, 1}, {0: 1}), ({1, 2}, {})])
async def test_only_the_owner_of_partition_0_runs_what_is_once_per_fleet(
    pace: Pace, owned: set[int], scanned: dict[int, int]
) -> None:
    probe = Lonely()
    async with running(probe, pace, frozenset(owned)) as runner:
        await pace.turn_over()
        assert runner.partitions == owned & {0}
        assert metric("ff_scanner_owned_partitions") == len(owned & {0})

    assert probe.scans == scanned


async def test_what_is_news_is_logged_by_partition(pace: Pace) -> None:
    probe = Newsworthy(lambda partition: ScanResult(partition, detail="delayed"))
    with structlog.testing.capture_logs() as logs:
        async with running(probe, pace, frozenset({0, 7})):
            await pace.turn_over()

    assert logs == [
        {
            "event": "scanner_changed",
            "log_level": "info",
            "scanner": "probe",
            "partition": 7,
            "changed": 7,
            "detail": "delayed",
        }
    ]


async def test_an_actor_that_was_stopped_amid_a_scan_scans_that_partition_when_it_runs_again(
    pace: Pace,
) -> None:
    probe = Probe()
    probe.held[1] = asyncio.Event()
    async with running(probe, pace, frozenset({1})) as runner:
        await probe.is_scanning.wait()

    probe.held.clear()
    async with asyncio.TaskGroup() as group:
        actor = group.create_task(runner.run())
        pace.now += INTERVAL_S
        await pace.turn_over()
        actor.cancel()

    assert probe.scans == {1: 2}
