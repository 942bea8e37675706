"""The only reader of this process's clocks. Decisions use Valkey's time, never this one."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """Milliseconds since 1970, for display and for ids."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds, for measuring pauses within this process."""
    return time.monotonic()
