"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.server import CONFIG, Server

LIBRARIES = (
    "flowfabric",
    "grpcio",
    "protobuf",
    "redis",
    "hiredis",
    "uvloop",
    "dramatiq",
    "taskiq",
    "taskiq-redis",
)
ROOT = Path(__file__).resolve().parent.parent


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _installed(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def describe(server: Server) -> dict[str, Any]:
    """Host, versions and the server's configuration, for the report."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_average_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "libraries": {library: _installed(library) for library in LIBRARIES},
        "commit": _commit(),
        "valkey": server.version,
        "valkey_config": CONFIG,
    }
