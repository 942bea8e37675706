"""Appends of output: of many leases at once, of one lease one call after the other.

Calls may be repeated and take different ways to Valkey: only the answer to one says that the next frames of
its lease come behind it. What comes meanwhile goes with the next call: a lease in a hurry makes fewer calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from weakref import WeakValueDictionary

from ff_core.errors import EngineError
from ff_core.output import Appended, NewFrame
from ff_gateway.page import fitting

#: Where a call takes no more messages, so that none holds up Valkey for long.
CALL_BYTES = 512 * 1024
#: What a frame costs besides its data.
FRAME_BYTES = 64

Append = Callable[[bytes, Sequence[NewFrame]], Awaitable[Appended]]


@dataclass(slots=True)
class _Message:
    frames: Sequence[NewFrame]
    answer: Appended | EngineError | None = None

    @property
    def size(self) -> int:
        return sum(len(frame.data) + FRAME_BYTES for frame in self.frames)

    def is_stored(self, appended: Appended) -> bool:
        """Whether all of it is, though the call may have stopped behind it."""
        return appended.error is None or bool(self.frames and self.frames[-1].number <= appended.through)


@dataclass(slots=True, weakref_slot=True)
class _Line:
    """The messages of one lease that are not answered. Who holds the lock calls for all of them."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: deque[_Message] = field(default_factory=deque)


class Appends:
    """The appends of one stream; who leaves while waiting leaves with the stream."""

    def __init__(self, append: Append) -> None:
        self._append = append
        self._lines: WeakValueDictionary[bytes, _Line] = WeakValueDictionary()

    async def append(self, lease: bytes, frames: Sequence[NewFrame]) -> Appended:
        """Appends behind all that was asked before for this lease. Raises what one of those did."""
        line = self._lines.get(lease)
        if line is None:
            line = self._lines[lease] = _Line()
        message = _Message(frames)
        line.waiting.append(message)
        async with line.lock:
            while message.answer is None:
                await self._call(lease, line)
        if isinstance(message.answer, EngineError):
            raise message.answer
        return message.answer

    async def _call(self, lease: bytes, line: _Line) -> None:
        """One call; answers one message at least."""
        messages = fitting(line.waiting, lambda message: message.size, CALL_BYTES)
        try:
            appended = await self._append(lease, list(chain.from_iterable(one.frames for one in messages)))
        except EngineError as error:
            # What is behind would only be a gap.
            while line.waiting:
                line.waiting.popleft().answer = error
            return
        for message in messages:
            line.waiting.popleft()
            if not message.is_stored(appended):
                message.answer = appended
                return  # what is behind it has not been looked at
            message.answer = Appended(appended.through, None)
