"""The output of one attempt on its way to the engine: numbered, bounded, resent after a break.

Pure state but for the wait in `emit`; `OutputStream` carries the frames. A frame stays here until the
engine has stored it, so a handler that outruns the engine waits instead of filling the memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from flowfabric._errors import FlowFabricError
from flowfabric._frame import Frame, folded, summary_frame
from flowfabric_api.worker.v1 import worker_pb2 as pb

# What one lease may have under way. 256 frames are some round trips' worth of small ones; the bytes
# keep 64 leases under 64 MiB.
WINDOW_FRAMES = 256
WINDOW_BYTES = 1024 * 1024

# Frames of one message; servers take 4 MiB.
MESSAGE_BYTES = 512 * 1024

# Changes of the summary given up in turn while nothing is stored, before all output of the lease is.
MOST_REFUSED = 8


class Output:
    """The frames of one lease that are not stored yet.

    They are numbered from 1 in the order they are first sent, so the number of the first one here says the
    numbers of all that were.
    """

    def __init__(self, lease: bytes, notify: Callable[[Output], None]) -> None:
        self.lease = lease
        self._notify = notify
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._stored = 0
        """Number of the last frame that the engine has."""
        self._sent = 0
        """How many of those here are on their way."""
        self._numbered = 0
        """How many of them ever were: what they are numbered may not change."""
        self._error: FlowFabricError | None = None
        self._refusal: FlowFabricError | None = None
        """Of a change of the summary, until the next one is told."""
        self._refused = 0
        """Changes given up since the last frame was stored."""
        self._is_told = False
        """Whether the handler knows that no more output is taken."""
        self._moved = asyncio.Event()

    @property
    def has_unsent(self) -> bool:
        """Whether there are frames for the next message."""
        return len(self._frames) > self._sent and self._error is None

    async def emit(self, frame: Frame) -> None:
        """Adds a frame, after a wait while the window is full."""
        if frame.change is not None and self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            raise refusal
        while self._error is None and self._is_full(len(frame.data)):
            await self._moved.wait()
        if self._error is not None:
            self._is_told = True
            raise self._error
        if frame.change is not None:
            frame = self._fold(frame)
        self._frames.append(frame)
        self._bytes += len(frame.data)
        self._notify(self)

    async def flush(self) -> None:
        """Waits until every frame is stored or none can be any more. Raises a refusal nobody was told."""
        while self._frames and self._error is None:
            await self._moved.wait()
        untold = None if self._is_told else self._error
        if (refusal := untold or self._refusal) is not None:
            raise refusal

    def take(self) -> pb.StreamOutputRequest | None:
        """The next message, or None when all is sent."""
        if not self.has_unsent:
            return None
        request = pb.StreamOutputRequest(lease=self.lease)
        size = 0
        for frame in islice(self._frames, self._sent, None):
            size += len(frame.data)
            if request.frames and size > MESSAGE_BYTES:
                break
            self._sent += 1
            message = request.frames.add()
            message.number = self._stored + self._sent
            message.kind = frame.kind  # type: ignore[assignment]
            message.data = frame.data
            message.frame_class = frame.frame_class  # type: ignore[assignment]
            message.null_paths.extend(frame.null_paths)
        self._numbered = max(self._numbered, self._sent)
        return request

    def acknowledge(self, through: int) -> None:
        """Forgets the frames that are stored."""
        while self._frames and self._stored < through:
            self._bytes -= len(self._frames.popleft().data)
            self._stored += 1
            self._sent = max(self._sent - 1, 0)
            self._numbered = max(self._numbered - 1, 0)
            self._refused = 0
        self._tell_waiters()

    def rewind(self) -> None:
        """Sends again what is not acknowledged."""
        self._sent = 0

    def can_resume_after(self, number: int) -> bool:
        """Whether the frame after this one is still here; an engine may have lost what it acknowledged."""
        return bool(self._frames) and self._stored <= number

    def refuse_change(self, error: FlowFabricError) -> bool:
        """Gives up the first frame here, if it changes the summary, and says so to the next change.

        A change of nothing takes its number, so that the frames behind it keep theirs.
        """
        if not self._frames or self._frames[0].change is None or self._refused == MOST_REFUSED:
            return False
        self._refused += 1
        self._bytes -= len(self._frames[0].data)
        self._frames[0] = summary_frame({})
        self._bytes += len(self._frames[0].data)
        self._refusal = error
        return True

    def fail(self, error: FlowFabricError) -> None:
        """Takes no more output, and says why to whoever emits."""
        self._error = error
        self._frames.clear()
        self._bytes = 0
        self._tell_waiters()

    def _fold(self, frame: Frame) -> Frame:
        """A change of the summary together with the one that waits, which leaves its place."""
        for place in range(len(self._frames) - 1, self._numbered - 1, -1):
            waiting = self._frames[place]
            if waiting.change is not None:
                both = folded(waiting, frame)
                if both is None:
                    return frame
                del self._frames[place]
                self._bytes -= len(waiting.data)
                return both
        return frame

    def _is_full(self, size: int) -> bool:
        if not self._frames:
            return False
        return len(self._frames) >= WINDOW_FRAMES or self._bytes + size > WINDOW_BYTES

    def _tell_waiters(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
