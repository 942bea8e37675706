"""The output of one attempt on its way to the engine: numbered, bounded, resent after a break.

Pure state but for the wait in `emit`; `OutputStream` carries the frames. A frame stays here until the
engine has stored it, so a handler that outruns the engine waits instead of filling the memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from flowfabric._errors import FlowFabricError
from flowfabric_api.worker.v1 import worker_pb2 as pb

# What one lease may have under way. 256 frames are some round trips' worth of small ones; the bytes
# keep 64 leases under 64 MiB.
WINDOW_FRAMES = 256
WINDOW_BYTES = 1024 * 1024

# Frames of one message; servers take 4 MiB.
MESSAGE_BYTES = 512 * 1024


class Frame(NamedTuple):
    """One frame and its number within the attempt."""

    number: int
    kind: int
    data: bytes


class Output:
    """The frames of one lease that are not stored yet."""

    def __init__(self, lease: bytes, notify: Callable[[Output], None]) -> None:
        self.lease = lease
        self._notify = notify
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._last = 0
        self._sent_through = 0
        self._error: FlowFabricError | None = None
        self._moved = asyncio.Event()

    @property
    def has_unsent(self) -> bool:
        """Whether there are frames for the next message."""
        return self._last > self._sent_through and self._error is None

    async def emit(self, kind: int, data: bytes) -> None:
        """Adds a frame, after a wait while the window is full."""
        while self._error is None and self._is_full(len(data)):
            await self._moved.wait()
        if self._error is not None:
            raise self._error
        self._last += 1
        self._frames.append(Frame(self._last, kind, data))
        self._bytes += len(data)
        self._notify(self)

    async def flush(self) -> None:
        """Waits until every frame is stored or none can be any more."""
        while self._frames and self._error is None:
            await self._moved.wait()

    def take(self) -> pb.StreamOutputRequest | None:
        """The next message, or None when all is sent."""
        if not self.has_unsent:
            return None
        request = pb.StreamOutputRequest(lease=self.lease)
        size = 0
        # The numbers in the deque have no gaps, so a number says its place.
        start = self._sent_through + 1 - self._frames[0].number
        for frame in islice(self._frames, start, None):
            size += len(frame.data)
            if request.frames and size > MESSAGE_BYTES:
                break
            request.frames.add(number=frame.number, kind=frame.kind, data=frame.data)
            self._sent_through = frame.number
        return request

    def acknowledge(self, through: int) -> None:
        """Forgets the frames that are stored."""
        while self._frames and self._frames[0].number <= through:
            self._bytes -= len(self._frames.popleft().data)
        self._sent_through = max(self._sent_through, min(through, self._last))
        self._tell_waiters()

    def rewind(self) -> None:
        """Sends again what is not acknowledged."""
        self._sent_through = self._frames[0].number - 1 if self._frames else self._last

    def can_resume_after(self, number: int) -> bool:
        """Whether the frame after this one is still here."""
        return bool(self._frames) and self._frames[0].number <= number + 1

    def fail(self, error: FlowFabricError) -> None:
        """Takes no more output, and says why to whoever emits."""
        self._error = error
        self._frames.clear()
        self._bytes = 0
        self._tell_waiters()

    def _is_full(self, size: int) -> bool:
        if not self._frames:
            return False
        return len(self._frames) >= WINDOW_FRAMES or self._bytes + size > WINDOW_BYTES

    def _tell_waiters(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
