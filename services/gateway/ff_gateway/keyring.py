"""The ring of keys at this gateway: read at start and when it may have changed, replaced by rotations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from ff_core import clock, keys
from ff_core.backend import HintSource, KeyRingBackend
from ff_core.errors import EngineError, ErrorCode
from ff_core.keyring import KeyRing, Roots, Rotated, SealedRing

log = structlog.get_logger()

#: A change is heard of at once; this finds one whose message was lost.
REFRESH_S = 5.0
#: A token may name a key that nobody has; looking for it costs this often at most.
LOOK_S = 1.0
TRIES = 3


class KeyRingStore(KeyRingBackend, Protocol):
    """The stored ring, and who says that it changed."""

    @property
    def hints(self) -> HintSource: ...


class KeyRingKeeper:
    """Holds the ring in force. `open` comes before everything else."""

    def __init__(
        self, store: KeyRingStore, root_secrets: Sequence[str], elapsed: Callable[[], float] = clock.monotonic
    ) -> None:
        self.ring = KeyRing(0, "", {})
        self._store = store
        self._roots = Roots(root_secrets)
        self._elapsed = elapsed
        self._read_at = (0, 0.0)
        self._looked_at = float("-inf")
        self._looking: asyncio.Future[None] | None = None
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Reads the ring, or makes the first. Raises INVALID_ARGUMENT when the secret does not open it."""
        await self._store.hints.listen(keys.KEYRING_CHANNEL, self._on_news, sharded=False)
        self._store.hints.on_gap(self._news.set)
        await self.refresh()

    def now_ms(self) -> int:
        """Valkey's time, as of the last reading and what has passed since."""
        now_ms, at = self._read_at
        return now_ms + int((self._elapsed() - at) * 1000)

    async def refresh(self) -> SealedRing:
        """Reads the stored ring. There is one afterwards, and none older than this one.

        A primary that took over may have missed a rotation; tokens made since count on the newer ring.
        """
        for _ in range(TRIES):
            sealed = await self._read()
            if sealed.revision and sealed.revision >= self.ring.revision:
                return sealed
            ring = self.ring if self.ring.revision else KeyRing.first(sealed.now_ms)
            if await self._store.keyring_swap(sealed.revision, ring.revision, ring.seal(self._roots)):
                event = "keyring_restored" if ring is self.ring else "keyring_made"
                log.info(event, kid=ring.current, instead_of=sealed.revision)
        raise _contended()

    async def look_for(self, kid: str) -> None:
        """Reads the ring again when it may have a key that this one has not; all who ask meanwhile wait."""
        if self._looking is None:
            if kid in self.ring.keys or self._elapsed() - self._looked_at < LOOK_S:
                return
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(self._looked)
        await asyncio.shield(self._looking)

    async def rotate(self, kid: str, secret: bytes, grace_ms: int) -> Rotated:
        """Makes another key the current one, for all gateways at once.

        Raises KEY_CONFLICT, INVALID_ARGUMENT, or STORE_UNAVAILABLE when others rotate all the time.
        """
        for _ in range(TRIES):
            sealed = await self.refresh()
            ring, answer = self.ring.rotated(kid, secret, grace_ms, sealed.now_ms)
            if not answer.changed:
                return answer
            if await self._store.keyring_swap(sealed.revision, ring.revision, ring.seal(self._roots)):
                self.ring = ring
                log.info("keyring_rotated", kid=answer.kid, previous=answer.previous, dropped=answer.dropped)
                return answer
        raise _contended()

    async def run(self) -> None:
        """Reads the ring again on news, after a gap, and now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), REFRESH_S)
            self._news.clear()
            await self.refresh()

    async def _read(self) -> SealedRing:
        sealed = await self._store.keyring_read()
        self._read_at = (sealed.now_ms, self._elapsed())
        if sealed.revision:
            ring = KeyRing.open(sealed, self._roots)
            if ring.revision >= self.ring.revision:
                self.ring = ring
        return sealed

    async def _look(self) -> None:
        await self.refresh()

    def _looked(self, looking: asyncio.Future[None]) -> None:
        self._looking = None
        if not looking.cancelled() and looking.exception() is None:
            self._looked_at = self._elapsed()

    def _on_news(self, _message: bytes) -> None:
        self._news.set()


def _contended() -> EngineError:
    return EngineError(
        ErrorCode.STORE_UNAVAILABLE, "the key ring is being changed by others", retry_after_ms=100
    )
