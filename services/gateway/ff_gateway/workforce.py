"""What live workers can do, for "why is it not running?". A picture at most two seconds old."""

from __future__ import annotations

from ff_core import clock, keys
from ff_core.backend import EngineBackend
from ff_core.capabilities import required_by
from ff_core.worker import WorkerRecord

MAX_AGE_S = 2.0
PAGE = 1000


class Workforce:
    """The live workers of all namespaces."""

    def __init__(self, backend: EngineBackend) -> None:
        self._backend = backend
        self._workers: list[WorkerRecord] = []
        self._read_at = float("-inf")

    async def listen(self) -> None:
        """Starts to hear of workers that come and go."""
        await self._backend.hints.listen(keys.WORKERS_CHANNEL, self._forget, sharded=False)

    def _forget(self, _message: bytes) -> None:
        self._read_at = float("-inf")

    async def workers(self) -> list[WorkerRecord]:
        """All live workers in the order of their ids."""
        if clock.monotonic() - self._read_at > MAX_AGE_S:
            read_at, found, after = clock.monotonic(), [], ""
            while True:
                page = await self._backend.worker_list(after, PAGE)
                found += page
                if len(page) < PAGE:
                    break
                after = page[-1].worker_id
            self._workers, self._read_at = found, read_at
        return self._workers

    def has_capable_worker(self, queue: str) -> bool:
        """Whether a worker of the last picture can run what waits in a queue."""
        namespace, lane, class_name = keys.parse_queue(queue)
        required = required_by(class_name)
        return any(
            worker.namespace == namespace
            and any(lane in pool.lanes and required <= pool.capabilities for pool in worker.pools)
            for worker in self._workers
            if not worker.draining
        )
