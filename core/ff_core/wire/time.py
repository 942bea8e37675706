"""Milliseconds inside, Timestamp and Duration outside."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ff_core.errors import invalid


def timestamp(ms: int) -> Timestamp | None:
    """A point in time; None for 0, which means never."""
    return point(ms) if ms else None


def point(ms: int) -> Timestamp:
    """A point in time that is known."""
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def duration(ms: int) -> Duration:
    """A span of time."""
    return Duration(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def point_ms(value: Timestamp, field: str) -> int:
    """Milliseconds since 1970. Raises INVALID_ARGUMENT before 1970 or after 9999."""
    if not 0 <= value.seconds <= 253_402_300_799 or not 0 <= value.nanos < 1_000_000_000:
        raise invalid(field, "out of range")
    return value.seconds * 1000 + value.nanos // 1_000_000


def span_ms(value: Duration, field: str, *, least: int = 0, most: int = 100 * 365 * 86_400_000) -> int:
    """Milliseconds of a span. Raises INVALID_ARGUMENT outside [least, most]."""
    ms = value.seconds * 1000 + value.nanos // 1_000_000
    if not least <= ms <= most:
        raise invalid(field, f"{ms} ms; allowed are {least} to {most} ms")
    return ms
