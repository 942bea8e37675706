"""Answers to the requests of a stream: several under way at once, given in the order of the requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


async def answers_in_order(
    requests: AsyncIterator[Request], answer: Callable[[Request], Awaitable[Answer]], most: int
) -> AsyncIterator[Answer]:
    """Begins with a request as soon as it is there, unless `most` answers are not taken yet.

    An error ends the stream in its turn: the answers before it are given.
    """
    under_way: asyncio.Queue[asyncio.Future[Answer] | None] = asyncio.Queue()
    room = asyncio.Semaphore(most)

    async def begin() -> None:
        async for request in requests:
            await room.acquire()
            under_way.put_nowait(asyncio.ensure_future(answer(request)))

    beginning = asyncio.ensure_future(begin())
    beginning.add_done_callback(lambda _: under_way.put_nowait(None))
    try:
        while (pending := await under_way.get()) is not None:
            yield await pending
            room.release()
        await beginning
    finally:
        beginning.cancel()
        left = [beginning]
        while not under_way.empty():
            if (pending := under_way.get_nowait()) is not None:
                pending.cancel()
                left.append(pending)  # type: ignore[arg-type]
        await asyncio.gather(*left, return_exceptions=True)
