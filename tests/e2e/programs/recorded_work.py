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

from flowfabric import Context, Waitpoint, Worker, all_of, signal, task

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


def write_letter(context: Context, waitpoint: Waitpoint) -> None:
    """Tells the test where it may answer."""
    letter = Path(f"{os.environ['RECORDS']}.{context.execution_id}")
    letter.write_text(f"{waitpoint.waitpoint_id} {waitpoint.token}")


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
async def errand(order: Order, context: Context) -> str:
    """Writes a letter, waits for two answers, and rests; with a step before, between and after."""

    async def do(name: str) -> str:
        await asyncio.sleep(order.seconds / 2)
        write_record(context, f"did {name}")
        await asyncio.sleep(order.seconds / 2)
        return f"{name} {order.text}"

    async def send(waitpoint: Waitpoint) -> str:
        write_letter(context, waitpoint)
        return await do("send")

    write_record(context, "started")
    try:
        done = [await context.step("order", do, "order")]
        waitpoint = await context.waitpoint("go", single_use=False)
        done.append(await context.step("send", send, waitpoint))
        answers = await context.wait_for(waitpoint, all_of(signal("paid"), signal("approved")), timeout=300)
        done.append(await context.step("pack", do, "pack"))
        await context.sleep(order.seconds)
        done.append(await context.step("ship", do, "ship"))
    except BaseException as error:
        write_record(context, type(error).__name__)
        raise
    write_record(context, "finished")
    return ", ".join(done + sorted(f"{each.name} {each.value(str)}" for each in answers.signals))


@task
async def poison(status: int) -> None:
    """Takes its whole process with it, before anything could be said of it."""
    os._exit(status)


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    await Worker(
        [recorded_work, errand, poison],
        slots=int(os.environ["SLOTS"]),
        short_wait=0,
        prefetch=os.environ["PREFETCH"] == "1",
        worker_id=os.environ["WORKER_ID"],
        namespace=os.environ["NAMESPACE"],
    ).run()


if __name__ == "__main__":
    asyncio.run(main())
