"""7: claims routed by capability, in three shapes.

All workers have one slot and a session of their own, in four processes. The run starts when the gate opens:
workers connect and the driver submits with 32 in flight. The latency of a task is from the start of the run
until a worker's handler starts, so it includes queueing; a claim is correct when that worker has what the
task requires. Happy: every worker can do everything. Partial: a tenth of the workers has what half of the
tasks require. Scarce: one worker alone can do a tenth of the tasks.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.figures import percentile
from bench.gate import MOMENTS_VARIABLE
from bench.peers.flowfabric_system import LANE, FlowFabric, WorkerShape
from bench.processes import while_alive
from bench.scenario import Case, Measure, Metric, Sample, Size
from bench.server import Server
from bench.system import each_in_flight, lined_up, watch

METRICS = (
    Metric("drain", "s", digits=2),
    Metric("correct", "%", higher_is_better=True, digits=2),
    Metric("throughput", "tasks/s", higher_is_better=True, digits=0),
    Metric("p50", "ms", digits=0),
    Metric("p99", "ms", digits=0),
    Metric("p99/drain", "", digits=2),
)
PROCESSES = 4
IN_FLIGHT = 32
UNIVERSE = tuple(f"cap{number}" for number in range(10))


@dataclass(frozen=True)
class Population:
    """Capabilities of every worker and requirement of every task."""

    workers: Sequence[Sequence[str]]
    tasks: Sequence[str]


def happy(workers: int, tasks: int) -> Population:
    """Every worker can do everything."""
    draw = random.Random(1)
    return Population([UNIVERSE] * workers, [draw.choice(UNIVERSE) for _ in range(tasks)])


def partial(workers: int, tasks: int) -> Population:
    """A tenth of the workers has cap0 and cap1, which half of the tasks require."""
    draw = random.Random(2)
    ordinary = UNIVERSE[2:]
    powers = workers // 10
    able = [[*UNIVERSE[:2], *draw.sample(ordinary, 5)] for _ in range(powers)]
    others = [draw.sample(ordinary, 3) for _ in range(workers - powers)]
    wanted = [draw.choice(UNIVERSE[:2] if draw.random() < 0.5 else ordinary) for _ in range(tasks)]
    return Population([*able, *others], wanted)


def scarce(workers: int, tasks: int) -> Population:
    """One worker has everything, the others cap0 only; a tenth of the tasks requires another."""
    draw = random.Random(3)
    wanted = [draw.choice(UNIVERSE[1:]) if draw.random() < 0.1 else UNIVERSE[0] for _ in range(tasks)]
    return Population([UNIVERSE, *[UNIVERSE[:1]] * (workers - 1)], wanted)


async def routed(server: Server, population: Population, patience: float) -> Sample:
    """Runs one population; every task names its requirement in its payload."""
    shapes = [WorkerShape(1, tuple(capabilities)) for capabilities in population.workers]
    system = FlowFabric(
        server, shapes=[shapes[first::PROCESSES] for first in range(PROCESSES)], kind="routed"
    )
    count = len(population.tasks)
    async with lined_up(system, {MOMENTS_VARIABLE: "1"}) as line:

        async def submit(capability: bytes) -> object:
            return await system.client.submit("routed", capability, lane=LANE, requires=[capability.decode()])

        async def run() -> None:
            await each_in_flight(submit, [task.encode() for task in population.tasks], IN_FLIGHT)
            await line.gate.until(lambda: line.gate.done >= count)

        usage = watch(line)
        began = time.time_ns()
        line.gate.open()
        await while_alive(line.workers, run(), patience)
        cores = usage.cores()
    latencies = [(moment - began) / 1e6 for moment, _ in line.gate.notes]
    correct = sum(able for _, able in line.gate.notes)
    drain, p99 = max(latencies), percentile(latencies, 0.99)
    values = {
        "drain": drain / 1000,
        "correct": 100 * correct / len(latencies),
        "throughput": correct / drain * 1000,
        "p50": percentile(latencies, 0.5),
        "p99": p99,
        "p99/drain": p99 / drain,
    }
    return Sample(values, cores)


def cases(server: Server, size: Size) -> Sequence[Case]:
    """Happy, partial, scarce."""

    def measure(shape: Callable[[int, int], Population]) -> Measure:
        population = shape(size.routed_workers, size.routed_tasks)
        return lambda: routed(server, population, size.patience_seconds)

    about = f"{size.routed_tasks:,} tasks on {size.routed_workers} workers"
    return [
        Case(
            f"routed/{shape.__name__}", f"{about}, {shape.__name__}", METRICS, {"flowfabric": measure(shape)}
        )
        for shape in (happy, partial, scarce)
    ]
