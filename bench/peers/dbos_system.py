"""DBOS on SQLite, in a process of its own that calls its own workflows: nothing goes over a network."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from bench.processes import ROOT, STOP_SECONDS
from bench.stepping import Stepper, Stepping


class Dbos(Stepping):
    """A process that is told over a pipe how many workflows to run, and tells how long each took."""

    def missing(self) -> str:
        return "" if find_spec("dbos") else "not installed (PyPI dbos)"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Stepper]:
        with tempfile.TemporaryDirectory(prefix="ff-bench-dbos-") as folder:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bench.peers.dbos_app",
                str(Path(folder) / "dbos.sqlite"),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=2**24,
            )
            reader, writer = process.stdout, process.stdin
            assert reader is not None
            assert writer is not None

            async def clock(count: int, in_flight: int) -> list[float]:
                writer.write(f"{count} {in_flight}\n".encode())
                line = await reader.readline()
                assert line, f"DBOS ended with {await process.wait()}"
                return [float(each) for each in json.loads(line)]

            try:
                yield Stepper(clock, {"dbos": [process.pid]})
            finally:
                writer.close()
                try:
                    async with asyncio.timeout(STOP_SECONDS):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()
