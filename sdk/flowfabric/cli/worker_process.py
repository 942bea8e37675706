"""A worker as a process of its own, started as anybody would start it: `flowfabric worker`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from flowfabric._child import ChildProcess, LogCallback


class WorkerProcess(ChildProcess):
    """One `flowfabric worker`; it says hello to the gateway in its own time."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        log: LogCallback | None = None,
        cwd: str | None = None,
    ) -> None:
        """Prepares a process; `arguments` follow `flowfabric worker`, `env` goes over that of this one."""
        command = [sys.executable, "-m", "flowfabric", "worker", *arguments]
        super().__init__(name, command, {**os.environ, "PYTHONUNBUFFERED": "1", **env}, log, cwd)
