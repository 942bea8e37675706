"""Who follows output or events loses nothing when the gateway that it follows dies."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from flowfabric import Client, Context, FrameClass, Worker, task
from flowfabric._stack import Stack

pytestmark = pytest.mark.timeout(120)


async def test_a_tail_and_a_subscription_outlive_their_gateway() -> None:
    go_on = asyncio.Event()

    @task
    async def count(context: Context) -> None:
        for number in range(1, 101):
            if number == 51:
                await go_on.wait()
            await context.emit(b"%d" % number, cls=FrameClass(1 + 2 * (number % 2)))

    async with Stack() as stack, Client(stack.address) as client:
        gateway = stack.processes["gateway-0"]
        names: list[str] = []
        listening = asyncio.Event()

        async def listen(until: str) -> None:
            async with aclosing(client.subscribe(kind="count")) as pages:
                async for page in pages:
                    listening.set()
                    names.extend(event.name for event in page.events)
                    if until in names:
                        return

        ear = asyncio.create_task(listen("completed"))
        await listening.wait()
        worker = Worker([count], address=stack.address)
        await worker.start()
        submission = await client.submit(count)
        heard: list[int] = []
        async for frame in client.tail(submission.execution_id):
            heard.append(int(frame.data))
            if len(heard) == 50:
                gateway.kill()
                await gateway.wait()
                await gateway.start()
                go_on.set()
        await ear
        await worker.stop()

    assert heard == list(range(1, 101))
    assert [name for name in dict.fromkeys(names) if name in ("created", "claimed", "completed")] == [
        "created", "claimed", "completed",
    ]  # fmt: skip
