"""A hand that does harm to a stack, as a seed has it."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

from flowfabric._stack import ServiceProcess
from tests.e2e.load import LEASE_TTL_MS, Load, WorkerProcess

LEASE_S = LEASE_TTL_MS / 1000
WORKERS = 3

Harm = Callable[[], Awaitable[str]]


class Monkey:
    """Kills, freezes and stops; every harm is repaired before it returns, so that the load can end."""

    def __init__(self, load: Load, seed: int) -> None:
        self._load = load
        self._random = random.Random(seed)
        self._harms: list[Harm] = [
            self.kill_a_worker,
            self.freeze_a_worker,
            self.stop_a_worker,
            self.kill_a_service,
            self.freeze_a_service,
            self.stop_a_service,
            self.freeze_valkey,
            self.kill_valkey,
        ]
        self.log: list[str] = []

    async def strike(self) -> None:
        """Waits a moment, then does one harm."""
        await asyncio.sleep(self._random.uniform(0, 1))
        self.log.append(await self._random.choice(self._harms)())

    async def kill_a_worker(self) -> str:
        worker = self._worker()
        self._load.kill(worker)
        await worker.wait()
        await self._load.start_workers(1)
        return f"killed {worker.worker_id}"

    async def freeze_a_worker(self) -> str:
        worker, seconds = self._worker(), self._random.uniform(0, 3 * LEASE_S)
        self._load.freeze(worker)
        await asyncio.sleep(seconds)
        worker.kill(signal.SIGCONT)
        return f"froze {worker.worker_id} for {seconds:.1f} s"

    async def stop_a_worker(self) -> str:
        worker = self._worker()
        worker.kill(signal.SIGTERM)
        await self._load.start_workers(1)
        assert await worker.wait() == 0
        return f"stopped {worker.worker_id}"

    async def kill_a_service(self) -> str:
        service = self._service()
        service.kill()
        await service.wait()
        await service.start()
        return f"killed {service.name}"

    async def freeze_a_service(self) -> str:
        service, seconds = self._service(), self._random.uniform(0, 3 * LEASE_S)
        service.kill(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        service.kill(signal.SIGCONT)
        return f"froze {service.name} for {seconds:.1f} s"

    async def stop_a_service(self) -> str:
        service = self._service()
        await service.restart()
        return f"stopped {service.name}"

    async def freeze_valkey(self) -> str:
        seconds = self._random.uniform(0, LEASE_S)
        self._load.valkey.kill(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._load.valkey.kill(signal.SIGCONT)
        return f"froze valkey for {seconds:.1f} s"

    async def kill_valkey(self) -> str:
        self._load.valkey.kill()
        await asyncio.sleep(self._random.uniform(0, 1))
        self._load.valkey.restart()
        return "killed valkey"

    def _worker(self) -> WorkerProcess:
        return self._random.choice([worker for worker in self._load.workers if worker.is_running])

    def _service(self) -> ServiceProcess:
        return self._random.choice(list(self._load.stack.processes.values()))
