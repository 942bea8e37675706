"""A load of recorded work on a stack, by worker processes that a test may kill, freeze and stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from flowfabric import Client, Execution, Spec, State, Submission
from flowfabric._stack import Stack
from flowfabric._valkey import ValkeyServer, tied_command
from tests.e2e.history import Disturbances, Run, Shown, check, check_recorded_work, read_events, read_runs
from tests.e2e.waiting import eventually, is_ready, until

PROGRAM = Path(__file__).parent / "programs" / "recorded_work.py"
FRAMES = 3
PATIENCE_S = 90.0
AT_ONCE = 16
CHECK_END = partial(check_recorded_work, FRAMES)

#: Leases short enough to be waited for, and long enough to be renewed on a machine that is busy.
LEASE_TTL_MS = 3000
SHORT_LEASES = {"FF_LEASE_TTL_MS": str(LEASE_TTL_MS)}


class WorkerProcess:
    """One process that runs recorded work."""

    def __init__(self, name: str, env: Mapping[str, str], log: Path) -> None:
        self.worker_id = name
        self._env = os.environ | {"WORKER_ID": name, **env}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it lives; it may be frozen."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it; when it is in session the engine lists it."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tied_command([sys.executable, str(PROGRAM)]), env=self._env, stdout=log, stderr=log
            )

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal."""
        os.kill(self.pid, sig)

    async def wait(self) -> int:
        """Waits for the end and returns the exit status."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()


class Load:
    """Recorded work in a namespace of its own; `finish` and `check` close the books."""

    def __init__(
        self, stack: Stack, valkey: ValkeyServer, client: Client, doors: Sequence[str], home: Path
    ) -> None:
        self.stack = stack
        self.client = client
        self.disturbances = Disturbances()
        self.texts: dict[str, str] = {}
        self.workers: list[WorkerProcess] = []
        self.valkey = valkey
        self._doors = doors
        self._home = home
        self._records = home / "records"

    # Workers

    async def start_workers(
        self, count: int, slots: int = 8, *, door: int | None = None, prefetch: bool = True
    ) -> list[WorkerProcess]:
        """Starts more workers and waits until the engine knows them; `door` is the only gateway they know."""
        env = {
            "FF_ADDR": _address(self._doors, door),
            "PREFETCH": str(int(prefetch)),
            "NAMESPACE": self.client.namespace,
            "RECORDS": str(self._records),
            "SLOTS": str(slots),
        }
        started = []
        for _ in range(count):
            name = f"worker-{len(self.workers)}"
            worker = WorkerProcess(name, env, self._home / f"{name}.log")
            await worker.start()
            self.workers.append(worker)
            started.append(worker)
        names = {worker.worker_id for worker in started}

        async def are_known() -> bool:
            return names <= {worker.worker_id for worker in await self.client.workers()}

        await eventually(are_known, PATIENCE_S)
        return started

    def kill(self, worker: WorkerProcess) -> None:
        """Kills a worker; the time written down is one when it was surely still alive, or just not."""
        self.disturbances.killed[worker.pid] = time.monotonic()
        worker.kill()

    def freeze(self, worker: WorkerProcess) -> None:
        """Stops a worker where it stands."""
        self.disturbances.frozen.add(worker.pid)
        worker.kill(signal.SIGSTOP)

    async def bury(self, worker: WorkerProcess) -> int:
        """Waits until a worker dies by itself, writes that down, and returns its exit status."""
        status = await worker.wait()
        self.disturbances.killed[worker.pid] = time.monotonic()
        return status

    async def stop_workers(self) -> None:
        """Ends all that still run, at once."""
        for worker in self.workers:
            if worker.is_running:
                worker.kill()
                await worker.wait()

    # Work

    async def submit(
        self, count: int, seconds: float = 0.03, *, is_held: bool = False, kind: str = "recorded_work"
    ) -> list[str]:
        """Submits more; each one acknowledged is one to account for."""
        texts = [f"text {len(self.texts) + number}" for number in range(count)]
        specs = [
            Spec(
                kind,
                {"text": text, "seconds": seconds, "frames": FRAMES, "is_held": is_held},
            )
            for text in texts
        ]
        verdicts = await self.client.submit_many(specs, retry_safe=True)
        ids = []
        for text, verdict in zip(texts, verdicts, strict=True):
            assert isinstance(verdict, Submission), verdict
            self.texts[verdict.execution_id] = text
            ids.append(verdict.execution_id)
        return ids

    async def hold(self, count: int) -> list[str]:
        """Submits work that runs until it is released, and waits until all of it runs."""
        ids = await self.submit(count, is_held=True)

        async def do_run() -> bool:
            return set(ids) <= {run.execution for run in self.runs()}

        await eventually(do_run, PATIENCE_S)
        return ids

    def release(self) -> None:
        """Lets go of work that is held."""
        Path(f"{self._records}.released").touch()

    def letter(self, execution_id: str) -> list[str]:
        """Id and token of the waitpoint of an errand, once it has sent them out."""
        letter = Path(f"{self._records}.{execution_id}")
        return letter.read_text().split() if letter.exists() else []

    def runs(self) -> list[Run]:
        """What the handlers wrote down so far."""
        return read_runs(self._records)

    async def reach(self, finished: int) -> None:
        """Waits until so many runs have finished: the middle of the load."""

        async def have_finished() -> bool:
            if not self._records.exists():
                return False
            return self._records.read_bytes().count(b'"finished"') >= finished

        await eventually(have_finished, PATIENCE_S)

    async def completed(self) -> dict[str, Execution]:
        """Executions that a client is told are completed."""
        found = self.client.list(state=State.COMPLETED, page_size=1000)
        return {execution.execution_id: execution async for execution in found}

    # The end

    async def finish(self) -> dict[str, Shown]:
        """Waits for every execution and collects what a client is shown of it."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def show(execution_id: str) -> Shown:
            async with turn:
                await until(self.client, execution_id, lambda one: one.state.is_terminal, PATIENCE_S)
                execution = await self.client.get(execution_id)
                result = await self.client.result(execution_id, str)
                page = await self.client.read_output(execution_id, page_size=1000)
                assert page.close_reason == "completed", page
                return Shown(execution, result, page.frames)

        return dict(zip(self.texts, await asyncio.gather(*(show(one) for one in self.texts)), strict=True))

    async def check(
        self, check_end: Callable[[str, Sequence[Run], Shown], None] = CHECK_END
    ) -> dict[str, Shown]:
        """Finishes, and asserts every promise for every execution; `check_end` those of what it does."""
        shown = await self.finish()
        check(
            self.texts,
            check_end,
            runs=self.runs(),
            events=read_events(self.valkey.call),
            shown=shown,
            disturbances=self.disturbances,
        )
        return shown

    def story(self) -> str:
        """What the workers printed, for a failure's report."""
        lines = {log.name: log.read_text(errors="replace") for log in sorted(self._home.glob("*.log"))}
        return "\n".join(f"{name}:\n{text[-3000:]}" for name, text in lines.items() if text)


