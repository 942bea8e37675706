"""One run: submit, watch, kill a worker half-way, and wait for every outcome.

Everything is seen through `Client`, as any other program would see it.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from examples.index_files.files import File
from examples.index_files.tasks import IndexFile, index_file
from flowfabric import Client, EngineError, Execution, Spec, State
from flowfabric.cli.worker_process import WorkerProcess

LOOK_INTERVAL_S = 0.2

# Longer than a lease and any pause of a task together: then something is wrong.
PATIENCE_S = 60.0


class Wrong(Exception):
    """The run cannot go on; the message says why."""


@dataclass(slots=True)
class Sight:
    """What is seen of a run at one moment."""

    total: int
    executions: list[Execution] = field(default_factory=list)
    event: str = ""
    """What happened to the workers last."""
    killed: str = ""
    """The worker that was killed."""

    @property
    def states(self) -> Counter[State]:
        """Executions by state."""
        return Counter(execution.state for execution in self.executions)

    @property
    def held(self) -> Counter[str]:
        """Leases by worker; a fresh one has no name to it until the worker has confirmed it."""
        leases = (each.lease for each in self.executions if each.lease is not None)
        return Counter(lease.worker_id for lease in leases if lease.confirmed)

    @property
    def ended(self) -> int:
        """Executions with an outcome."""
        return sum(execution.state.is_terminal for execution in self.executions)

    @property
    def recovered(self) -> int:
        """Executions that outlived a lost lease."""
        return sum(execution.reclaims > 0 for execution in self.executions)


async def submit(client: Client, files: Sequence[File], pace: float) -> dict[str, File]:
    """Submits one execution a file, in bulk; the files by execution id."""
    specs = [Spec(index_file.kind, IndexFile(path=str(file.path), pace=pace)) for file in files]
    submitted: dict[str, File] = {}
    for file, verdict in zip(files, await client.submit_many(specs, retry_safe=True), strict=True):
        if isinstance(verdict, EngineError):
            raise Wrong(f"{file.name} was not accepted: {verdict}")
        submitted[verdict.execution_id] = file
    return submitted


async def wait_for_workers(client: Client, workers: Sequence[WorkerProcess]) -> None:
    """Waits until the engine knows every worker."""
    names = {worker.name for worker in workers}
    while not names <= {worker.worker_id for worker in await client.workers()}:
        for worker in workers:
            if not worker.is_running:
                raise Wrong(f"{worker.name} did not start:\n" + "\n".join(worker.lines))
        await asyncio.sleep(LOOK_INTERVAL_S)


class Kill:
    """Kills the worker with the most leases once half of the work is done.

    The victim is frozen first and looked at again: what it holds then, it holds when it dies. Without
    that, a worker could finish its last piece between the look and the signal.
    """

    def __init__(self, workers: Sequence[WorkerProcess], total: int) -> None:
        self._workers = {worker.name: worker for worker in workers}
        self._threshold = total // 2 if total >= 2 * len(workers) else 0
        self._frozen: WorkerProcess | None = None
        self.is_done = False

    def attempt(self, sight: Sight) -> None:
        """Takes the next step that what is seen allows."""
        if self.is_done or sight.ended < self._threshold:
            return
        if self._frozen is not None:
            name = self._frozen.name
            if held := sight.held[name]:
                self._frozen.kill(signal.SIGKILL)
                self.is_done = True
                sight.killed = name
                sight.event = f"{name} was killed while it held {held} lease{'s' if held > 1 else ''}"
            else:
                self._frozen.kill(signal.SIGCONT)
            self._frozen = None
        elif sight.held:
            self._frozen = self._workers[sight.held.most_common(1)[0][0]]
            self._frozen.kill(signal.SIGSTOP)


async def follow(
    client: Client,
    workers: Sequence[WorkerProcess],
    total: int,
    show: Callable[[Sight], None],
) -> Sight:
    """Looks at the run until every execution has an outcome."""
    sight = Sight(total)
    kill = Kill(workers, total)
    moved_at, last_ended = time.monotonic(), -1
    while True:
        looked_at = time.monotonic()
        sight.executions = [each async for each in client.list(kind=index_file.kind, page_size=1000)]
        show(sight)
        if len(sight.executions) == total == sight.ended:
            return sight
        kill.attempt(sight)
        now = time.monotonic()
        if sight.ended != last_ended:
            moved_at, last_ended = now, sight.ended
        if now - moved_at > PATIENCE_S:
            raise Wrong(f"{total - sight.ended} executions have no outcome and nothing moved for a minute")
        # Looking at very many takes long; the engine's time belongs to the work.
        await asyncio.sleep(max(LOOK_INTERVAL_S, 3 * (now - looked_at)))
