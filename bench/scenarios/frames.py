"""9: output, from `await context.emit(...)` to who follows it.

So many handlers speak at once, each with a reader that follows it from the start. First each says a frame
now and then: the time runs from just before `emit` until the reader has the frame. Then each says frames as
fast as it is let, and the rate is of all frames that the readers got. Readers and handlers are two
processes of one machine, so both see one clock.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

from bench.figures import percentile
from bench.peers.flowfabric_system import LANE, FlowFabric
from bench.processes import while_alive
from bench.scenario import Case, Measure, Metric, Sample, Size
from bench.server import Server
from bench.system import lined_up, watch
from flowfabric import Client

METRICS = (
    Metric("rate", "frames/s", higher_is_better=True, digits=0),
    Metric("p50", "ms", digits=2),
    Metric("p95", "ms", digits=2),
    Metric("p99", "ms", digits=2),
)
STREAMS = (1, 10, 100)
#: Frames that all handlers together say in a second while the time to a reader is taken.
CALM_RATE = 200
#: The first frames of a stream open its way; they are said but not counted.
WARM_UP = 3


async def speech(client: Client, frames: int, pause_s: float) -> list[tuple[int, int]]:
    """One handler's frames: when each was said and when it was heard, in nanoseconds."""
    submission = await client.submit("speak", json.dumps([frames, pause_s]).encode(), lane=LANE)
    return [(int(frame.data), time.time_ns()) async for frame in client.tail(submission.execution_id)]


async def speeches(system: FlowFabric, streams: int, frames: int, patience: float) -> Sample:
    """So many frames in all, by so many handlers, in both ways."""
    async with lined_up(system, {}) as line:
        line.gate.open()
        heard: list[list[tuple[int, int]]] = []

        async def speak(frames: int, pause_s: float) -> None:
            heard[:] = await asyncio.gather(*(speech(system.client, frames, pause_s) for _ in range(streams)))

        calm = max(frames // 20 // streams, 10)
        await while_alive(line.workers, speak(WARM_UP + calm, streams / CALM_RATE), patience)
        latencies = [(at - said) / 1e6 for stream in heard for said, at in stream[WARM_UP:]]
        usage = watch(line)
        await while_alive(line.workers, speak(frames // streams, 0), patience)
        cores = usage.cores()
        spoken = [moment for stream in heard for moment in stream]
        began, ended = min(said for said, _ in spoken), max(at for _, at in spoken)
        values = {name: percentile(latencies, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return Sample({"rate": len(spoken) / (ended - began) * 1e9, **values}, cores)


def cases(server: Server, size: Size) -> Sequence[Case]:
    """One stream, ten, a hundred."""

    def measure(streams: int) -> Measure:
        system = FlowFabric(server, workers=1, slots=streams)
        return lambda: speeches(system, streams, size.frames, size.patience_seconds)

    return [
        Case(
            f"frames/{streams}",
            f"emit to reader: {size.frames:,} durable frames over {streams} streams, a reader each",
            METRICS,
            {"flowfabric": measure(streams)},
        )
        for streams in STREAMS
    ]
