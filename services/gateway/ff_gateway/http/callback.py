"""Callbacks: one POST, with whatever body, delivers a signal. All it takes is the URL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ff_core.errors import invalid
from ff_gateway.http.access import postpone_continue, read_body
from ff_gateway.http.transcode import dump, to_json
from ff_gateway.tokens import CALLBACKS, split_callback
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

#: Name of a signal whose sender gives none.
DEFAULT_NAME = "callback"

Deliver = Callable[[pb.DeliverSignalRequest, Any], Awaitable[pb.DeliverSignalResponse]]


def add_callback(app: web.Application, deliver: Deliver, max_bytes: int) -> None:
    """Adds the route. Only POST: those who follow links to look at them must not approve anything."""

    async def callback(request: web.Request) -> web.Response:
        waitpoint_id, token = split_callback(request.match_info["token"])
        signal = pb.DeliverSignalRequest(payload=await read_body(request, max_bytes))
        fields = {
            "waitpoint_id": waitpoint_id,
            "token": token,
            "name": request.query.get("name", DEFAULT_NAME),
            "correlation_id": request.headers.get("X-Correlation-Id", ""),
            "idempotency_key": request.headers.get("Idempotency-Key", ""),
        }
        for field, value in fields.items():
            try:
                setattr(signal, field, value)
            except UnicodeEncodeError as error:  # bytes of a header that are no text
                raise invalid(field, "not UTF-8") from error
        answer = await deliver(signal, None)
        return web.Response(body=dump(to_json(answer)), content_type="application/json")

    app.router.add_post(CALLBACKS + "{token}", callback, expect_handler=postpone_continue)
