"""What a handler says while it runs: frames of output, and the summary. `Context` is one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from flowfabric import _codec
from flowfabric._execution import FrameClass, FrameKind
from flowfabric._frame import Frame, summary_frame


class Voice:
    """Says things through `_say`."""

    __slots__ = ()

    _loop: asyncio.AbstractEventLoop

    async def emit(
        self,
        data: object,
        kind: FrameKind = FrameKind.EVENT,
        *,
        cls: FrameClass = FrameClass.DURABLE,
    ) -> None:
        """Sends one frame of output: bytes and text as they are, everything else as JSON.

        Waits while too much is on its way, so that a fast handler cannot outrun the engine.

        Args:
            data: What to say.
            kind: What it is.
            cls: DURABLE is kept as long as the policy says, BEST_EFFORT a moment for who reads along.

        Raises:
            LeaseLost: nobody listens any more; stop.
            PayloadTooLarge: the frame is over the engine's limit; cut it up.
        """
        if cls == FrameClass.SUMMARY or kind in (FrameKind.SUMMARY, FrameKind.SUMMARY_REPLACE):
            raise ValueError("the summary changes by summary(...) and summary_replace(...)")
        await self._say(Frame(FrameKind(kind), frame_bytes(data), FrameClass(cls)))

    async def summary(self, patch: Mapping[str, object]) -> None:
        """Changes the summary, one rolling JSON document of the execution: a merge patch, as in RFC 7396.

        Objects merge, None removes a member, `NULL` sets it to null, everything else replaces what was there.
        Patches that wait to be sent become one.

        Raises:
            LeaseLost: nobody listens any more; stop.
            PayloadTooLarge: the patch is too large, or the one before would have made the summary so.
            ValueError: it is nested deeper than 16, or holds a number that JSON has not, as NaN.
        """
        await self._say(summary_frame(patch))

    async def summary_replace(self, document: Mapping[str, object]) -> None:
        """Puts a document in the place of the summary."""
        await self._say(summary_frame(document, replace=True))

    def emit_sync(
        self,
        data: object,
        kind: FrameKind = FrameKind.EVENT,
        *,
        cls: FrameClass = FrameClass.DURABLE,
    ) -> None:
        """The same as `emit` for handlers that run in a thread."""
        self._refuse_loop_thread("emit")
        asyncio.run_coroutine_threadsafe(self.emit(data, kind, cls=cls), self._loop).result()

    def summary_sync(self, patch: Mapping[str, object]) -> None:
        """The same as `summary` for handlers that run in a thread."""
        self._refuse_loop_thread("summary")
        asyncio.run_coroutine_threadsafe(self.summary(patch), self._loop).result()

    def summary_replace_sync(self, document: Mapping[str, object]) -> None:
        """The same as `summary_replace` for handlers that run in a thread."""
        self._refuse_loop_thread("summary_replace")
        asyncio.run_coroutine_threadsafe(self.summary_replace(document), self._loop).result()

    async def _say(self, frame: Frame) -> None:
        raise NotImplementedError

    def _refuse_loop_thread(self, name: str) -> None:
        raise NotImplementedError


def frame_bytes(data: object) -> bytes:
    """The bytes of a frame: unlike a result, text goes as it is."""
    return data.encode("utf-8", "replace") if isinstance(data, str) else _codec.encode(data)
