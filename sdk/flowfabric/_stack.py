"""The whole engine on this machine: an embedded Valkey and the services, each a process of its own.

`flowfabric dev`, the demo and the tests run on it. Services are started as `python -m ff_gateway` and so
on, never imported.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from flowfabric._child import STOP_GRACE_S, ChildProcess, LogCallback
from flowfabric._secret import VARIABLE, kept_secret, new_secret
from flowfabric._valkey import ValkeyServer

READY_TIMEOUT_S = 60.0

#: The module of each service, and the variables that fix the addresses its "ready" event tells.
MODULES = {"gateway": "ff_gateway", "scheduler": "ff_scheduler", "scanners": "ff_scanners"}
ADDRESSES = {
    "gateway": {"grpc": "FF_GRPC_ADDR", "http": "FF_LISTEN_ADDR"},
    "scheduler": {"dispatch": "FF_DISPATCH_ADDR", "ops": "FF_OPS_ADDR"},
    "scanners": {"ops": "FF_OPS_ADDR"},
}


class StackError(RuntimeError):
    """A service did not start; the message ends with what it printed last."""


class ServiceProcess(ChildProcess):
    """One service process, which is started when it says that it is ready."""

    def __init__(self, name: str, service: str, env: Mapping[str, str], log: LogCallback | None) -> None:
        super().__init__(name, [sys.executable, "-m", MODULES[service]], env, log)
        self.service = service
        #: What the service listens on, by the names of its "ready" event; kept over restarts.
        self.addresses: dict[str, str] = {}
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Starts the process and returns when it says that it is ready.

        Raises:
            StackError: It ended, or said nothing in time. It is not running then.
        """
        await super().start()
        self._ready.clear()  # no line was heard since
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

    async def restart(self) -> None:
        """Ends the process if it still runs and starts it again on the addresses it had."""
        if self.is_running:
            await self.stop()
        await self.start()

    def hear(self, line: str) -> None:
        """Takes a line; the "ready" event tells the addresses, which the next start will ask for."""
        super().hear(line)
        if not self._ready.is_set() and (addresses := self._parse_ready(line)) is not None:
            variables = ADDRESSES[self.service]
            self.addresses = addresses
            self._env |= {variables[kind]: address for kind, address in addresses.items()}
            self._ready.set()

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
            data_dir: Where the embedded Valkey keeps its data, and the secret of waitpoint tokens beside it;
                a temporary directory without it. FF_WAITPOINT_HMAC_SECRET goes before the secret kept
                there, and has to be set by whoever starts several stacks on one server.
        """
        self.valkey: ValkeyServer | None = None
        if valkey is None:
            self.valkey = ValkeyServer(data_dir=data_dir)
        self._valkey_address = valkey
        self._counts = {"gateway": gateways, "scheduler": schedulers, "scanners": scanners}
        self._env = dict(env or {})
        self._data_dir = None if data_dir is None else Path(data_dir)
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
        if VARIABLE not in base:
            base[VARIABLE] = new_secret() if self._data_dir is None else kept_secret(self._data_dir)
        processes = {}
        for service, count in self._counts.items():
            any_port = dict.fromkeys(ADDRESSES[service].values(), "127.0.0.1:0")
            for number in range(count):
                name = f"{service}-{number}"
                env = any_port | base if number == 0 else base | any_port
                processes[name] = ServiceProcess(name, service, env, self._log)
        return processes
