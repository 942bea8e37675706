"""What the shows share: an engine of their own, workers that come and go, and a verdict at the end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flowfabric import Client, Execution, FlowFabricError, State
from flowfabric.cli.table import STEP_STYLES, state_text
from flowfabric.cli.worker_process import WorkerProcess
from flowfabric.stack import Stack, StackError, ValkeyError

PROJECT = Path(__file__).resolve().parents[1]

# Longer than anything in a show takes: then something is wrong.
PATIENCE_S = 60.0


class Wrong(Exception):
    """The show cannot go on; the message says why."""


class Stage:
    """The whole engine on this machine, with an embedded Valkey; a context manager."""

    def __init__(self, title: str, app: str, env: Mapping[str, str] | None = None) -> None:
        """Prepares a stage for workers of an app, given as `flowfabric worker` takes it.

        `env` is for the services and the workers.
        """
        self.console = Console(highlight=False)
        self.problems: list[str] = []
        self._title = title
        self._app = app
        self._env = dict(env or {})
        self._stack = Stack(env=self._env)
        self._exits = AsyncExitStack()
        self._began = time.monotonic()

    @property
    def http(self) -> str:
        """Where the engine speaks HTTP."""
        return f"http://{self._stack.http}"

    @property
    def address(self) -> str:
        """Where the engine speaks gRPC."""
        return self._stack.address

    async def __aenter__(self) -> Self:
        self.console.rule(f"[bold]{self._title}", align="left")
        self.say("engine", "starting Valkey, gateway, scheduler and scanners")
        await self._exits.enter_async_context(self._stack)
        self._began = time.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def client(self, token: str | None = None) -> Client:
        """A client, which is closed with the stage."""
        token = token or self._env.get("FF_API_TOKEN")
        return await self._exits.enter_async_context(Client(self.address, token=token))

    async def worker(self, name: str) -> WorkerProcess:
        """A worker process, which is ended with the stage if it still runs."""
        env = {**self._env, "FF_ADDR": self.address}
        worker = WorkerProcess(name, [self._app, "--id", name], env, cwd=str(PROJECT))
        await worker.start()
        self._exits.push_async_callback(worker.stop)
        self.say(name, "started")
        return worker

    async def kill(self, worker: WorkerProcess) -> None:
        """Ends a worker as a power cut would."""
        worker.kill()
        await worker.wait()
        self.say(worker.name, Text("killed: now no process knows of the work", "red"))

    def say(self, who: str, what: str | Text) -> None:
        """A line of the story."""
        line = Text(f"{time.monotonic() - self._began:5.1f} s  ", "dim")
        line.append(f"{who:<10}", "bold")
        line.append(what if isinstance(what, Text) else Text(what))
        self.console.print(line, soft_wrap=True)

    def check(self, is_so: object, otherwise: str) -> None:
        """Notes a problem unless all is as it should be."""
        if not is_so:
            self.problems.append(otherwise)

    async def until(self, client: Client, execution_id: str, *states: State, number: int = 0) -> Execution:
        """Waits until an execution is in one of the states, in its suspension of that number or later."""
        try:
            async with asyncio.timeout(PATIENCE_S), aclosing(client.watch(execution_id)) as changes:
                async for execution in changes:
                    seen = execution.suspension.number if execution.suspension else 0
                    if execution.state in states and seen >= number:
                        return execution
        except TimeoutError:
            raise Wrong(f"nothing happened for {PATIENCE_S:.0f} s") from None
        raise Wrong(f"the execution {execution.ending()}")

    def show_steps(self, execution: Execution) -> None:
        """A table of what the handler did."""
        table = Table("step", "what", "", "runs", "took", title="the journal", title_justify="left")
        for step in execution.steps:
            took = ""
            if step.start_time and step.end_time:
                took = f"{(step.end_time - step.start_time).total_seconds():.2f} s"
            state = Text(step.state, STEP_STYLES.get(step.state, ""))
            kind = step.kind if step.kind != "step" else ""
            table.add_row(step.key, f"{kind} {step.name}".strip(), state, str(step.runs or ""), took)
        self.console.print(table)
        ending = Text("the execution is ").append_text(state_text(execution.state))
        self.console.print(ending.append(f", attempt {execution.attempt}"))


def perform(show: Coroutine[Any, Any, Stage]) -> int:
    """Runs a show to its end; 0 when all is well."""
    console = Console(highlight=False)
    try:
        problems = asyncio.run(show).problems
    except (FlowFabricError, StackError, ValkeyError, Wrong) as error:
        problems = [str(error)]
    except KeyboardInterrupt:
        return 130
    for problem in problems:
        console.print(Text("wrong: ", "red").append(problem), soft_wrap=True)
    if not problems:
        console.print("[green]all is well[/]")
    sys.stdout.flush()
    return 1 if problems else 0
