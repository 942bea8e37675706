"""The time of the in-process engine."""

from __future__ import annotations

START_MS = 1_700_000_000_000


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def advance(self, milliseconds: int) -> None:
        """Move forward; time never goes back."""
        assert milliseconds >= 0
        self.now_ms += milliseconds
