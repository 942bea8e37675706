"""Wrapper of feed.lua."""

from __future__ import annotations

from typing import Any, cast

from ff_core import keys
from ff_core.event import Event, EventFilter, FeedPage
from ff_core.store.functions.base import Functions, text

#: Events that one call looks at: about a millisecond of Valkey's time.
SCAN_LIMIT = 1000


class FeedFunctions(Functions):
    """Feeds of events."""

    async def feed_read(self, partition: int, after: str, limit: int, only: EventFilter) -> FeedPage:
        """Events of a partition after a place."""
        names = "".join(f",{name}" for name in sorted(only.names))
        reply = await self.client.fcall(
            "feed_read",
            keys.anchor(partition),
            after,
            limit,
            SCAN_LIMIT,
            only.namespace,
            only.lane,
            only.kind,
            names and names + ",",
            *(part for pair in only.tags.items() for part in pair),
        )
        last, fell_off, more, *events = cast("list[Any]", reply)
        return FeedPage(
            text(last),
            bool(fell_off),
            bool(more),
            [Event.read(partition, text(entry), ordinal, text(event)) for entry, ordinal, event in events],
        )
