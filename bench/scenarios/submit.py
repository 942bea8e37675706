"""2: how fast one client process submits.

Single calls with 32 in flight for every system (threads for Dramatiq, whose client is synchronous), and
FlowFabric's bulk call with 1,000 a call, one call at a time. Payloads have 4 KiB, where the SDK makes two
messages of a thousand, and 256 bytes, where it makes one. No workers run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.figures import percentile
from bench.peers.dramatiq_system import Dramatiq
from bench.peers.floor import Floor
from bench.peers.flowfabric_system import BULK, FlowFabric
from bench.peers.taskiq_system import Taskiq
from bench.scenario import PAYLOAD, Case, Measure, Metric, Sample, Size
from bench.server import Server
from bench.system import System, each_in_flight, fresh
from bench.usage import Usage

IN_FLIGHT = 32
SMALL = b"x" * 256
METRICS = (
    Metric("throughput", "tasks/s", higher_is_better=True, digits=0),
    Metric("p50", "ms", digits=2),
    Metric("p99", "ms", digits=2),
)
BULK_METRICS = (
    Metric("throughput", "tasks/s", higher_is_better=True, digits=0),
    Metric("p50", "ms/call"),
    Metric("p99", "ms/call"),
)


def _values(count: int, seconds: float, calls: Sequence[float]) -> dict[str, float]:
    return {
        "throughput": count / seconds,
        "p50": percentile(calls, 0.5) * 1000,
        "p99": percentile(calls, 0.99) * 1000,
    }


async def singly(system: System, count: int, patience: float) -> Sample:
    """One task a call."""
    calls: list[float] = []
    async with fresh(system) as roles, system.submitter() as submit, asyncio.timeout(patience):
        await submit(PAYLOAD)  # connects

        async def timed(payload: bytes) -> None:
            began = time.perf_counter()
            await submit(payload)
            calls.append(time.perf_counter() - began)

        usage = Usage(roles)
        began = time.perf_counter()
        await each_in_flight(timed, [PAYLOAD] * count, IN_FLIGHT)
        return Sample(_values(count, time.perf_counter() - began, calls), usage.cores())


async def in_bulk(system: FlowFabric, payload: bytes, count: int, patience: float) -> Sample:
    """A thousand tasks a call."""
    calls: list[float] = []
    async with fresh(system) as roles, asyncio.timeout(patience):
        await system.submit_bulk(1, payload)  # connects
        usage = Usage(roles)
        began = time.perf_counter()
        for _ in range(count // BULK):
            called = time.perf_counter()
            await system.submit_bulk(BULK, payload)
            calls.append(time.perf_counter() - called)
        seconds = time.perf_counter() - began
        return Sample(_values(count // BULK * BULK, seconds, calls), usage.cores())


def cases(server: Server, size: Size) -> Sequence[Case]:
    """Single calls beside the peers, and bulk alone."""

    def measure(system: System) -> Measure:
        return lambda: singly(system, size.submitted, size.patience_seconds)

    def bulk(payload: bytes) -> Measure:
        return lambda: in_bulk(ours, payload, size.submitted_in_bulk, size.patience_seconds)

    ours = FlowFabric(server)
    return [
        Case(
            "submit/single",
            f"{size.submitted:,} single calls, {IN_FLIGHT} in flight, one client process",
            METRICS,
            {
                "floor (RPUSH)": measure(Floor(server)),
                "flowfabric": measure(ours),
                "dramatiq": measure(Dramatiq(server, processes=4, threads=32)),
                "taskiq": measure(Taskiq(server, processes=4, tasks=32)),
            },
        ),
        *(
            Case(
                f"submit/bulk-{len(payload)}",
                f"{size.submitted_in_bulk:,} executions of {len(payload):,} bytes, {BULK:,} a call",
                BULK_METRICS,
                {"flowfabric": bulk(payload)},
            )
            for payload in (PAYLOAD, SMALL)
        ),
    ]
