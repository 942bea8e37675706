"""3: from submit to the start of the handler of an idle worker.

One task at a time: the clock runs from just before the submit call until the handler notes the time (both
`time.time_ns` on one machine), and the next is submitted when that one has come back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.figures import percentile
from bench.gate import MOMENTS_VARIABLE
from bench.peers.dramatiq_system import Dramatiq
from bench.peers.floor import Floor
from bench.peers.flowfabric_system import FlowFabric
from bench.peers.taskiq_system import Taskiq
from bench.processes import while_alive
from bench.scenario import PAYLOAD, Case, Measure, Metric, Sample, Size
from bench.server import Server
from bench.system import System, lined_up, watch

METRICS = (
    Metric("p50", "ms", digits=2),
    Metric("p95", "ms", digits=2),
    Metric("p99", "ms", digits=2),
    Metric("max", "ms", digits=2),
)
#: The first ones connect, load scripts and fill caches; they are sent but not counted.
WARM_UP = 10


async def started_after(system: System, count: int, patience: float) -> Sample:
    """Submits one by one to one idle worker."""
    latencies: list[float] = []
    async with lined_up(system, {MOMENTS_VARIABLE: "1"}) as line, system.submitter() as submit:
        line.gate.open()
        usage = watch(line)

        async def one_by_one() -> None:
            for number in range(WARM_UP + count):
                submitted = time.time_ns()
                await submit(PAYLOAD)
                await line.gate.until(lambda: line.gate.done > number)  # noqa: B023 (awaited here)
                latencies.append((line.gate.notes[number] - submitted) / 1e6)

        await while_alive(line.workers, one_by_one(), patience)
        counted = latencies[WARM_UP:]
        values = {name: percentile(counted, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return Sample({**values, "max": max(counted)}, usage.cores())


def cases(server: Server, size: Size) -> Sequence[Case]:
    """All systems with one process."""

    def measure(system: System) -> Measure:
        return lambda: started_after(system, size.latency_samples, size.patience_seconds)

    return [
        Case(
            "latency",
            f"submit to handler start of an idle worker, {size.latency_samples} one after the other",
            METRICS,
            {
                "floor": measure(Floor(server)),
                "flowfabric": measure(FlowFabric(server, workers=1, slots=8)),
                "dramatiq -p 1 -t 8": measure(Dramatiq(server, processes=1, threads=8)),
                "taskiq -w 1": measure(Taskiq(server, processes=1, tasks=8)),
            },
        )
    ]
