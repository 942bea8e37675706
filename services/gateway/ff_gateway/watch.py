"""Waiting for news of one execution: many watches and tails share one channel a partition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Gauge

from ff_core import keys
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_core.news import Weight, parse_news

OPEN = Gauge("ff_watches", "Watches and tails open")


class Watches:
    """All watches of this gateway, counted and bounded."""

    def __init__(self, backend: EngineBackend, most: int) -> None:
        self._backend = backend
        self._most = most
        self._open = 0
        self._news: dict[int, PartitionNews] = {}
        self.is_closed = False

    @asynccontextmanager
    async def watch(self, execution_id: str, least: Weight = Weight.MINOR) -> AsyncIterator[asyncio.Event]:
        """An event that is set when there may be news of the execution that weigh at least so much.

        Once this is entered nothing is missed. Raises TOO_MANY_STREAMS.
        """
        if self._open >= self._most:
            raise EngineError(
                ErrorCode.TOO_MANY_STREAMS, f"at most {self._most} are served here", retry_after_ms=1000
            )
        partition = self._backend.partition_of(execution_id)
        news = self._news.get(partition)
        if news is None:
            news = self._news[partition] = PartitionNews(self._backend, partition)
        event = asyncio.Event()
        news.add(execution_id, event, least)
        self._open += 1
        OPEN.set(self._open)
        try:
            await news.is_heard()
            yield event
        finally:
            self._open -= 1
            OPEN.set(self._open)
            news.discard(execution_id, event)
            if not news.events:
                news.close()
                del self._news[partition]

    @property
    def is_empty(self) -> bool:
        """Whether nobody watches."""
        return not self._open

    def wake_all(self, weight: Weight = Weight.CHANGE) -> None:
        """Has everybody look again whom news of this weight wake."""
        for news in self._news.values():
            news.wake_all(weight)

    def close(self) -> None:
        """Ends every watch: its `next` raises SHUTTING_DOWN."""
        self.is_closed = True
        self.wake_all(Weight.END)

    async def next(self, event: asyncio.Event) -> None:
        """Waits for news. Raises SHUTTING_DOWN when this gateway goes."""
        if not self.is_closed:
            await event.wait()
        if self.is_closed:
            raise EngineError(ErrorCode.SHUTTING_DOWN)
        event.clear()


class PartitionNews:
    """What changes in one partition, for as long as anybody watches an execution there."""

    def __init__(self, backend: EngineBackend, partition: int) -> None:
        self.events: dict[str, dict[asyncio.Event, Weight]] = {}
        """Of all watches, by execution id, with the least weight that wakes each."""
        self._hints = backend.hints
        self._channel = keys.news_channel(partition)
        self._hints.on_gap(self.wake_all)
        self._listening = asyncio.ensure_future(self._hints.listen(self._channel, self._on_message))

    def add(self, execution_id: str, event: asyncio.Event, least: Weight) -> None:
        """Sets the event whenever the execution is in the news with at least this weight."""
        self.events.setdefault(execution_id, {})[event] = least

    def discard(self, execution_id: str, event: asyncio.Event) -> None:
        """Undoes `add`."""
        del self.events[execution_id][event]
        if not self.events[execution_id]:
            del self.events[execution_id]

    async def is_heard(self) -> None:
        """Returns when no news is missed any more."""
        # Shared: a watch that is given up must not end it for the others.
        await asyncio.shield(self._listening)

    def wake_all(self, weight: Weight = Weight.END) -> None:
        """Sets the events of all watches that wait for news of this weight: by default of every watch."""
        for execution_id in self.events:
            self._wake(execution_id, weight)

    def close(self) -> None:
        """Stops listening."""
        self._listening.cancel()
        self._hints.forget(self._channel, self._on_message)
        self._hints.off_gap(self.wake_all)

    def _on_message(self, message: bytes) -> None:
        for execution_id, weight in parse_news(message):
            self._wake(execution_id, weight)

    def _wake(self, execution_id: str, weight: Weight) -> None:
        for event, least in self.events.get(execution_id, {}).items():
            if weight >= least:
                event.set()
