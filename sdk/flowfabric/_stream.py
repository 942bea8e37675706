"""One bidirectional call, pumped by one writer and one reader.

A pending read or write of a living call is never cancelled, because gRPC answers that by cancelling the
call: the call is cancelled first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import grpc

from flowfabric._errors import error_from_call

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs forgot it

Request = TypeVar("Request")
Response = TypeVar("Response")


class Stream(Generic[Request, Response]):
    """Asks `outgoing` for messages whenever woken, and hands what comes in to `incoming`."""

    def __init__(
        self,
        call: Any,
        outgoing: Callable[[], Request | None],
        incoming: Callable[[Response], None],
    ) -> None:
        self._call = call
        self._outgoing = outgoing
        self._incoming = incoming
        self._wake = asyncio.Event()
        self._is_finishing = False

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def finish(self) -> None:
        """Closes this side once everything is sent; the stream ends when the server closes its own."""
        self._is_finishing = True
        self._wake.set()

    def cancel(self) -> None:
        """Ends the stream now."""
        self._call.cancel()

    async def run(self) -> None:
        """Pumps until the stream ends; EngineError when it does not end well."""
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait((reader,))
        finally:
            self._call.cancel()
            # Now that the call is over nothing can be harmed; and the writer of a call that was cancelled
            # before it had begun would wait for ever for it to begin (grpcio 1.85).
            writer.cancel()
            await asyncio.wait((reader, writer))
        # The reader's error is the stream's; the writer's only says that there is no stream any more,
        # unless it is a bug.
        for task in (reader, writer):
            if task.cancelled():
                continue
            error = task.exception()
            if isinstance(error, grpc.aio.AioRpcError):
                raise error_from_call(error) from None
            if error is not None:
                raise error

    async def _read(self) -> None:
        while (message := await self._call.read()) is not EOF:
            self._incoming(message)

    async def _write(self) -> None:
        try:
            await self._write_all()
        except asyncio.InvalidStateError:
            return  # the call is over; the reader knows why
        except BaseException:
            self._call.cancel()  # or the reader would wait for answers to nothing
            raise

    async def _write_all(self) -> None:
        while True:
            self._wake.clear()
            request = self._outgoing()
            if request is not None:
                await self._call.write(request)
            elif self._is_finishing:
                await self._call.done_writing()
                return
            else:
                await self._wake.wait()
