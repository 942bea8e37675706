"""The sessions of this gateway: kept alive in the registry, told what happens to their leases."""

from __future__ import annotations

import asyncio
import random

import structlog
from prometheus_client import Counter, Gauge

from ff_core import clock, keys
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_core.lease import CancelNotice
from ff_gateway.session import Session

#: Longest time an answer waits for company. Nobody needs it: the slot is free, and the execution has ended.
GATHER_S = 0.050
#: How much longer or shorter than the set age a session may last: those that began together end apart.
JITTER = 0.2

log = structlog.get_logger()

OPEN = Gauge("ff_sessions", "Worker sessions open")
AGED = Counter("ff_sessions_aged_total", "Worker sessions sent elsewhere for their age")


class OpenSession:
    """A session and the end of its stream."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.ended = asyncio.Event()
        self.error: EngineError | None = None
        self.some = asyncio.Event()
        """Set when the session has something to send, or has ended."""
        self.ageing: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def on_output(self, is_urgent: bool) -> None:
        """Something is ready to send: now, or within GATHER_S together with what else becomes ready."""
        if is_urgent:
            self.some.set()
        elif self._timer is None and not self.some.is_set():
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        self.some.set()

    def end(self, error: EngineError | None = None) -> None:
        """Closes the stream, with an error or as the worker asked."""
        if self.ageing is not None:
            self.ageing.cancel()
        self.error = self.error or error
        self.ended.set()
        self.some.set()


class Sessions:
    """All of them, by worker."""

    def __init__(
        self,
        backend: EngineBackend,
        gateway_id: str,
        worker_ttl_ms: int,
        *,
        max_age_ms: int = 0,
        grace_ms: int = 0,
    ) -> None:
        """A session is asked to go elsewhere at `max_age_ms`, never when 0, and has `grace_ms` for it."""
        self._backend = backend
        self._gateway_id = gateway_id
        self._ttl_ms = worker_ttl_ms
        self._max_age_ms = max_age_ms
        self._grace_ms = grace_ms
        self._by_worker: dict[str, OpenSession] = {}
        self.is_leaving = False

    async def listen(self) -> None:
        """Starts to hear what happens to leases granted through this gateway."""
        await self._backend.hints.listen(
            keys.gateway_channel(self._gateway_id), self._on_notice, sharded=False
        )

    def of(self, worker_id: str) -> OpenSession | None:
        """The session of a worker that is open here."""
        return self._by_worker.get(worker_id)

    def add(self, opened: OpenSession) -> OpenSession | None:
        """Registers a session; gives the one of the same worker that it replaces."""
        worker_id = opened.session.worker_id
        before = self._by_worker.get(worker_id)
        self._by_worker[worker_id] = opened
        OPEN.set(len(self._by_worker))
        if self._max_age_ms:
            age_s = self._max_age_ms / 1000 * random.uniform(1 - JITTER, 1 + JITTER)
            opened.ageing = asyncio.get_running_loop().call_later(age_s, self._retire, opened)
        if before is not None:
            before.end(EngineError(ErrorCode.SESSION_SUPERSEDED, worker_id))
        return before

    def remove(self, opened: OpenSession) -> bool:
        """Forgets a session; False when a newer one had taken its place."""
        worker_id = opened.session.worker_id
        if self._by_worker.get(worker_id) is not opened:
            return False
        del self._by_worker[worker_id]
        OPEN.set(len(self._by_worker))
        return True

    async def run(self) -> None:
        """Keeps every session alive in the registry, all in one call."""
        while True:
            await asyncio.sleep(self._ttl_ms / 3000)
            sessions = list(self._by_worker.values())
            if not sessions:
                continue
            alive = await self._backend.worker_beat([one.session.beat() for one in sessions], self._ttl_ms)
            for opened, is_alive in zip(sessions, alive, strict=True):
                if not is_alive and not opened.ended.is_set():
                    # Swept while Valkey or this process was away, or replaced; the worker comes back.
                    opened.end(EngineError(ErrorCode.SHUTTING_DOWN, "the session is no longer registered"))

    async def drain(self, grace_s: float) -> None:
        """Sends GoAway and waits until the workers have gone, or the grace is over."""
        self.is_leaving = True
        sessions = list(self._by_worker.values())
        deadline_ms = clock.wall_ms() + int(grace_s * 1000)
        for opened in sessions:
            opened.session.go_away("the gateway is shutting down", deadline_ms)
        endings = [asyncio.ensure_future(opened.ended.wait()) for opened in sessions]
        if endings:
            _, late = await asyncio.wait(endings, timeout=grace_s)
            for task in late:
                task.cancel()
        for opened in sessions:
            opened.end(EngineError(ErrorCode.SHUTTING_DOWN))

    def _retire(self, opened: OpenSession) -> None:
        """Asks a worker to choose anew among all gateways: streams do not move to a new one by themselves."""
        if opened.session.is_draining:  # it goes anyway
            return
        AGED.inc()
        opened.session.go_away("the session is old", clock.wall_ms() + self._grace_ms)
        opened.ageing = asyncio.get_running_loop().call_later(
            self._grace_ms / 1000, opened.end, EngineError(ErrorCode.SHUTTING_DOWN, "the session is old")
        )

    def _on_notice(self, message: bytes) -> None:
        word, subject, text = (message.decode("utf-8", "replace") + " ").split(" ", 2)
        if word == "superseded":
            opened = self._by_worker.get(subject)
            if opened is not None and opened.session.session_id == text.strip():
                opened.end(EngineError(ErrorCode.SESSION_SUPERSEDED, subject))
            return
        lease = subject.encode()
        for opened in self._by_worker.values():
            if lease in opened.session.leases:
                if word == "cancel":
                    stop_at, _, reason = text.strip().partition(" ")
                    opened.session.cancel(lease, CancelNotice(int(stop_at), reason))
                else:
                    opened.session.lost(lease, ErrorCode[text.strip()])
                return
