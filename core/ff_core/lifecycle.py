"""How a process lives: one loop, supervised actors, a drain on the first signal, an end on the second."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from prometheus_client import Gauge
from pydantic import ValidationError

from ff_core import clock
from ff_core import log as logs
from ff_core.errors import EngineError
from ff_core.settings import ServiceSettings

log = structlog.get_logger()

LOOP_LAG = Gauge("ff_event_loop_lag_seconds", "How late the event loop ran a timer, newest measurement")
ACTOR_RESTARTS = Gauge("ff_actor_restarts", "Restarts of an actor since the process started", ["actor"])

AnySettings = TypeVar("AnySettings", bound=ServiceSettings)


class Supervisor:
    """Keeps actors running: one that raises is started again, later each time, up to five seconds."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Starts an actor. It ends when `run` returns or the supervisor stops."""
        task = asyncio.get_running_loop().create_task(self._keep(name, run), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancels every actor and waits for them. May be called twice, or before any start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause = 0.1
        while True:
            started = clock.monotonic()
            try:
                await run()
                return
            except asyncio.CancelledError:
                raise
            except EngineError as error:
                log.warning("actor_failed", actor=name, code=error.code.name, detail=error.detail)
            except Exception:
                log.exception("actor_failed", actor=name)
            ACTOR_RESTARTS.labels(name).inc()
            if clock.monotonic() - started > 30:
                pause = 0.1
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 5.0)


def main(
    service: str,
    settings_class: type[AnySettings],
    serve: Callable[[AnySettings, asyncio.Event], Awaitable[None]],
) -> None:
    """Entry of a service: reads the settings, sets up logs and loop, and runs `serve` until a signal.

    Exit status 2 for bad settings, 1 when the service could not start or failed.
    """
    try:
        settings = settings_class()
    except ValidationError as error:
        sys.stderr.write(f"{service}: bad settings\n")
        for problem in error.errors():
            name = "FF_" + "_".join(str(part) for part in problem["loc"]).upper() if problem["loc"] else ""
            sys.stderr.write(
                f"  {name}: {problem['msg'].removeprefix('Value error, ')}\n".replace("  : ", "  ")
            )
        sys.exit(2)
    if "--print-settings" in sys.argv[1:]:
        sys.stdout.write(settings.printable() + "\n")
        return
    logs.configure(settings.log_format, settings.log_level, service=service)
    try:
        with asyncio.Runner(loop_factory=_loop_factory(settings.loop)) as runner:
            runner.run(_run(serve, settings))
    except EngineError as error:
        log.error("cannot_start", code=error.code.name, detail=error.detail)
        sys.exit(1)
    except OSError as error:
        log.error("cannot_start", detail=str(error))
        sys.exit(1)


def _loop_factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if loop == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _run(serve: Callable[[AnySettings, asyncio.Event], Awaitable[None]], settings: AnySettings) -> None:
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(130)
        log.info("stopping")
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    # What start-up left alive stays alive; the collector need not look at it again.
    gc.collect()
    gc.freeze()
    lag = loop.create_task(_measure_lag())
    try:
        await serve(settings, stopping)
    finally:
        lag.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await lag
    log.info("stopped")


async def _measure_lag() -> None:
    while True:
        before = clock.monotonic()
        await asyncio.sleep(1.0)
        LOOP_LAG.set(max(0.0, clock.monotonic() - before - 1.0))
