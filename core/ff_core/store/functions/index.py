"""Wrappers of index.lua: lists and queue depths."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from ff_core import keys
from ff_core.execution import ExecutionRecord, ListPage, ListQuery
from ff_core.queue import QueueDepth
from ff_core.state import State
from ff_core.store.functions.base import Functions, text
from ff_core.store.functions.execution import read_record

#: Entries a partition looks at in one call of a list.
SCAN_LIMIT = 2000

Position = tuple[float, str]

#: States whose index is read from its beginning: the next due first.
BY_DUE_TIME = frozenset({State.DELAYED, State.SUSPENDED})


class IndexFunctions(Functions):
    """Looking over many executions."""

    async def execution_list(self, query: ListQuery) -> ListPage:
        """One page, merged over all partitions. A page may be short although more follows: what was looked at
        is bounded."""
        index, ascending = _index_of(query)
        position = query.position
        args = (
            index,
            "asc" if ascending else "desc",
            "" if position is None else repr(position[0]),
            "" if position is None else position[1],
            query.page_size,
            SCAN_LIMIT,
            query.namespace,
            query.lane,
            query.kind,
            query.state.value if query.state else "",
            *(part for tag in query.tags.items() for part in tag),
        )
        replies = await asyncio.gather(
            *(
                self.client.fcall("execution_list", keys.anchor(partition), *args)
                for partition in range(self.partitions)
            )
        )
        found: list[tuple[Position, ExecutionRecord]] = []
        frontiers: list[Position] = []
        for complete, last_score, last_id, *entries in cast("list[list[Any]]", replies):
            if not complete and last_score != b"":
                frontiers.append((float(last_score), text(last_id)))
            for score, entry in entries:
                record = read_record(entry)
                if record is not None:
                    found.append(((float(score), record.execution_id), record))
        found.sort(key=lambda item: item[0], reverse=not ascending)
        return _cut(found, frontiers, query.page_size, ascending)

    async def queue_stats(self) -> tuple[set[str], list[QueueDepth]]:
        """Every lane ever used as "<namespace>/<lane>", and the depths of the non-empty queues."""
        replies = await asyncio.gather(
            *(
                self.client.fcall("queue_stats", keys.anchor(partition))
                for partition in range(self.partitions)
            )
        )
        lanes: set[str] = set()
        depths: dict[str, int] = {}
        for names, queues in cast("list[list[Any]]", replies):
            lanes.update(text(name) for name in names)
            for i in range(0, len(queues), 3):
                depths[text(queues[i])] = depths.get(text(queues[i]), 0) + queues[i + 1]
        return lanes, [QueueDepth(queue, waiting) for queue, waiting in sorted(depths.items())]

    async def queue_ready(self, partition: int) -> dict[str, float]:
        """Non-empty queues of a partition by the score of their head."""
        flat = cast("list[bytes]", await self.client.fcall("queue_ready", keys.anchor(partition)))
        return {text(flat[i]): float(flat[i + 1]) for i in range(0, len(flat), 2)}


def _index_of(query: ListQuery) -> tuple[str, bool]:
    """The narrowest index that answers, and whether it is read upwards."""
    for tag, value in query.tags.items():
        return f"tag:{query.namespace}/{tag}={value}", False
    if query.state is None:
        return "executions", False
    return query.state.value, query.state in BY_DUE_TIME


def _cut(
    found: list[tuple[Position, ExecutionRecord]], frontiers: list[Position], size: int, ascending: bool
) -> ListPage:
    """Beyond the nearest place up to which some partition looked, order is not known yet."""
    if frontiers:
        frontier = min(frontiers) if ascending else max(frontiers)
        within = [item for item in found if (item[0] <= frontier if ascending else item[0] >= frontier)]
    else:
        frontier, within = None, found
    if len(within) > size:
        within = within[:size]
        frontier = within[-1][0]
    elif len(within) == size and len(found) > size:
        frontier = within[-1][0]
    return ListPage([record for _, record in within], frontier)
