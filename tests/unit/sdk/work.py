"""What the workers of the tests do, and how they are started."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from flowfabric import Context, Task, Worker, task

from .fake_gateway import SessionEnd

Start = Callable[..., Awaitable[tuple[Worker, SessionEnd]]]
"""The fixture `start`: a worker for the tasks, and the gateway's end of its session."""

Advance = Callable[[float], None]
"""The fixture `advance`: so many seconds pass at once, for whatever has a timer."""


@task
async def echo(data: bytes) -> bytes:
    return data


class Gate:
    """A task that waits to be let through, and says what happens to it."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.contexts: list[Context] = []

    def task(self) -> Task[..., Any]:
        @task
        async def wait(context: Context) -> bytes:
            self.contexts.append(context)
            self.entered.set()
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return b"through"

        return wait
