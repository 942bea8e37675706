"""`flowfabric dev`: the whole engine on this machine, until Ctrl-C.

Whatever is killed is started again, so that people can kill things and watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flowfabric._channel import DEFAULT_ADDRESS
from flowfabric._stack import ServiceProcess, Stack, StackError
from flowfabric._valkey import HOST, ValkeyError
from flowfabric.cli.command import AsJson, Target, fail, run, targeted
from flowfabric.cli.log_view import JsonView, LogView, View, Whereabouts
from flowfabric.cli.worker_process import WorkerProcess

GRPC_PORT = int(DEFAULT_ADDRESS.rpartition(":")[2])
HTTP_PORT = 9090


@targeted
def dev(
    target: Target,
    *,
    workers: Annotated[
        list[str] | None, typer.Option(metavar="MODULE:APP", help="Run this worker as well (repeat).")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of gRPC; 0 for any.")] = GRPC_PORT,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of HTTP; 0 for any.")] = HTTP_PORT,
    data: Annotated[Path, typer.Option(help="Where the data is kept.")] = Path(".flowfabric"),
    replicas: Annotated[int, typer.Option(min=1, max=16, help="Processes of each service.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Run the whole engine on this machine until Ctrl-C; the next start goes on with the same data."""
    env = {"FF_GRPC_ADDR": f"{HOST}:{port}", "FF_LISTEN_ADDR": f"{HOST}:{http_port}"}
    if target.token:
        env["FF_API_TOKEN"] = target.token
    worker_env = {"FF_NAMESPACE": target.namespace} if target.namespace else {}
    refuse_taken(port, "--port")
    refuse_taken(http_port, "--http-port")
    view: View = JsonView() if as_json else LogView(Console(highlight=False))
    with own(data):
        stack = Stack(replicas, replicas, replicas, env=env, log=view.show, data_dir=data / "valkey")
        try:
            run(Engine(view, stack, data, workers or [], env | worker_env).serve())
        except (StackError, ValkeyError) as error:
            typer.echo(f"STACK_FAILED: {error}", err=True)
            raise typer.Exit(1) from None


def refuse_taken(port: int, option: str) -> None:
    """Fails when somebody else listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                fail(
                    "ADDRESS_REFUSED",
                    f"{HOST}:{port} cannot be used ({error.strerror}); choose with {option}",
                )
            fail(
                "ADDRESS_IN_USE",
                f"{HOST}:{port} is taken, by another `flowfabric dev` perhaps; choose with {option}",
            )


@contextlib.contextmanager
def own(data: Path) -> Iterator[None]:
    """Keeps the data directory from being used twice: two servers would ruin each other's file."""
    import fcntl  # which Windows has not; there the other commands work all the same

    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / ".gitignore").write_text("*\n")
        lock = (data / "lock").open("w")
    except OSError as error:
        fail("DATA_UNUSABLE", f"{data}: {error.strerror}; choose another with --data")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(
                "DATA_IN_USE", f"another `flowfabric dev` uses {data}; end it, or choose another with --data"
            )
        yield


@dataclass(slots=True)
class Engine:
    """A stack and workers that stay up."""

    view: View
    stack: Stack
    data: Path
    apps: Sequence[str]
    env: dict[str, str]

    async def serve(self) -> None:
        """Runs everything until a signal comes; a second one stops it at once.

        Raises:
            StackError: A service did not start, or ended by itself.
        """
        workers: list[WorkerProcess] = []
        with interruptible():
            try:
                self.view.say("starting Valkey, gateway, scheduler and scanners")
                await self.stack.start()
                workers = self._workers()
                for worker in workers:
                    await worker.start()
                self.view.welcome(self._whereabouts())
                async with asyncio.TaskGroup() as watches:
                    for service in self.stack.processes.values():
                        watches.create_task(self._keep(service))
                    for worker in workers:
                        watches.create_task(self._keep(worker))
            except asyncio.CancelledError:
                self.view.say("stopping; once more to stop at once")
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            finally:
                await self._stop(workers)
        self.view.say(f"stopped; `flowfabric dev` goes on with {self.data}")

    def _workers(self) -> list[WorkerProcess]:
        env = self.env | {"FF_ADDR": self.stack.address}
        return [
            WorkerProcess(f"worker-{number}", [app, "--json"], env, self.view.show)
            for number, app in enumerate(self.apps)
        ]

    async def _keep(self, process: ServiceProcess | WorkerProcess) -> None:
        """Starts the process again when it was killed."""
        while (status := await process.wait()) < 0:
            self.view.say(f"{process.name} was killed by {signal.Signals(-status).name}; starting it again")
            await process.start()
        if isinstance(process, ServiceProcess):
            raise StackError(f"{process.name} ended with status {status}")
        self.view.say(f"{process.name} ended with status {status}")

    async def _stop(self, workers: Sequence[WorkerProcess]) -> None:
        workers = [worker for worker in workers if worker.was_started]
        try:
            await asyncio.gather(*(worker.stop() for worker in workers))
            await self.stack.stop()
        except asyncio.CancelledError:
            await asyncio.gather(*(worker.stop(grace=0) for worker in workers))
            await self.stack.stop(grace=0)

    def _whereabouts(self) -> Whereabouts:
        assert self.stack.valkey is not None
        gateways = [each.addresses for each in self.stack.processes.values() if each.service == "gateway"]
        return Whereabouts(
            [each["grpc"] for each in gateways],
            [each["http"] for each in gateways],
            self.stack.valkey.address,
            str(self.data),
        )


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turns each signal to end into a cancellation of this task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
        # All is stopped: one more Ctrl-C on the way out must not make a failure of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
