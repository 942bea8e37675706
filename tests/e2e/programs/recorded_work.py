"""A worker whose handler writes down when it runs, and under which lease, before it does anything else.

A record is one line, written with one call to a file opened for appending: what was written survives a
SIGKILL, and lines of many processes do not mix.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from flowfabric import Context, Worker, task

RECORDS = os.open(os.environ["RECORDS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
#: Work that is to be held goes on when this file exists.
RELEASED = Path(os.environ["RECORDS"] + ".released")


@dataclass
class Order:
    """What one execution has to do."""

    text: str
    seconds: float
    frames: int
    is_held: bool = False
    """Runs until the test lets it go."""


def write_record(context: Context, what: str) -> None:
    """Appends a line. The lease is opaque to workers; here it tells the epoch."""
    _, attempt, epoch, _ = context._grant.lease.decode().split(":")
    record = {
        "execution": context.execution_id,
        "attempt": int(attempt),
        "epoch": int(epoch),
        "pid": os.getpid(),
        "what": what,
        "time": time.monotonic(),  # one clock for all processes of a machine
    }
    os.write(RECORDS, json.dumps(record).encode() + b"\n")


@task
async def recorded_work(order: Order, context: Context) -> str:
    write_record(context, "started")
    try:
        for number in range(1, order.frames + 1):
            await context.emit(f"{order.text} {context.attempt} {number}")
            await asyncio.sleep(order.seconds / order.frames)
        while order.is_held and not RELEASED.exists():  # noqa: ASYNC110, ASYNC240 - the test's signal
            await asyncio.sleep(0.05)
    except BaseException as error:
        write_record(context, type(error).__name__)
        raise
    write_record(context, "finished")
    return hashlib.sha256(order.text.encode()).hexdigest()


@task
async def poison(status: int) -> None:
    """Takes its whole process with it, before anything could be said of it."""
    os._exit(status)


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    await Worker(
        [recorded_work, poison],
        slots=int(os.environ["SLOTS"]),
        prefetch=os.environ["PREFETCH"] == "1",
        worker_id=os.environ["WORKER_ID"],
        namespace=os.environ["NAMESPACE"],
    ).run()


if __name__ == "__main__":
    asyncio.run(main())
