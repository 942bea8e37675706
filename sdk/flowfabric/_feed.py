"""Server streams that outlive their connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import grpc

from flowfabric._channel import TRIES, Pause
from flowfabric._errors import EngineError, error_from_call

# What a stream ends with when its gateway goes: the connection breaks, or the server cancels the call.
BREAKS = frozenset({"UNAVAILABLE", "CANCELLED"})


def is_break(error: EngineError) -> bool:
    """Whether a stream that ended with this may go on where it is opened again."""
    return error.retryable or error.reason in BREAKS


async def feed(open_stream: Callable[[], Any]) -> AsyncGenerator[Any, None]:
    """Messages of a server stream, which is opened again after each break.

    It goes on for ever: the caller leaves when it has seen the last message. A stream that never
    said anything is given up after as many tries as a unary call.
    """
    pause = Pause(longest=5.0)
    tries_left: float = TRIES
    while True:
        call = open_stream()
        retry_after = None
        try:
            async for message in call:
                tries_left = float("inf")
                pause.reset()
                yield message
        except grpc.aio.AioRpcError as failure:
            error = error_from_call(failure)
            tries_left -= 1
            if not tries_left or not is_break(error):
                raise error from None
            retry_after = error.retry_after
        finally:
            call.cancel()
        await asyncio.sleep(pause.next(retry_after))
