"""9: three durable steps in sequence, beside other engines of durable execution.

The steps do nothing, so what is measured is what makes them durable. The time runs from the call that starts
the workflow until its result is back. Each system keeps its own data, in the way that is its default.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from bench.figures import percentile
from bench.peers.dbos_system import Dbos
from bench.peers.flowfabric_steps import FlowFabricSteps
from bench.peers.restate_system import Restate
from bench.peers.temporal_system import Temporal
from bench.scenario import Case, Measure, Metric, Sample, Size
from bench.server import Server
from bench.stepping import Stepping
from bench.usage import Usage

LATENCY = (
    Metric("p50", "ms", digits=2),
    Metric("p95", "ms", digits=2),
    Metric("p99", "ms", digits=2),
)
RATE = (
    Metric("rate", "workflows/s", higher_is_better=True, digits=0),
    Metric("p50", "ms", digits=1),
    Metric("p99", "ms", digits=1),
)
IN_FLIGHT = 32
#: The first ones connect, load code and fill caches; they are run but not counted.
WARM_UP = 20


async def stepped(system: Stepping, count: int, in_flight: int, patience: float) -> Sample:
    """Runs so many workflows with so many in flight."""
    async with system.running() as stepper:
        async with asyncio.timeout(patience):
            await stepper.clock(WARM_UP, in_flight)
            usage = Usage(stepper.roles)
            began = time.perf_counter()
            latencies = [1e3 * seconds for seconds in await stepper.clock(count, in_flight)]
            elapsed = time.perf_counter() - began
        values = {name: percentile(latencies, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return Sample({**values, "rate": count / elapsed}, usage.cores())


def cases(server: Server, size: Size) -> Sequence[Case]:
    """One after the other, and many at once."""
    systems: Mapping[str, Stepping] = {
        "flowfabric": FlowFabricSteps(server),
        "flowfabric, a watch each": FlowFabricSteps(server, watches=True),
        "dbos (SQLite)": Dbos(),
        "restate": Restate(),
        "temporal": Temporal(),
    }
    absent = {name: why for name, system in systems.items() if (why := system.missing())}

    def measures(count: int, in_flight: int) -> Mapping[str, Measure]:
        def measure(system: Stepping) -> Measure:
            return lambda: stepped(system, count, in_flight, size.patience_seconds)

        return {name: measure(system) for name, system in systems.items() if name not in absent}

    return [
        Case(
            "steps/latency",
            f"three durable steps, call to result, {size.stepped} one after the other",
            LATENCY,
            measures(size.stepped, 1),
            absent=absent,
        ),
        Case(
            "steps/rate",
            f"three durable steps, {size.stepped_at_once:,} with {IN_FLIGHT} in flight",
            RATE,
            measures(size.stepped_at_once, IN_FLIGHT),
            absent=absent,
        ),
    ]
