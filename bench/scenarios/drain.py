"""1: how fast queued work is claimed and completed.

The queue is filled first and the workers stand at the gate; the time runs from the opening of the gate
until nothing is queued, running or unacknowledged, so it includes the workers' connecting, for every
system. Handlers do nothing; payloads have 4 KiB.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.peers.dramatiq_system import Dramatiq
from bench.peers.floor import Floor
from bench.peers.flowfabric_system import FlowFabric
from bench.peers.taskiq_system import Taskiq
from bench.processes import while_alive
from bench.scenario import PAYLOAD, Case, Measure, Metric, Sample, Size
from bench.server import Server
from bench.system import System, lined_up, watch

METRICS = (
    Metric("throughput", "tasks/s", higher_is_better=True, digits=0),
    Metric("drain", "s", digits=2),
    Metric("valkey", "µs/task", digits=0),
)
SETTLE_SECONDS = 0.002


async def drained(system: System, count: int, patience: float) -> Sample:
    """Fills, opens the gate, waits for the end."""
    async with lined_up(system, {}) as line:
        await system.fill(count, PAYLOAD)
        await system.server.admin.config_resetstat()
        usage = watch(line)
        began = time.perf_counter()
        line.gate.open()

        async def end() -> None:
            await line.gate.until(lambda: line.gate.done >= count)
            while not await system.is_settled():
                await asyncio.sleep(SETTLE_SECONDS)

        await while_alive(line.workers, end(), patience)
        seconds = time.perf_counter() - began
        values = {
            "throughput": count / seconds,
            "drain": seconds,
            "valkey": await system.server.command_usec() / count,
        }
        return Sample(values, usage.cores())


def cases(server: Server, size: Size) -> Sequence[Case]:
    """The three shapes of the issue, the third beside the peers."""

    def measure(system: System) -> Measure:
        return lambda: drained(system, size.drained, size.patience_seconds)

    floor = measure(Floor(server))
    return [
        Case(
            "drain/a",
            f"claim and complete of {size.drained:,}: one process, 16 workers with one slot",
            METRICS,
            {"floor": floor, "flowfabric": measure(FlowFabric(server, workers=16, slots=1))},
        ),
        Case(
            "drain/b",
            f"claim and complete of {size.drained:,}: one process, one worker with 64 slots",
            METRICS,
            {"floor": floor, "flowfabric": measure(FlowFabric(server, workers=1, slots=64))},
        ),
        Case(
            "drain/c",
            f"claim and complete of {size.drained:,}: four processes with 32 slots",
            METRICS,
            {
                "floor": floor,
                "flowfabric": measure(FlowFabric(server, processes=4, workers=1, slots=32)),
                "dramatiq -p 4 -t 32": measure(Dramatiq(server, processes=4, threads=32)),
                "dramatiq -p 4 -t 8": measure(Dramatiq(server, processes=4, threads=8)),
                "taskiq -w 4, 32 tasks": measure(Taskiq(server, processes=4, tasks=32)),
            },
        ),
    ]
