"""/healthz, /readyz and /metrics of a process that has no other HTTP."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Readiness = Callable[[], Awaitable[dict[str, str]]]
"""Name of each part and "ok", or what is wrong with it."""


class OpsServer:
    """A small HTTP server for people and probes."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> str:
        """Listens; gives the address in force. Raises OSError."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        host, _, port = address.rpartition(":")
        await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        bound = self._runner.addresses[0]
        return f"{host}:{bound[1]}"

    async def stop(self) -> None:
        """Stops listening. May be called twice."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        parts = await self._readiness()
        is_ready = all(state == "ok" for state in parts.values())
        return web.Response(
            text=json.dumps({"status": "ok" if is_ready else "unavailable", "parts": parts}),
            status=200 if is_ready else 503,
            content_type="application/json",
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
