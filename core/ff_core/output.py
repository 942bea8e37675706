"""Output frames as the engine's Python handles them."""

from __future__ import annotations

from dataclasses import dataclass

from ff_core.errors import ErrorCode


@dataclass(slots=True)
class NewFrame:
    """A frame on its way in; numbers count from 1 within the lease."""

    number: int
    kind: int
    data: bytes


@dataclass(slots=True)
class Appended:
    """The highest number stored, and why not more."""

    through: int
    error: ErrorCode | None


@dataclass(slots=True)
class StoredFrame:
    """A frame on its way out; `close` is set in the marker that ends the stream."""

    cursor: str
    attempt: int
    number: int
    kind: int
    data: bytes
    close: str = ""


@dataclass(slots=True)
class OutputPage:
    """Frames after a cursor, and the state of their execution at that moment."""

    frames: list[StoredFrame]
    state: str
