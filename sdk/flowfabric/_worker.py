"""Runs tasks: holds a session with the engine, takes what it is granted, and says what became of it.

Worker ── Uplink ── Connection ── Stream      which gateway, one session on its stream, one call
   │                    └── Session           what to say and what follows from what is heard
   ├── Attempts ── Context                    the handlers that run, or wait for one of the Slots
   │      │      └── Durable ── Journal       their steps and waits
   │      ├── OutputStream ── Output          their output
   │      └── Calls                           what they ask the engine by themselves
   └── Leases                                 what is held, and what is yet to be said
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flowfabric._attempts import Attempts
from flowfabric._channel import Gateway, resolve_namespace
from flowfabric._connection import Connection
from flowfabric._errors import LeaseLost
from flowfabric._execution import Duration
from flowfabric._leases import Leases
from flowfabric._outcome import checked
from flowfabric._session import Effects, Identity, Pool
from flowfabric._slots import Slots
from flowfabric._task import Task
from flowfabric._uplink import Uplink

logger = logging.getLogger(__name__)

# How long `stop` waits for handlers that were told to stop.
STOP_TIMEOUT_S = 5.0


class Worker:
    """Runs the tasks it is given; `await worker.run()` is all a process needs."""

    def __init__(
        self,
        tasks: Sequence[Task[..., Any]],
        *,
        address: str | None = None,
        token: str | None = None,
        namespace: str | None = None,
        lanes: Sequence[str] | None = None,
        capabilities: Sequence[str] = (),
        slots: int = 8,
        pools: Sequence[Pool] | None = None,
        prefetch: bool = True,
        short_wait: Duration = 1.0,
        worker_id: str | None = None,
        identity: str | None = None,
    ) -> None:
        """Prepares a worker; nothing is opened yet.

        Args:
            tasks: What it can do; one task a kind.
            address: The gateway, else FF_ADDR, else this machine.
            token: What to show it, else FF_API_TOKEN.
            namespace: Whose executions it runs, else FF_NAMESPACE, else "default".
            lanes: Where it takes work from; the lanes of its tasks when not given.
            capabilities: What executions may require of it.
            slots: How many handlers run at once.
            pools: Instead of lanes, capabilities and slots: several sets of them.
            prefetch: While handlers are short, fetch a few grants ahead of the slots; what waits for a slot
                a tenth of a second goes back. False: never more grants than slots.
            short_wait: Sleeps up to this long stay in memory instead of suspending the execution.
            worker_id: Unique; made up when not given. Of two workers with one id the newer wins.
            identity: For people; host and process id when not given.
        """
        self._tasks = {task.kind: task for task in tasks}
        if not tasks or len(self._tasks) != len(tasks):
            raise ValueError("give the worker at least one task, and one task a kind")
        if pools is None:
            lanes = sorted({task.lane for task in tasks}) if lanes is None else lanes
            pools = [Pool(lanes, capabilities, slots)]
        elif lanes is not None or capabilities:
            raise ValueError("give pools, or lanes, capabilities and slots")
        if not pools or any(pool.slots < 1 or not pool.lanes for pool in pools):
            raise ValueError("every pool needs a lane and a slot")
        self._identity = Identity(
            worker_id=worker_id or f"worker-{uuid.uuid4().hex}",
            identity=identity or f"{socket.gethostname()}:{os.getpid()}",
            namespace=resolve_namespace(namespace),
            sdk_version=sdk_version(),
            pools=tuple(pools),
            kinds=sorted(self._tasks),
        )
        self._gateway = Gateway(address, token)
        self._leases = Leases()
        self._slots = [Slots(pool.slots, prefetch) for pool in pools]
        self._short_wait = checked(short_wait)
        self._attempts: Attempts | None = None
        self._uplink: Uplink | None = None
        self._service: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._exit_signal = 0
        self._farewells: list[asyncio.Task[None]] = []

    @property
    def worker_id(self) -> str:
        """Name of this worker, kept across reconnects."""
        return self._identity.worker_id

    @property
    def namespace(self) -> str:
        """Whose executions it runs."""
        return self._identity.namespace

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT: the first drains, a second stops at once.

        Raises:
            EngineError: no gateway will have this worker: its token or its id is wrong.
            SystemExit: a second signal came.
        """
        with self._signals():
            await self.start()
            await self.wait()
        if self._exit_signal:
            raise SystemExit(128 + self._exit_signal)

    async def start(self) -> None:
        """Goes to work in the background; returns when the first gateway has said Welcome."""
        if self._service is not None:
            raise RuntimeError("a worker starts once; make another")
        attempts = Attempts(self._tasks, self._leases, self._slots, self._wake, self._short_wait)
        self._attempts = attempts
        self._uplink = Uplink(
            self._gateway,
            identity=self._identity,
            leases=self._leases,
            slots=self._slots,
            apply=self._apply,
            follow=self._follow,
        )
        self._service = asyncio.create_task(self._serve(attempts, self._uplink))
        connected = asyncio.create_task(self._uplink.connected.wait())
        await asyncio.wait((self._service, connected), return_when=asyncio.FIRST_COMPLETED)
        connected.cancel()
        if self._service.done():
            await self._service

    async def wait(self) -> None:
        """Waits until the worker has drained or stopped, or cannot go on."""
        if self._service is not None:
            await asyncio.wait((self._service,))
            self._service.result()

    async def drain(self) -> None:
        """Takes no more work, gives back what waits, finishes what runs, has it acknowledged, and closes."""
        if self._attempts is None or self._uplink is None:
            return
        self._uplink.drain()
        self._attempts.decline_waiting("the worker is leaving")
        await self._attempts.idle()
        if self._leases.held:
            self._settled.clear()
            self._uplink.wake()
            # After the time of a lease nobody can want its outcome any more.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._uplink.lease_ttl or None):
                    await self._settled.wait()
        self._uplink.close()
        await self.wait()

    async def stop(self) -> None:
        """Stops the handlers, gives their work back, and closes."""
        if self._attempts is None or self._uplink is None:
            return
        self._uplink.drain()
        self._attempts.stop(LeaseLost("LEASE_STALE", "the worker stops"))
        with suppress(TimeoutError):  # a thread cannot be stopped; its lease stays until it runs out
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._attempts.idle()
        self._uplink.close()
        await self.wait()

    async def _serve(self, attempts: Attempts, uplink: Uplink) -> None:
        output = asyncio.create_task(attempts.output.run())
        session = asyncio.create_task(uplink.run())
        try:
            done, _ = await asyncio.wait((output, session), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            attempts.stop(LeaseLost("LEASE_STALE", "the worker stops"))
            output.cancel()
            session.cancel()
            await asyncio.wait((output, session))
            attempts.close()
            self._settled.set()

    def _apply(self, effects: Effects) -> None:
        attempts = self._attempts
        assert attempts is not None
        # Grants first: what else a message says may be about them.
        for grant in effects.grants:
            attempts.accept(grant)
        for lease, error in effects.lost:
            attempts.lose(lease, error)
        for cancel in effects.cancels:
            attempts.cancel(cancel.lease)
        for _, error in effects.refused:
            logger.warning("outcome_refused reason=%s", error)
        if not self._leases.held:
            self._settled.set()

    def _follow(self, connection: Connection | None) -> None:
        assert self._attempts is not None
        self._attempts.follow(connection)

    def _wake(self) -> None:
        if self._uplink is not None:
            self._uplink.wake()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        with suppress(NotImplementedError):  # Windows has no such signals
            for number in numbers:
                loop.add_signal_handler(number, self._receive_signal, number, loop)
        try:
            yield
        finally:
            with suppress(NotImplementedError):
                for number in numbers:
                    loop.remove_signal_handler(number)

    def _receive_signal(self, number: signal.Signals, loop: asyncio.AbstractEventLoop) -> None:
        if not self._farewells:
            logger.info("worker_draining signal=%s", number.name)
            self._farewells.append(loop.create_task(self.drain()))
        elif not self._exit_signal:
            logger.warning("worker_stopping signal=%s", number.name)
            self._exit_signal = number
            self._farewells.append(loop.create_task(self.stop()))
            # A third signal does what signals do to any process.
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)


def sdk_version() -> str:
    """The version of the installed SDK."""
    try:
        return version("flowfabric")
    except PackageNotFoundError:
        return "0"
