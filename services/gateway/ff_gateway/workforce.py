"""What live workers can do, for "why is it not running?". A picture at most two seconds old.

When the kinds of workers change, whoever watches an execution looks again: why it waits is worked out from
this picture, and nothing changes in the execution itself. Workers of a kind that was there before, the usual
case, wake nobody.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from ff_core import clock, keys
from ff_core.backend import EngineBackend
from ff_core.capabilities import required_by
from ff_core.errors import EngineError
from ff_core.worker import WorkerRecord

log = structlog.get_logger()

MAX_AGE_S = 2.0
PAGE = 1000
#: Between looks for watchers, however many workers come and go.
PAUSE_S = 0.5

Kind = tuple[str, tuple[str, ...], frozenset[str]]
"""Namespace, lanes and capabilities of a pool."""


class Watchers(Protocol):
    """Whoever watches executions."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nobody."""

    def wake_all(self) -> None:
        """Has everybody look again."""


class Workforce:
    """The live workers of all namespaces."""

    def __init__(self, backend: EngineBackend, watchers: Watchers) -> None:
        self._backend = backend
        self._watchers = watchers
        self._workers: list[WorkerRecord] = []
        self._kinds: frozenset[Kind] = frozenset()
        self._read_at = float("-inf")
        """When the picture began to be read."""
        self._changed_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def listen(self) -> None:
        """Starts to hear of workers that come and go."""
        self._backend.hints.on_gap(self._forget)
        await self._backend.hints.listen(keys.WORKERS_CHANNEL, lambda _message: self._forget(), sharded=False)

    async def run(self) -> None:
        """Looks when workers came or went and somebody watches."""
        while True:
            await self._news.wait()
            self._news.clear()
            if not self._watchers.is_empty:
                try:
                    await self.workers()
                except EngineError as error:
                    log.info("workers_unknown", code=error.code.name)
                    self._news.set()
            await asyncio.sleep(PAUSE_S)

    def _forget(self) -> None:
        self._changed_at = clock.monotonic()
        self._news.set()

    async def workers(self) -> list[WorkerRecord]:
        """All live workers in the order of their ids."""
        asked_at = clock.monotonic()
        # A reading under way may be older than the news; one that began since this was asked is good enough.
        while self._read_at < asked_at and not self._is_fresh(asked_at):
            if self._reading is None or self._reading.done():
                self._reading = asyncio.ensure_future(self._read())
                # When all who asked were cancelled nobody looks at a failure; it is no news then.
                self._reading.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.shield(self._reading)
        return self._workers

    def _is_fresh(self, now: float) -> bool:
        return self._read_at > self._changed_at and now - self._read_at <= MAX_AGE_S

    async def _read(self) -> None:
        read_at, found, after = clock.monotonic(), list[WorkerRecord](), ""
        while True:
            page = await self._backend.worker_list(after, PAGE)
            found += page
            if len(page) < PAGE:
                break
            after = page[-1].worker_id
        self._workers, self._read_at = found, read_at
        kinds = frozenset(
            (worker.namespace, pool.lanes, pool.capabilities)
            for worker in found
            if not worker.draining
            for pool in worker.pools
        )
        if kinds != self._kinds:
            self._kinds = kinds
            self._watchers.wake_all()

    def has_capable_worker(self, queue: str) -> bool:
        """Whether a worker of the last picture can run what waits in a queue."""
        namespace, lane, class_name = keys.parse_queue(queue)
        required = required_by(class_name)
        return any(
            kind_namespace == namespace and lane in lanes and required <= capabilities
            for kind_namespace, lanes, capabilities in self._kinds
        )
