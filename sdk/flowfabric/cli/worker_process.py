"""A worker as a process of its own, started as anybody would start it: `flowfabric worker`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from flowfabric._stack import LONGEST_LINE, STOP_GRACE_S
from flowfabric._valkey import tied_command

KEPT_LINES = 50


class WorkerProcess:
    """One `flowfabric worker`: started, watched, killed; it dies with this process (Linux)."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        log: Callable[[str, str], None] | None = None,
        cwd: str | None = None,
    ) -> None:
        """Prepares a process; `arguments` follow `flowfabric worker`, `env` goes over that of this one."""
        self.name = name
        #: The last lines it printed, over restarts.
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._arguments = list(arguments)
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **env}
        self._log = log
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process lives; it may be stopped by a signal."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts the process; it says hello to the gateway in its own time."""
        self._process = await asyncio.create_subprocess_exec(
            *tied_command([sys.executable, "-m", "flowfabric", "worker", *self._arguments]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._env,
            cwd=self._cwd,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._reader = asyncio.create_task(self._read(self._process.stdout))

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal; one that has ended already gets none."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, sig)

    async def wait(self) -> int:
        """Waits for the end and returns the exit status, negative for a signal."""
        assert self._process is not None
        assert self._reader is not None
        status = await self._process.wait()
        await asyncio.shield(self._reader)
        return status

    async def stop(self, grace: float = STOP_GRACE_S) -> None:
        """Lets it finish what it runs and end; kills it when that takes too long."""
        if self._process is None:
            return
        self.kill(signal.SIGTERM)
        self.kill(signal.SIGCONT)  # one that was paused cannot act on SIGTERM
        try:
            async with asyncio.timeout(grace):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()

    async def _read(self, stdout: asyncio.StreamReader) -> None:
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
