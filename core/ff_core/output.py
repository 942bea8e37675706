"""Output frames as the engine's Python handles them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ff_core.errors import ErrorCode


class FrameClass(IntEnum):
    """How well a frame is kept; the numbers are those of the wire."""

    DURABLE = 1
    SUMMARY = 2
    BEST_EFFORT = 3


@dataclass(slots=True)
class NewFrame:
    """A frame on its way in; numbers count from 1 within the lease."""

    number: int
    kind: int
    data: bytes
    frame_class: FrameClass = FrameClass.DURABLE


@dataclass(slots=True)
class Appended:
    """The highest number stored, and why not more."""

    through: int
    error: ErrorCode | None


@dataclass(slots=True)
class StoredFrame:
    """A frame on its way out."""

    cursor: str
    attempt: int
    number: int
    kind: int
    data: bytes
    """Of a summary the whole document."""
    frame_class: FrameClass = FrameClass.DURABLE
    version: int = 0
    """Of a summary."""


@dataclass(frozen=True, slots=True)
class OutputFilter:
    """Which frames; an empty field matches all."""

    attempt: int = 0
    classes: frozenset[FrameClass] = frozenset()
    kinds: frozenset[int] = frozenset()


@dataclass(slots=True)
class OutputPage:
    """Frames after a cursor, and the state of their execution at that moment."""

    frames: list[StoredFrame]
    state: str
    next: str = ""
    """Cursor of the last one looked at, also when nothing matched."""
    more: bool = False
    """There was more to look at."""
    closed_at: str = ""
    """Cursor of the marker that ends it; set when it ended, put out something, and all was read."""


@dataclass(slots=True)
class Summary:
    """The rolling document that summary frames made."""

    document: bytes
    version: int
    cursor: str
    """Of the last change."""
    at_ms: int
