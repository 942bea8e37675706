"""The time a worker has no session: when to try again, and what of it is worth a line in the log.

Pure state; `Uplink` sleeps and tries. Time comes in as an argument.
"""

from __future__ import annotations

import logging

from flowfabric._channel import Pause
from flowfabric._errors import EngineError

logger = logging.getLogger(__name__)

LONGEST_PAUSE_S = 5.0

# A session that held this long was a good one. What fails sooner, and again and again, is given more time.
GOOD_S = 5.0


class Absence:
    """From the loss of a session to the next Welcome."""

    def __init__(self) -> None:
        self._pause = Pause(longest=LONGEST_PAUSE_S)
        self._failures = 0
        """Since the last good session."""
        self._welcomed_at: float | None = None
        self._told: set[str] = set()

    def end(self, now: float, lease_ttl: float) -> None:
        """A gateway said Welcome. Later pauses leave time to renew what is held."""
        if self._told:
            logger.info("session_back tries=%d", self._failures)
        self._told.clear()
        self._welcomed_at = now
        self._pause.longest = min(LONGEST_PAUSE_S, lease_ttl / 3)

    def pause(self, error: EngineError | None, now: float) -> float:
        """Seconds to wait after a session, or a try to open one, that ended so; none after a good one."""
        if self._welcomed_at is not None and now - self._welcomed_at >= GOOD_S:
            self._pause.reset()
            self._failures = 0
        self._welcomed_at = None
        at_least = error.retry_after if error is not None and self._failures else None
        seconds = self._pause.next(at_least) if self._failures else 0.0
        self._failures += 1
        reason = "" if error is None else error.reason
        if reason not in self._told:
            self._told.add(reason)
            logger.warning(
                "no_session reason=%s next_try_s=%.2f longest_pause_s=%g",
                error or "the gateway closed it",
                seconds,
                self._pause.longest,
            )
        return seconds
