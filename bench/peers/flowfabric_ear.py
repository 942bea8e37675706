"""What happens to executions, heard through one subscription, however many there are."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager

from bench.peers.flowfabric_system import LANE
from flowfabric import Client, EventFamily


class Ear:
    """When the events of each execution were heard, in nanoseconds since the epoch."""

    def __init__(self, client: Client, families: Iterable[EventFamily]) -> None:
        self._client = client
        self._families = tuple(families)
        self._heard: dict[tuple[str, str], asyncio.Future[int]] = defaultdict(
            asyncio.get_running_loop().create_future
        )
        self.is_listening = asyncio.Event()

    async def listen(self) -> None:
        """Follows all executions until it is cancelled."""
        async with aclosing(self._client.subscribe(families=self._families, lane=LANE)) as pages:
            async for page in pages:
                self.is_listening.set()
                for event in page.events:
                    heard = self._heard[event.execution_id, event.name]
                    if not heard.done():
                        heard.set_result(time.time_ns())

    async def hears(self, execution_id: str, name: str) -> int:
        """When the event came; it is forgotten then."""
        moment = await self._heard[execution_id, name]
        del self._heard[execution_id, name]
        return moment


@asynccontextmanager
async def listening(client: Client, *families: EventFamily) -> AsyncIterator[Ear]:
    """An ear that hears everything from now on."""
    ear = Ear(client, families)
    task = asyncio.create_task(ear.listen())
    try:
        await ear.is_listening.wait()
        yield ear
    finally:
        task.cancel()
