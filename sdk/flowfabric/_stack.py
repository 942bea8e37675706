"""The whole engine on this machine: an embedded Valkey and the services, each a process of its own.

`flowfabric dev`, the demo and the tests run on it. Services are started as `python -m ff_gateway` and so
on, never imported. Each runs in a session of its own, so that Ctrl-C in a terminal reaches only the
parent, which then stops the rest in order; if the parent is killed instead, they die with it (Linux).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from flowfabric._valkey import ValkeyServer, tied_command

READY_TIMEOUT_S = 30.0
STOP_GRACE_S = 15.0
KEPT_LINES = 500
LONGEST_LINE = 1 << 20

#: The module of each service, and the variables that fix the addresses its "ready" event tells.
MODULES = {"gateway": "ff_gateway", "scheduler": "ff_scheduler", "scanners": "ff_scanners"}
ADDRESSES = {
    "gateway": {"grpc": "FF_GRPC_ADDR", "http": "FF_LISTEN_ADDR"},
    "scheduler": {"dispatch": "FF_DISPATCH_ADDR", "ops": "FF_OPS_ADDR"},
    "scanners": {"ops": "FF_OPS_ADDR"},
}

LogCallback = Callable[[str, str], None]


class StackError(RuntimeError):
    """A service did not start; the message ends with what it printed last."""


class ServiceProcess:
    """One service process: started, watched, killed and restarted."""

    def __init__(self, name: str, service: str, env: Mapping[str, str], log: LogCallback | None) -> None:
        self.name = name
        self.service = service
        #: What the service listens on, by the names of its "ready" event; kept over restarts.
        self.addresses: dict[str, str] = {}
        #: The last lines it printed, over restarts.
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._env = dict(env)
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def pid(self) -> int:
        """Process id of the newest start."""
        return self._started().pid

    @property
    def was_started(self) -> bool:
        """Whether there is, or was, a process."""
        return self._process is not None

    @property
    def is_running(self) -> bool:
        """Whether the process lives; it may be stopped by a signal."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts the process and returns when it says that it is ready.

        Raises:
            StackError: It ended, or said nothing in time. It is not running then.
        """
        if self.is_running:
            raise StackError(f"{self.name} is running already")
        await self._launch()
        reader = self._reader
        assert reader is not None
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({ready, reader}, timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not self._ready.is_set():
                why = "ended" if reader.done() else f"was not ready after {READY_TIMEOUT_S:g} s"
                raise StackError(f"{self.name} {why}:\n" + "\n".join(list(self.lines)[-20:]))
        except BaseException:
            self.kill()
            await self.wait()
            raise
        finally:
            ready.cancel()

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal; one that has ended already gets none."""
        if self._process is not None and self._process.returncode is None:
            # Not `send_signal`, which polls first and can take the exit status away from asyncio.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, sig)

    async def wait(self) -> int:
        """Waits for the end and returns the exit status, negative for a signal."""
        process = self._started()
        status = await process.wait()
        if self._reader is not None:
            # Shielded: a caller who gives up waiting must not stop the reading of the pipe.
            await asyncio.shield(self._reader)
        return status

    async def stop(self, grace: float = STOP_GRACE_S) -> int:
        """Asks the process to drain and end, kills it when that takes too long, and returns its status."""
        self.kill(signal.SIGTERM)
        self.kill(signal.SIGCONT)  # one that was paused cannot act on SIGTERM
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            self.kill()
            return await self.wait()

    async def restart(self) -> None:
        """Ends the process if it still runs and starts it again on the addresses it had."""
        if self.is_running:
            await self.stop()
        await self.start()

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise StackError(f"{self.name} has not been started")
        return self._process

    async def _launch(self) -> None:
        variables = ADDRESSES[self.service]
        known = {variables[kind]: address for kind, address in self.addresses.items()}
        self._ready = asyncio.Event()
        self._process = await asyncio.create_subprocess_exec(
            *tied_command([sys.executable, "-m", MODULES[self.service]]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._env | known,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._reader = asyncio.create_task(self._read(self._process.stdout, self._ready))

    async def _read(self, stdout: asyncio.StreamReader, ready: asyncio.Event) -> None:
        while True:
            try:
                raw = await stdout.readline()
            except ValueError:  # a line over the limit, already dropped by the stream
                raw = b"(a line that was too long)\n"
            if not raw:
                return
            line = raw.decode(errors="replace").rstrip()
            self.lines.append(line)
            if self._log is not None:
                self._log(self.name, line)
            if not ready.is_set() and (addresses := self._parse_ready(line)) is not None:
                self.addresses = addresses
                ready.set()

    def _parse_ready(self, line: str) -> dict[str, str] | None:
        """Addresses told by a "ready" event; nothing for any other line."""
        try:
            event = json.loads(line)
        except ValueError:
            return None
        if not isinstance(event, dict) or event.get("event") != "ready":
            return None
        return {kind: str(event[kind]) for kind in ADDRESSES[self.service] if kind in event}


class Stack:
    """An embedded Valkey, or a given one, with gateways, schedulers and scanners around it."""

    def __init__(
        self,
        gateways: int = 1,
        schedulers: int = 1,
        scanners: int = 1,
        *,
        valkey: str | None = None,
        env: Mapping[str, str] | None = None,
        log: LogCallback | None = None,
        data_dir: Path | str | None = None,
    ) -> None:
        """Prepares a stack; entering it, or `start`, starts the processes.

        Args:
            gateways: How many gateway processes.
            schedulers: How many scheduler processes.
            scanners: How many scanner processes.
            valkey: host:port of a running server. Without it the stack starts its own, with AOF.
            env: Variables for the services, over those of this process. Fixed addresses among them hold
                for the first process of a service; the others take free ports.
            log: Called with the name of a process and each line it prints.
            data_dir: Where the embedded Valkey keeps its data; a temporary directory without it.
        """
        self.valkey: ValkeyServer | None = None
        if valkey is None:
            self.valkey = ValkeyServer(data_dir=data_dir)
        self._valkey_address = valkey
        self._counts = {"gateway": gateways, "scheduler": schedulers, "scanners": scanners}
        self._env = dict(env or {})
        self._log = log
        #: The processes by name: gateway-0, scheduler-0, scanners-0, and so on.
        self.processes: dict[str, ServiceProcess] = {}

    @property
    def address(self) -> str:
        """gRPC address of the first gateway."""
        return self._gateway_address("grpc")

    @property
    def http(self) -> str:
        """HTTP address (REST, metrics, health) of the first gateway."""
        return self._gateway_address("http")

    async def start(self) -> Self:
        """Starts everything and returns when all services are ready.

        Raises:
            StackError: A service did not start. All others are stopped again.
            ValkeyError: Valkey did not start.
        """
        try:
            if self.valkey is not None:
                # Blocks the loop, which has nothing else to do yet: a child must not be tied to a thread
                # of a pool, with which it would die.
                self.valkey.start()
            self.processes = self._prepare_processes()
            async with asyncio.TaskGroup() as starts:
                for process in self.processes.values():
                    starts.create_task(process.start())
        except BaseExceptionGroup as failures:
            await self.stop(grace=0)
            raise failures.exceptions[0] from None
        except BaseException:
            await self.stop(grace=0)
            raise
        return self

    async def stop(self, grace: float = STOP_GRACE_S) -> dict[str, int]:
        """Stops the services, then Valkey, and returns how each service ended. May be called twice."""
        started = {name: process for name, process in self.processes.items() if process.was_started}
        statuses = await asyncio.gather(*(process.stop(grace) for process in started.values()))
        if self.valkey is not None:
            await asyncio.to_thread(self.valkey.stop)
        return dict(zip(started, statuses, strict=True))

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _gateway_address(self, kind: str) -> str:
        gateway = self.processes.get("gateway-0")
        if gateway is None or kind not in gateway.addresses:
            raise StackError("the stack has no running gateway")
        return gateway.addresses[kind]

    def _prepare_processes(self) -> dict[str, ServiceProcess]:
        address = self._valkey_address if self.valkey is None else self.valkey.address
        host, _, port = str(address).rpartition(":")
        base = os.environ | {"FF_HOST": host, "FF_PORT": port, "FF_LOG_FORMAT": "json"} | self._env
        processes = {}
        for service, count in self._counts.items():
            any_port = dict.fromkeys(ADDRESSES[service].values(), "127.0.0.1:0")
            for number in range(count):
                name = f"{service}-{number}"
                env = any_port | base if number == 0 else base | any_port
                processes[name] = ServiceProcess(name, service, env, self._log)
        return processes