def _address(doors: Sequence[str], door: int | None) -> str:
    """One of the gateways, or all of them."""
    return doors[door] if door is not None else f"ipv4:{','.join(doors)}"


@asynccontextmanager
async def open_load(
    home: Path,
    *,
    gateways: int = 1,
    schedulers: int = 1,
    scanners: int = 1,
    door: int | None = None,
    env: Mapping[str, str] = SHORT_LEASES,
    valkey_options: Sequence[str] = (),
) -> AsyncIterator[Load]:
    """A load on a stack of its own, whose Valkey keeps an append-only file.

    `door` is the only gateway that the client knows.
    """
    with ValkeyServer(data_dir=home / "valkey", options=valkey_options) as valkey:
        stack = Stack(gateways, schedulers, scanners, valkey=valkey.address, env=dict(env))
        async with stack:
            doors = [one.addresses for one in stack.processes.values() if one.service == "gateway"]

            async def are_ready() -> bool:
                return all([await asyncio.to_thread(is_ready, one["http"]) for one in doors])

            await eventually(are_ready)
            namespace = f"load-{uuid.uuid4().hex[:12]}"
            addresses = [one["grpc"] for one in doors]
            async with Client(_address(addresses, door), namespace=namespace) as client:
                load = Load(stack, valkey, client, addresses, home)
                try:
                    yield load
                except BaseException as error:
                    services = "\n".join(
                        f"{name}: {line}"
                        for name, process in stack.processes.items()
                        for line in list(process.lines)[-8:]
                    )
                    error.add_note(f"{load.story()}\n{services}")
                    raise
                finally:
                    await load.stop_workers()
