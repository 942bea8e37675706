"""6: whether a claim costs more when more is queued.

One worker with 64 slots starts on a queue of that depth; the time runs from the opening of the gate (so it
includes connecting) until its handlers have run so many executions, by the clock of the worker. It goes on
claiming meanwhile, so the queue never runs dry before. Payloads have 64 bytes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.gate import MOMENTS_VARIABLE
from bench.peers.flowfabric_system import FlowFabric
from bench.processes import while_alive
from bench.scenario import Case, Measure, Metric, Sample, Size
from bench.server import Server
from bench.system import lined_up, watch

METRICS = (
    Metric("claimed", "tasks/s", higher_is_better=True, digits=0),
    Metric("drain", "ms", digits=0),
    Metric("valkey", "µs/task", digits=0),
    Metric("fill", "tasks/s", higher_is_better=True, digits=0),
    Metric("memory", "bytes/task", digits=0),
)
SMALL = b"x" * 64
#: A fill of a million takes minutes.
DEEP = 1_000_000


async def claimed_at(system: FlowFabric, depth: int, count: int, patience: float) -> Sample:
    """Fills to the depth and takes the first ones."""
    async with lined_up(system, {MOMENTS_VARIABLE: "1"}) as line:
        empty = await system.server.used_memory()
        began = time.perf_counter()
        await system.fill(depth, SMALL)
        filled = time.perf_counter() - began
        memory = (await system.server.used_memory() - empty) / depth
        await system.server.admin.config_resetstat()
        usage = watch(line)
        opened = time.time_ns()
        line.gate.open()
        await while_alive(line.workers, line.gate.until(lambda: line.gate.done >= count), patience)
        cores = usage.cores()
        done, spent = line.gate.done, await system.server.command_usec()
        seconds = (sorted(line.gate.notes)[count - 1] - opened) / 1e9
        values = {
            "claimed": count / seconds,
            "drain": seconds * 1000,
            "valkey": spent / done,
            "fill": depth / filled,
            "memory": memory,
        }
        return Sample(values, cores)


def cases(server: Server, size: Size) -> Sequence[Case]:
    """One case a depth: rows of the same figure."""

    def measure(depth: int) -> Measure:
        system = FlowFabric(server, workers=1, slots=64)
        return lambda: claimed_at(system, depth, size.drained_at_depth, size.patience_seconds)

    return [
        Case(
            f"depth/{depth}",
            f"claim and complete of {size.drained_at_depth:,} with {depth:,} queued",
            METRICS,
            {"flowfabric": measure(depth)},
            max_runs=3 if depth >= DEEP else 1000,
        )
        for depth in size.depths
    ]
