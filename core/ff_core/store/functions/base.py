"""What all wrappers share: the client, the number of partitions, and grouping by partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

from ff_core import ids
from ff_core.errors import EngineError, ErrorCode
from ff_core.store.client import StoreClient

#: Items one call carries at most, so that it takes Valkey one to three milliseconds.
BATCH = 128

Item = TypeVar("Item")
Result = TypeVar("Result")


class Functions:
    """Base of the wrappers: one method a Lua function, same name, typed."""

    def __init__(self, client: StoreClient, partitions: int) -> None:
        self.client = client
        self.partitions = partitions

    def partition_of(self, execution_id: str) -> int:
        """The partition of an id. Raises INVALID_ARGUMENT or EXECUTION_NOT_FOUND."""
        return ids.partition_of_execution(execution_id, self.partitions)

    async def by_partition(
        self,
        items: Sequence[Item],
        partition_of: Callable[[Item], int | None],
        call: Callable[[int, list[Item]], Coroutine[Any, Any, Sequence[Result]]],
        misfit: Callable[[Item], Result],
    ) -> list[Result]:
        """Calls once a partition, or once a BATCH, and gives the results in the order of the items.

        An item without a partition gets `misfit`. The calls of one turn leave as one write.
        """
        if len(items) == 1:  # the most frequent case by far, without a task of its own
            partition = partition_of(items[0])
            return [misfit(items[0])] if partition is None else list(await call(partition, [items[0]]))
        groups: dict[int, list[int]] = {}
        results: list[Result | None] = [None] * len(items)
        for place, item in enumerate(items):
            partition = partition_of(item)
            if partition is None:
                results[place] = misfit(item)
            else:
                groups.setdefault(partition, []).append(place)
        batches = [
            (partition, places[start : start + BATCH])
            for partition, places in groups.items()
            for start in range(0, len(places), BATCH)
        ]
        replies = await asyncio.gather(
            *(call(partition, [items[place] for place in places]) for partition, places in batches)
        )
        for (_, places), group in zip(batches, replies, strict=True):
            for place, result in zip(places, group, strict=True):
                results[place] = result
        return cast("list[Result]", results)


def check(reply: object, detail: str = "") -> list[Any]:
    """A reply `{OK, ..}` without its OK. Raises what `{code, ..}` means."""
    parts = cast("list[Any]", reply)
    word = parts[0].decode()
    if word != "OK":
        raise EngineError(ErrorCode[word], detail or " ".join(text(part) for part in parts[1:]))
    return parts[1:]


def code_of(word: bytes) -> ErrorCode | None:
    """The error a word names; None for OK."""
    return None if word == b"OK" else ErrorCode[word.decode()]


def text(value: object) -> str:
    """A reply value as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def pairs(flat: Sequence[bytes]) -> dict[str, str]:
    """A flat field, value, field, value reply."""
    return {text(flat[i]): text(flat[i + 1]) for i in range(0, len(flat), 2)}


def number(value: object) -> int:
    """Milliseconds or counts; 0 for empty."""
    return int(float(cast("bytes", value))) if value not in (b"", "", None) else 0
