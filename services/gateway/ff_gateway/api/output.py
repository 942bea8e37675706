"""OutputService: output read by range and followed live."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from ff_core.backend import EngineBackend
from ff_core.errors import invalid
from ff_core.output import OutputPage, StoredFrame
from ff_core.state import State
from ff_core.wire.time import timestamp
from ff_gateway.watch import Watches
from flowfabric_api.output.v1 import output_pb2 as pb
from flowfabric_api.output.v1 import output_pb2_grpc

_CURSOR = re.compile(r"[0-9]{1,15}-[0-9]{1,10}")
MAX_PAGE = 1000
TAIL_PAGE = 256


class OutputServicer(output_pb2_grpc.OutputServiceServicer):
    """The readers' door."""

    def __init__(self, backend: EngineBackend, watches: Watches) -> None:
        self._backend = backend
        self._watches = watches

    async def ReadOutput(self, request: pb.ReadOutputRequest, _context: Any) -> pb.ReadOutputResponse:
        after, attempt = _cursor(request.after), _attempt(request.attempt)
        until = _place(_cursor(request.until, "until")) if request.until else None
        if request.page_size < 0:
            raise invalid("page_size", f"{request.page_size}; at least 0")
        count = min(request.page_size or 100, MAX_PAGE)
        page = await self._backend.output_read(request.execution_id, after, count)
        within = [frame for frame in page.frames if until is None or _place(frame.cursor) <= until]
        reply = pb.ReadOutputResponse(next=within[-1].cursor if within else after)
        for frame in within:
            if not frame.close and attempt in (0, frame.attempt):
                _add(reply.frames, frame)
        if len(within) == len(page.frames) < count:
            close = _close(page)
            if close is not None:
                reply.close.CopyFrom(close)
        return reply

    async def TailOutput(
        self, request: pb.TailOutputRequest, _context: Any
    ) -> AsyncIterator[pb.TailOutputResponse]:
        after, attempt = _cursor(request.after), _attempt(request.attempt)
        async with self._watches.watch(request.execution_id) as news:
            while True:
                page = await self._backend.output_read(request.execution_id, after, TAIL_PAGE)
                reply = pb.TailOutputResponse()
                for frame in page.frames:
                    after = frame.cursor
                    if not frame.close and attempt in (0, frame.attempt):
                        _add(reply.frames, frame)
                is_through = len(page.frames) < TAIL_PAGE
                close = _close(page) if is_through else None
                if close is not None:
                    reply.close.CopyFrom(close)
                if reply.frames or close is not None:
                    yield reply
                if close is not None:
                    return
                if is_through:
                    await self._watches.next(news)


def _cursor(cursor: str, field: str = "after") -> str:
    if cursor and not _CURSOR.fullmatch(cursor):
        raise invalid(field, f"{cursor[:40]!r} is not a cursor")
    return cursor


def _place(cursor: str) -> tuple[int, int]:
    """Cursors in the order of their frames."""
    time, _, number = cursor.partition("-")
    return int(time), int(number)


def _attempt(attempt: int) -> int:
    if attempt < 0:
        raise invalid("attempt", f"{attempt}; from 1, or 0 for all")
    return attempt


def _close(page: OutputPage) -> pb.OutputClose | None:
    """The end of a stream that was read to its end. An execution without output has no marker but a state."""
    if not State(page.state).is_terminal:
        return None  # replayed after an earlier marker: the stream goes on
    if page.frames and page.frames[-1].close:
        return pb.OutputClose(cursor=page.frames[-1].cursor, reason=page.frames[-1].close)
    return pb.OutputClose(cursor="", reason=page.state)


def _add(frames: Any, frame: StoredFrame) -> None:
    message = frames.add(
        cursor=frame.cursor, attempt=frame.attempt, number=frame.number, kind=frame.kind, data=frame.data
    )
    message.time.CopyFrom(timestamp(int(frame.cursor.partition("-")[0])))
