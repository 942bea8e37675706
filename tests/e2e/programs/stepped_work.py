"""A worker whose handler dies, or lets others die, between two of its lines; each line once.

What a step does is a line in a file, written with one call: it survives a SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from flowfabric import Context, StepUnknown, Worker, task

HOME = Path(os.environ["HOME_OF_TEST"])
EFFECTS = os.open(HOME / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@dataclass
class Order:
    """Where the worker dies, and where it waits until the test has done its worst."""

    dies_at: str = ""
    waits_at: tuple[str, ...] = ()


@dataclass
class Effect:
    """What a step does, and its execution's value, which must be the same in every run."""

    execution: str
    name: str
    value: str


@task
async def stepped_work(order: Order, context: Context) -> list[str]:
    async def line(name: str) -> None:
        mark = HOME / f"{context.execution_id}.{name}"
        if name == order.dies_at and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if name in order.waits_at and not mark.exists():
            mark.touch()
            while not mark.with_suffix(f"{mark.suffix}-done").exists():  # noqa: ASYNC110 - the test's signal
                await asyncio.sleep(0.02)

    async def do(name: str) -> str:
        await line(f"begins {name}")
        effect = Effect(context.execution_id, name, str(value))
        os.write(EFFECTS, json.dumps(vars(effect)).encode() + b"\n")
        await line(f"ends {name}")
        return f"did {name}"

    await line("start")
    value = await context.uuid()
    await line("has a value")
    first = await context.step("a", do, "a")
    await line("after a")
    both = await asyncio.gather(context.step("b", do, "b"), context.step("c", do, "c"))
    await line("after b and c")
    await context.sleep(0.05)
    await line("woken")
    resumed = await context.wait_for("go")
    await line("resumed")
    last = await context.step("d", do, "d")
    try:
        payment = await context.step("e", do, "e", on_unknown="raise")
    except StepUnknown:
        payment = "nobody knows"
    await line("end")
    return [first, *both, resumed.signal.name, last, payment]


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    await Worker(
        [stepped_work],
        slots=4,
        short_wait=0,
        lanes=[os.environ["LANE"]],
        namespace=os.environ["NAMESPACE"],
    ).run()


if __name__ == "__main__":
    asyncio.run(main())
