"""A child process: started, listened to line by line, killed, and started again.

Each runs in a session of its own, so that Ctrl-C in a terminal reaches only the parent, which then stops the
rest in order; if the parent is killed instead, they die with it (Linux).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from flowfabric._valkey import tied_command

STOP_GRACE_S = 15.0
KEPT_LINES = 500
LONGEST_LINE = 1 << 20

LogCallback = Callable[[str, str], None]


class ChildProcess:
    """One process and what it prints; of its starts there is one at a time."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        log: LogCallback | None = None,
        cwd: str | None = None,
    ) -> None:
        """Prepares a process; `env` is all it gets, `log` is called with the name and each line it prints."""
        self.name = name
        #: The last lines it printed, over restarts.
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._env = dict(env)
        self._command = list(command)
        self._log = log
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

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
        """Starts the process, which gets ready in its own time."""
        if self.is_running:
            raise RuntimeError(f"{self.name} is running already")
        if self._reader is not None:
            await self._reader  # what the process before said last is not a word of this one
        self._process = await asyncio.create_subprocess_exec(
            *tied_command(self._command),
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

    def hear(self, line: str) -> None:
        """Takes a line it printed."""
        self.lines.append(line)
        if self._log is not None:
            self._log(self.name, line)

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        while True:
            try:
                raw = await stdout.readline()
            except ValueError:  # a line over the limit, already dropped by the stream
                raw = b"(a line that was too long)\n"
            if not raw:
                return
            self.hear(raw.decode(errors="replace").rstrip())
