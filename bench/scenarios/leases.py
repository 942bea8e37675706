"""4: what it costs to keep many leases alive.

Handlers that wait for ever hold their leases; when all run, CPU time is counted over a while in which
nothing happens but renewals. A lease lost in that time would show as a second start of its execution.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.peers.flowfabric_system import FlowFabric, WorkerShape
from bench.processes import while_alive
from bench.scenario import Case, Metric, Sample, Size
from bench.server import Server
from bench.system import lined_up, watch

METRICS = (
    Metric("gateway_cpu", "% of a core"),
    Metric("valkey_cpu", "% of a core"),
    Metric("scheduler_cpu", "% of a core"),
    Metric("scanners_cpu", "% of a core"),
    Metric("workers_cpu", "% of a core"),
    Metric("lost", "leases", digits=0),
)
PROCESSES = 2
WORKERS_EACH = 2
#: Longer than the offer time: every lease has been confirmed and renewed at least once.
CALM_SECONDS = 20.0


async def held(system: FlowFabric, count: int, seconds: float, calm: float, patience: float) -> Sample:
    """Starts the leases, waits until things are calm, then watches."""
    async with lined_up(system, {}) as line:
        await system.fill(count, b"")
        line.gate.open()
        await while_alive(line.workers, line.gate.until(lambda: line.gate.done >= count), patience)
        await asyncio.sleep(calm)
        usage = watch(line)
        await while_alive(line.workers, asyncio.sleep(seconds), seconds + patience)
        cores = usage.cores()
        values = {metric.name: cores[metric.name.removesuffix("_cpu")] * 100 for metric in METRICS[:-1]}
        return Sample({**values, "lost": line.gate.done - count}, cores)


def cases(server: Server, size: Size) -> Sequence[Case]:
    """FlowFabric alone: no peer has leases."""
    slots = -(-size.leases // (PROCESSES * WORKERS_EACH))
    system = FlowFabric(server, shapes=[[WorkerShape(slots)] * WORKERS_EACH] * PROCESSES, kind="hold")
    calm = min(CALM_SECONDS, size.leases_seconds)
    about = (
        f"{size.leases:,} leases held by {PROCESSES * WORKERS_EACH} workers, over {size.leases_seconds:.0f} s"
    )
    return [
        Case(
            "leases",
            about,
            METRICS,
            {
                "flowfabric": lambda: held(
                    system, size.leases, size.leases_seconds, calm, size.patience_seconds
                )
            },
            max_runs=3,
        )
    ]
