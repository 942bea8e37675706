"""Waiting for news of one execution: many watches and tails share one socket a Valkey node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Gauge

from ff_core import keys
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode

OPEN = Gauge("ff_watches", "Watches and tails open")


class Watches:
    """All watches of this gateway, counted and bounded."""

    def __init__(self, backend: EngineBackend, most: int) -> None:
        self._backend = backend
        self._most = most
        self._open = 0
        self._news: set[asyncio.Event] = set()
        self.is_closed = False

    @asynccontextmanager
    async def watch(self, execution_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when the execution may have changed, or its output grown.

        Once this is entered nothing is missed. Raises TOO_MANY_STREAMS.
        """
        if self._open >= self._most:
            raise EngineError(
                ErrorCode.TOO_MANY_STREAMS, f"at most {self._most} are served here", retry_after_ms=1000
            )
        channel = keys.watch_channel(self._backend.partition_of(execution_id), execution_id)
        news = asyncio.Event()

        def on_news(_message: bytes = b"") -> None:
            news.set()

        hints = self._backend.hints
        self._open += 1
        OPEN.set(self._open)
        self._news.add(news)
        hints.on_gap(on_news)
        try:
            await hints.listen(channel, on_news)
            yield news
        finally:
            hints.forget(channel, on_news)
            hints.off_gap(on_news)
            self._news.discard(news)
            self._open -= 1
            OPEN.set(self._open)

    def close(self) -> None:
        """Ends every watch: the next `check` raises SHUTTING_DOWN."""
        self.is_closed = True
        for news in self._news:
            news.set()

    async def next(self, news: asyncio.Event) -> None:
        """Waits for news. Raises SHUTTING_DOWN when this gateway goes."""
        if not self.is_closed:
            await news.wait()
        if self.is_closed:
            raise EngineError(ErrorCode.SHUTTING_DOWN)
        news.clear()
