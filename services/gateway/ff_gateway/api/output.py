"""OutputService: output read by range and followed live."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from ff_core.backend import OutputBackend
from ff_core.errors import invalid
from ff_core.output import OutputFilter, OutputPage
from ff_core.state import State
from ff_core.wire import output as wire
from ff_gateway.watch import Watches
from flowfabric_api.output.v1 import output_pb2 as pb
from flowfabric_api.output.v1 import output_pb2_grpc

_CURSOR = re.compile(r"[0-9]{1,15}-[0-9]{1,10}")
MAX_PAGE = 1000
TAIL_PAGE = 256


class OutputServicer(output_pb2_grpc.OutputServiceServicer):
    """The readers' door."""

    def __init__(self, backend: OutputBackend, watches: Watches) -> None:
        self._backend = backend
        self._watches = watches

    async def ReadOutput(self, request: pb.ReadOutputRequest, _context: Any) -> pb.ReadOutputResponse:
        after, only = _cursor(request.after), _filter(request)
        until = _place(_cursor(request.until, "until")) if request.until else None
        if request.page_size < 0:
            raise invalid("page_size", f"{request.page_size}; at least 0")
        count = min(request.page_size or 100, MAX_PAGE)
        page = await self._read(request.execution_id, after, count, only)
        reply = pb.ReadOutputResponse(next=page.next)
        for frame in page.frames:
            if until is None or _place(frame.cursor) <= until:
                wire.add_frame(reply.frames, frame)
        if until is not None and page.next and _place(page.next) > until:
            reply.next = max(request.after, request.until, key=_place)
        else:
            _add_close(reply, page)
        return reply

    async def TailOutput(
        self, request: pb.TailOutputRequest, _context: Any
    ) -> AsyncIterator[pb.TailOutputResponse]:
        after, only = _cursor(request.after), _filter(request)
        async with self._watches.watch(request.execution_id) as news:
            while True:
                page = await self._read(request.execution_id, after, TAIL_PAGE, only)
                after = page.next
                reply = pb.TailOutputResponse()
                for frame in page.frames:
                    wire.add_frame(reply.frames, frame)
                _add_close(reply, page)
                if reply.frames or reply.HasField("close"):
                    yield reply
                if reply.HasField("close"):
                    return
                if not page.more:
                    await self._watches.next(news)

    async def GetSummary(self, request: pb.GetSummaryRequest, _context: Any) -> pb.Summary:
        return wire.summary_message(await self._backend.output_summary(request.execution_id))

    async def _read(self, execution_id: str, after: str, count: int, only: OutputFilter) -> OutputPage:
        """A page that is empty only where there is nothing more; no call looks further than it should."""
        page = await self._backend.output_read(execution_id, after, count, only)
        while page.more and not page.frames:
            page = await self._backend.output_read(execution_id, page.next, count, only)
        return page


def _cursor(cursor: str, field: str = "after") -> str:
    if cursor and not _CURSOR.fullmatch(cursor):
        raise invalid(field, f"{cursor[:40]!r} is not a cursor")
    return cursor


def _place(cursor: str) -> tuple[int, int]:
    """Cursors in the order of their frames."""
    time, _, number = (cursor or "0-0").partition("-")
    return int(time), int(number)


def _filter(request: pb.ReadOutputRequest | pb.TailOutputRequest) -> OutputFilter:
    return wire.wanted(request.attempt, request.classes, request.kinds)


def _add_close(reply: pb.ReadOutputResponse | pb.TailOutputResponse, page: OutputPage) -> None:
    """Says that it is over, when the execution is and all was read. Without output there is no cursor."""
    if State(page.state).is_terminal and not page.more:
        reply.close.CopyFrom(pb.OutputClose(cursor=page.closed_at, reason=page.state))
