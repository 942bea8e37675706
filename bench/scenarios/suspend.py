"""8: suspend, signal, resume, complete.

The time runs from the moment a handler begins to wait until the client hears that its execution has
completed. Between them the worker suspends it, the client hears of that and approves it, and a slot is
found for it again. The client hears everything through one subscription.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.figures import percentile
from bench.gate import MOMENTS_VARIABLE
from bench.peers.flowfabric_ear import Ear, listening
from bench.peers.flowfabric_system import LANE, FlowFabric
from bench.processes import while_alive
from bench.scenario import Case, Measure, Metric, Sample, Size
from bench.server import Server
from bench.system import lined_up, watch
from flowfabric import EventFamily

METRICS = (
    Metric("p50", "ms", digits=2),
    Metric("p95", "ms", digits=2),
    Metric("p99", "ms", digits=2),
    Metric("rate", "executions/s", higher_is_better=True, digits=0),
)
SLOTS = 128
#: The first ones connect, load scripts and fill caches; they are sent but not counted.
WARM_UP = 10


async def round_trips(system: FlowFabric, count: int, in_flight: int, patience: float) -> Sample:
    """So many round trips, so many at a time."""
    async with lined_up(system, {MOMENTS_VARIABLE: "1"}) as line:
        line.gate.open()
        client = system.client
        completed: dict[str, int] = {}

        async def trips(count: int, ear: Ear) -> None:
            remaining = iter(range(count))

            async def lane() -> None:
                for _ in remaining:
                    execution_id = (await client.submit("wait", lane=LANE)).execution_id
                    await ear.hears(execution_id, "suspended")
                    await client.approve(execution_id, "go")
                    completed[execution_id] = await ear.hears(execution_id, "completed")

            async with asyncio.TaskGroup() as lanes:
                for _ in range(in_flight):
                    lanes.create_task(lane())

        async with listening(client, EventFamily.LEASE) as ear:
            await while_alive(line.workers, trips(WARM_UP, ear), patience)
            completed.clear()
            usage = watch(line)
            began = time.perf_counter()
            await while_alive(line.workers, trips(count, ear), patience)
            elapsed = time.perf_counter() - began
            cores = usage.cores()
        await line.gate.until(lambda: line.gate.done >= WARM_UP + count)
        waited = dict(line.gate.notes)
        latencies = [(end - waited[execution_id]) / 1e6 for execution_id, end in completed.items()]
        values = {name: percentile(latencies, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return Sample({**values, "rate": count / elapsed}, cores)


def cases(server: Server, size: Size) -> Sequence[Case]:
    """One at a time, and a hundred at once."""

    def measure(count: int, in_flight: int) -> Measure:
        system = FlowFabric(server, workers=1, slots=SLOTS)
        return lambda: round_trips(system, count, in_flight, size.patience_seconds)

    return [
        Case(
            f"suspend/{in_flight}",
            f"suspend, signal, resume, complete: {count:,} round trips, {in_flight} at a time",
            METRICS,
            {"flowfabric": measure(count, in_flight)},
        )
        for count, in_flight in ((size.suspended, 1), (size.suspended_at_once, 100))
    ]
