"""Wrappers of output.lua."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ff_core import ids, keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.output import Appended, NewFrame, OutputPage, StoredFrame
from ff_core.store.connection import Argument
from ff_core.store.functions.base import Functions, check, code_of, number, text


class OutputFunctions(Functions):
    """Output streams."""

    async def output_append(self, lease: bytes, frames: Sequence[NewFrame]) -> Appended:
        """Appends frames of one lease in order, each once."""
        partition = ids.partition_of_lease(lease, self.partitions)
        if partition is None:
            return Appended(0, ErrorCode.INVALID_ARGUMENT)
        args: list[Argument] = [lease]
        for frame in frames:
            args += (frame.number, frame.kind, frame.data)
        reply = cast("list[Any]", await self.client.fcall("output_append", keys.anchor(partition), *args))
        return Appended(reply[1], code_of(reply[0]))

    async def output_read(self, execution_id: str, after: str, count: int) -> OutputPage:
        """Frames after a cursor. Raises EXECUTION_NOT_FOUND; INVALID_ARGUMENT for a malformed cursor."""
        reply = await self.client.fcall(
            "output_read", keys.anchor(self.partition_of(execution_id)), execution_id, after, count
        )
        state, *entries = check(reply, execution_id)
        return OutputPage([_frame(text(cursor), fields) for cursor, fields in entries], text(state))


def _frame(cursor: str, flat: Sequence[bytes]) -> StoredFrame:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    if b"close" in fields:
        return StoredFrame(cursor, 0, 0, 0, b"", close=text(fields[b"close"]))
    try:
        return StoredFrame(
            cursor,
            number(fields[b"attempt"]),
            number(fields[b"number"]),
            number(fields[b"kind"]),
            fields[b"data"],
        )
    except KeyError as missing:
        raise EngineError(ErrorCode.INTERNAL, f"output entry {cursor} has no {missing}") from missing
