"""Wrappers of output.lua and summary.lua."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from ff_core import ids, keys
from ff_core.errors import ErrorCode
from ff_core.output import (
    Appended,
    FrameClass,
    NewFrame,
    OutputFilter,
    OutputPage,
    StoredFrame,
    Summary,
)
from ff_core.store.connection import Argument
from ff_core.store.functions.base import Functions, check, code_of, number, text

#: Frames that one call looks at. More are asked for, so that no call holds up Valkey for long.
SCAN_LIMIT = 1000
EVERYTHING = OutputFilter()


class OutputFunctions(Functions):
    """Output of all classes."""

    async def output_append(self, lease: bytes, frames: Sequence[NewFrame]) -> Appended:
        """Appends frames of one lease in order, each once."""
        partition = ids.partition_of_lease(lease, self.partitions)
        if partition is None:
            return Appended(0, ErrorCode.INVALID_ARGUMENT)
        args: list[Argument] = [lease]
        for frame in frames:
            args += (frame.number, frame.frame_class.value, frame.kind, frame.data)
        is_fleeting = all(frame.frame_class is FrameClass.BEST_EFFORT for frame in frames)
        call = self.client.fcall if is_fleeting else self.client.fcall_durable
        reply = cast(
            "list[Any]", await call("output_append", keys.anchor(partition), *args, items=len(frames))
        )
        return Appended(reply[1], code_of(reply[0]))

    async def output_read(
        self, execution_id: str, after: str, count: int, only: OutputFilter = EVERYTHING
    ) -> OutputPage:
        """Frames after a cursor. Raises EXECUTION_NOT_FOUND."""
        reply = await self.client.fcall(
            "output_read",
            keys.anchor(self.partition_of(execution_id)),
            execution_id,
            after,
            count,
            SCAN_LIMIT,
            only.attempt,
            _listed(only.classes),
            _listed(only.kinds),
        )
        state, last, more, closed_at, *frames = check(reply, execution_id)
        return OutputPage(
            [_frame(frame) for frame in frames], text(state), text(last), bool(more), text(closed_at)
        )

    async def output_summary(self, execution_id: str) -> Summary | None:
        """The rolling document, None when there is none. Raises EXECUTION_NOT_FOUND."""
        reply = await self.client.fcall(
            "output_summary", keys.anchor(self.partition_of(execution_id)), execution_id
        )
        found = check(reply, execution_id)
        if not found:
            return None
        document, version, last = found
        cursor = text(last)
        return Summary(document, version, cursor, int(cursor.partition("-")[0]))


def _listed(numbers: Iterable[int]) -> str:
    """The form `,1,3,`, in which Lua finds a number; empty for none."""
    return "".join(f",{each:d}" for each in sorted(numbers)) + ("," if numbers else "")


def _frame(parts: Sequence[Any]) -> StoredFrame:
    cursor, frame_class, attempt, place, kind, data, version = parts
    return StoredFrame(
        text(cursor),
        number(attempt),
        number(place),
        number(kind),
        data,
        FrameClass(number(frame_class)),
        version,
    )
