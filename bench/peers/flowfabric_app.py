"""The worker process of FlowFabric."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

import uvloop

from bench.gate import Entrant
from bench.peers.flowfabric_system import LANE, WORKERS_VARIABLE
from flowfabric import Context, Task, Worker, task


def tasks(entrant: Entrant, capabilities: frozenset[str]) -> list[Task[..., Any]]:
    """What each worker can do."""

    @task
    async def noop(payload: bytes) -> None:
        entrant.count(entrant.moment())

    @task
    async def hold(payload: bytes) -> None:
        entrant.count()
        await asyncio.Event().wait()

    @task
    async def routed(payload: bytes) -> None:
        entrant.count((entrant.moment(), payload.decode() in capabilities))

    @task
    async def wait(payload: bytes, context: Context) -> None:
        if context.resumption is None:
            entrant.count((context.execution_id, time.time_ns()))
        await context.wait_for("go")

    @task
    async def three(payload: bytes, context: Context) -> int:
        first = await context.step("one", one, 0)
        second = await context.step("two", one, first)
        return await context.step("three", one, second)

    @task
    async def speak(payload: bytes, context: Context) -> None:
        frames, pause_s = json.loads(payload)
        for _ in range(frames):
            await context.emit(b"%d" % time.time_ns())
            if pause_s:
                await asyncio.sleep(pause_s)

    return [noop, hold, routed, wait, three, speak]


async def one(number: int) -> int:
    """A step that does nothing."""
    return number + 1


async def serve(worker: Worker) -> None:
    """Runs one of several workers; `Worker.run` is for the only one of a process, as it owns the signals."""
    await worker.start()
    await worker.wait()


async def main() -> None:
    """Makes the workers, waits at the gate, runs them until the process is killed."""
    entrant = Entrant()
    workers = [
        Worker(
            tasks(entrant, frozenset(shape["capabilities"])),
            lanes=[LANE],
            capabilities=shape["capabilities"],
            slots=shape["slots"],
        )
        for shape in json.loads(os.environ[WORKERS_VARIABLE])
    ]
    await asyncio.to_thread(entrant.wait)
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(serve(worker))


if __name__ == "__main__":
    uvloop.run(main())
