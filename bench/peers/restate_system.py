"""Restate: its server with its defaults on a directory of its own, its Python SDK behind Hypercorn.

A call to the ingress starts the workflow and returns its result.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec

import aiohttp

from bench.peers.fetch import RESTATE
from bench.processes import Command, started
from bench.stepping import Stepper, Stepping, free_ports, timed, until_open

PORT_VARIABLE = "BENCH_RESTATE_PORT"
IN_FLIGHT = 256


class Restate(Stepping):
    """One server, one process with the service."""

    def missing(self) -> str:
        if not RESTATE.exists():
            return "not installed (python -m bench.peers.fetch)"
        packages = {"restate": "restate-sdk", "hypercorn": "hypercorn"}
        lacking = [name for module, name in packages.items() if not find_spec(module)]
        return f"not installed (PyPI {', '.join(lacking)})" if lacking else ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Stepper]:
        node, ingress, admin, service = free_ports(4)
        with tempfile.TemporaryDirectory(prefix="ff-bench-restate-") as folder:
            environment = {
                "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
                "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
                "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
                "RESTATE_LOG_FILTER": "warn",
                PORT_VARIABLE: str(service),
            }
            commands = [
                Command("", ("--no-logo", "--base-dir", folder), program=str(RESTATE)),
                Command("bench.peers.restate_app"),
            ]
            connections = aiohttp.TCPConnector(limit=IN_FLIGHT)
            async with (
                started(commands, environment) as (server, worker),
                aiohttp.ClientSession(connector=connections) as http,
            ):
                for port in (service, ingress, admin):
                    await until_open(port)
                async with http.post(
                    f"http://127.0.0.1:{admin}/deployments", json={"uri": f"http://127.0.0.1:{service}"}
                ) as answer:
                    assert answer.ok, await answer.text()

                async def run() -> None:
                    async with http.post(f"http://127.0.0.1:{ingress}/Steps/three", json=0) as answer:
                        assert await answer.json() == 3, answer

                yield Stepper(timed(run), {"restate": [server.pid], "workers": [worker.pid]})
