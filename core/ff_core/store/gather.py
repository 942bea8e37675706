"""Group commit: what arrives for a partition while a call for it is under way goes with the next call.

An idle partition answers at once; a busy one gets fewer and larger calls the busier it is. No timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gather(Generic[Item, Result]):
    """Merges the calls of many callers, one call under way a partition."""

    def __init__(self, call: Callable[[int, list[Item]], Awaitable[list[Result]]], most: int) -> None:
        self._call = call
        self._most = most
        self._waiting: dict[int, list[tuple[list[Item], asyncio.Future[list[Result]]]]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}

    async def submit(self, partition: int, items: list[Item]) -> list[Result]:
        """Results in the order of the items. Raises what the call raised."""
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(partition, []).append((items, future))
        if partition not in self._running:
            task = asyncio.get_running_loop().create_task(self._run(partition))
            self._running[partition] = task
        return await future

    async def _run(self, partition: int) -> None:
        try:
            while partition in self._waiting:
                await self._round(partition)
        finally:
            del self._running[partition]

    async def _round(self, partition: int) -> None:
        waiting, count = self._waiting.pop(partition), 0
        for place, (items, _) in enumerate(waiting):
            count += len(items)
            if count >= self._most:
                if waiting[place + 1 :]:
                    self._waiting[partition] = waiting[place + 1 :]
                waiting = waiting[: place + 1]
                break
        try:
            results = await self._call(partition, [item for items, _ in waiting for item in items])
        except Exception as error:  # whoever waits must hear of a bug too
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        start = 0
        for items, future in waiting:
            if not future.done():  # its caller may have been cancelled
                future.set_result(results[start : start + len(items)])
            start += len(items)
