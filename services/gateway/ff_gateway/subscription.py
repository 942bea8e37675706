"""Subscriptions: the feeds of all partitions, read for whoever follows them.

Nothing is queued for a reader. It has a place in each feed and a set of partitions that may have grown
since, and while it takes its time nothing else happens. Hints say which grew; the heartbeat looks at all of
them, should one be lost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

from prometheus_client import Gauge

from ff_core import keys
from ff_core.backend import FeedBackend, HintSource
from ff_core.errors import EngineError, ErrorCode
from ff_core.event import Event, EventFilter
from ff_core.news import has_transition

OPEN = Gauge("ff_subscriptions", "Subscriptions open")

#: Partitions read at once for one reader.
BATCH = 16
HEARTBEAT_S = 15.0


class FeedSource(FeedBackend, Protocol):
    """What subscriptions ask of a store."""

    partitions: int

    @property
    def hints(self) -> HintSource: ...


@dataclass(frozen=True, slots=True)
class News:
    """Events in the order of their time, and the partitions that dropped some before they were read."""

    events: list[Event]
    fell_off: list[int]


class Reader:
    """One reader's places in all feeds."""

    def __init__(self, source: FeedSource, places: list[str], limit: int, only: EventFilter) -> None:
        self.places = places
        self.changed = asyncio.Event()
        self._source = source
        self._limit = limit
        self._only = only
        # Who is furthest behind comes first, so that no busy partition keeps another waiting over many pages.
        self._grown = dict.fromkeys(sorted(range(source.partitions), key=lambda one: _order(places[one])))

    @property
    def is_through(self) -> bool:
        """Whether everything that is known of was read."""
        return not self._grown

    def grew(self, partition: int) -> None:
        """Notes that a feed may have grown."""
        self._grown[partition] = None
        self.changed.set()

    def grew_all(self) -> None:
        """Notes it of all feeds."""
        self._grown = dict.fromkeys(range(self._source.partitions))
        self.changed.set()

    async def read(self) -> News:
        """The next events, as many as one answer holds, or all that there are."""
        events: list[Event] = []
        fell_off: list[int] = []
        while self._grown and (room := self._limit - len(events)) > 0:
            chosen = list(islice(self._grown, min(BATCH, room)))
            for partition in chosen:
                del self._grown[partition]
            pages = await asyncio.gather(
                *(
                    self._source.feed_read(one, self.places[one], room // len(chosen), self._only)
                    for one in chosen
                )
            )
            for partition, page in zip(chosen, pages, strict=True):
                self.places[partition] = page.last
                events += page.events
                if page.fell_off:
                    fell_off.append(partition)
                if page.more:
                    self._grown[partition] = None
        events.sort(key=lambda event: event.at_ms)
        return News(events, sorted(set(fell_off)))


class Subscriptions:
    """All subscriptions of this gateway, counted and bounded; they share one ear for the news."""

    def __init__(self, source: FeedSource, most: int, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._source = source
        self._most = most
        self._heartbeat_s = heartbeat_s
        self._readers: set[Reader] = set()
        self._open = 0
        self._listeners = [partial(self._grew, one) for one in range(source.partitions)]
        self._listening: asyncio.Future[list[None]] | None = None
        self.is_closed = False

    async def read(self, places: list[str] | None, limit: int, only: EventFilter) -> tuple[News, list[str]]:
        """What comes after the places, None for the ends, and the places behind it. Never waits."""
        reader = Reader(self._source, await self._ends() if places is None else places, limit, only)
        return await reader.read(), reader.places

    async def follow(
        self, places: list[str] | None, limit: int, only: EventFilter
    ) -> AsyncIterator[tuple[News, list[str]]]:
        """What comes after the places, None for the ends, and the places behind it; at first only those.

        Goes on for ever. Raises TOO_MANY_STREAMS, or SHUTTING_DOWN when this gateway goes.
        """
        async with self._listening_to_news():
            reader = Reader(self._source, await self._ends() if places is None else places, limit, only)
            self._readers.add(reader)
            try:
                yield News([], []), reader.places
                async for news in self._news_of(reader):
                    yield news, reader.places
            finally:
                self._readers.discard(reader)

    def close(self) -> None:
        """Ends every subscription."""
        self.is_closed = True
        for reader in self._readers:
            reader.changed.set()

    async def _news_of(self, reader: Reader) -> AsyncIterator[News]:
        is_due = False
        while not self.is_closed:
            reader.changed.clear()
            news = await reader.read()
            if news.events or news.fell_off or is_due:
                yield news
            is_due = False
            if reader.is_through and not self.is_closed:
                try:
                    await asyncio.wait_for(reader.changed.wait(), self._heartbeat_s)
                except TimeoutError:
                    is_due = True
                    reader.grew_all()
        raise EngineError(ErrorCode.SHUTTING_DOWN)

    async def _ends(self) -> list[str]:
        """The places behind the last event of each feed."""
        everything = EventFilter()
        pages = await asyncio.gather(
            *(self._source.feed_read(one, "$", 1, everything) for one in range(self._source.partitions))
        )
        return [page.last for page in pages]

    @asynccontextmanager
    async def _listening_to_news(self) -> AsyncIterator[None]:
        """Once this is entered no news is missed by a reader. Raises TOO_MANY_STREAMS."""
        if self._open >= self._most:
            raise EngineError(
                ErrorCode.TOO_MANY_STREAMS, f"at most {self._most} are served here", retry_after_ms=1000
            )
        self._open += 1
        OPEN.set(self._open)
        try:
            if self._listening is None:
                self._listening = asyncio.gather(
                    *(
                        self._source.hints.listen(keys.news_channel(one), listener)
                        for one, listener in enumerate(self._listeners)
                    )
                )
                self._source.hints.on_gap(self._grew_all)
            # Shared: a reader that goes must not end it for the others.
            await asyncio.shield(self._listening)
            yield
        finally:
            self._open -= 1
            OPEN.set(self._open)
            if not self._open and self._listening is not None:
                self._listening.cancel()
                self._listening = None
                self._source.hints.off_gap(self._grew_all)
                for one, listener in enumerate(self._listeners):
                    self._source.hints.forget(keys.news_channel(one), listener)

    def _grew(self, partition: int, message: bytes) -> None:
        if not has_transition(message):
            return
        for reader in self._readers:
            reader.grew(partition)

    def _grew_all(self) -> None:
        for reader in self._readers:
            reader.grew_all()


def _order(place: str) -> tuple[int, int]:
    """Places in the order of their time, those before anything first."""
    ms, _, rest = (place or "0-0").partition("-")
    return int(ms), int(re.split("[./]", rest)[0])
