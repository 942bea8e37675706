"""The start line of a sample, and the way back for what its workers saw.

Every worker process, of whatever system, imports its code, calls `Entrant.wait` and hangs there, not
yet connected to its queue. The driver fills the queue, waits until all have arrived, opens the gate and
starts its watch. Handlers count what they did; a thread of the process tells the driver every few
milliseconds, so the cost is the same for every system and small for all.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

#: Names the socket of the gate in the environment of a worker process.
GATE_VARIABLE = "BENCH_GATE"
#: Set to 1 where handlers must note the moment they started.
MOMENTS_VARIABLE = "BENCH_MOMENTS"
REPORT_SECONDS = 0.005


class Entrant:
    """The worker's side of the gate; thread-safe."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lock = threading.Lock()
        self._done = 0
        self._notes: list[Any] = []
        self._wants_moments = os.environ.get(MOMENTS_VARIABLE) == "1"

    def moment(self) -> int | None:
        """Nanoseconds since the epoch, where the sample asks for them."""
        return time.time_ns() if self._wants_moments else None

    def wait(self) -> None:
        """Says that this process is ready and blocks until the gate opens."""
        self._socket.connect(os.environ[GATE_VARIABLE])
        self._socket.recv(1)
        threading.Thread(target=self._report, name="bench-report", daemon=True).start()

    def count(self, note: object = None) -> int:
        """Counts one handled execution, with something to tell about it; returns the count so far."""
        with self._lock:
            self._done += 1
            if note is not None:
                self._notes.append(note)
            return self._done

    def _report(self) -> None:
        told = 0
        while True:
            time.sleep(REPORT_SECONDS)
            with self._lock:
                done, notes = self._done, self._notes
                self._notes = []
            if done == told:
                continue
            try:
                self._socket.sendall(json.dumps({"done": done - told, "notes": notes}).encode() + b"\n")
            except OSError:
                return  # the driver has seen enough
            told = done


class Gate:
    """The driver's side: who has arrived, how much is done, and what was noted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.done = 0
        self.notes: list[Any] = []
        self._waiting: list[asyncio.StreamWriter] = []
        self._changed = asyncio.Condition()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._changed:
            self._waiting.append(writer)
            self._changed.notify_all()
        async for line in reader:
            report = json.loads(line)
            async with self._changed:
                self.done += report["done"]
                self.notes += report["notes"]
                self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until something told through the gate makes the condition true."""
        async with self._changed:
            await self._changed.wait_for(condition)

    async def arrivals(self, processes: int) -> None:
        """Waits until that many processes stand at the gate."""
        await self.until(lambda: len(self._waiting) >= processes)

    def open(self) -> None:
        """Lets everybody through."""
        for writer in self._waiting:
            writer.write(b"!")


@asynccontextmanager
async def closed_gate() -> AsyncIterator[Gate]:
    """A gate on a socket of its own."""
    with tempfile.TemporaryDirectory(prefix="ff-bench-") as directory:
        gate = Gate(str(Path(directory) / "gate"))
        server = await asyncio.start_unix_server(gate._serve, gate.path, limit=2**24)
        try:
            yield gate
        finally:
            for writer in gate._waiting:
                writer.close()
            server.close()
