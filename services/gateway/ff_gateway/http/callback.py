"""Callbacks: one POST, with whatever body, delivers a signal. All it takes is the URL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from ff_core.errors import ErrorCode, invalid
from ff_gateway.http.access import postpone_continue, read_body
from ff_gateway.http.schema import Json, reference
from ff_gateway.http.transcode import dump, to_json
from ff_gateway.tokens import CALLBACKS, split_callback
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

PATH = CALLBACKS + "{callback}"
#: The method that a callback calls; who serves it serves callbacks.
DELIVER_SIGNAL = "flowfabric.suspension.v1.SuspensionService.DeliverSignal"

#: Name of a signal whose sender gives none.
DEFAULT_NAME = "callback"

#: What may be wrong, each with the status of its code.
REFUSALS = (
    ErrorCode.INVALID_ARGUMENT,
    ErrorCode.TOKEN_INVALID,
    ErrorCode.EXECUTION_NOT_FOUND,
    ErrorCode.EXECUTION_TERMINAL,
    ErrorCode.IDEMPOTENCY_CONFLICT,
    ErrorCode.WAITPOINT_CLOSED,
    ErrorCode.PAYLOAD_TOO_LARGE,
    ErrorCode.SIGNALS_FULL,
    ErrorCode.STORE_UNAVAILABLE,
)

Deliver = Callable[[pb.DeliverSignalRequest, None], Awaitable[pb.DeliverSignalResponse]]


def add_callback(app: web.Application, deliver: Deliver, max_bytes: int) -> None:
    """Adds the route. Only POST: those who follow links to look at them must not approve anything."""

    async def callback(request: web.Request) -> web.Response:
        waitpoint_id, token = split_callback(request.match_info["callback"])
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

    app.router.add_post(PATH, callback, expect_handler=postpone_continue)


def callback_operation(comments: Mapping[str, str]) -> Mapping[str, Json]:
    """What OpenAPI says of the route."""

    def parameter(place: str, name: str, description: str, **schema: Json) -> Json:
        return {
            "name": name,
            "in": place,
            "required": place == "path",
            "description": description,
            "schema": {"type": "string", **schema},
        }

    def comment(field: str) -> str:
        return comments.get(f"{pb.DeliverSignalRequest.DESCRIPTOR.full_name}.{field}", "")

    json = "application/json"
    delivered = {json: {"schema": reference(pb.DESCRIPTOR.message_types_by_name["DeliverSignalResponse"])}}
    refused = {json: {"schema": {"$ref": "#/components/schemas/Error"}}}
    told: dict[str, list[str]] = {}
    for code in REFUSALS:
        told.setdefault(str(code.http), []).append(f"`{code.name}`: {code.sentence}")
    return {
        "operationId": "Callback",
        "tags": ["SuspensionService"],
        "summary": "Delivers a signal with nothing but a waitpoint's URL",
        "description": "Delivers a signal with nothing but a waitpoint's URL, its `callback_url`. "
        "The body is the payload as it is. Needs no API token; one that is shown names the source.",
        "security": [],
        "parameters": [
            parameter("path", "callback", "`<token>.<waitpoint id>`"),
            parameter("query", "name", f"Name of the signal. {comment('name')}", default=DEFAULT_NAME),
            parameter("header", "Idempotency-Key", comment("idempotency_key")),
            parameter("header", "X-Correlation-Id", "Kept beside the signal."),
        ],
        "requestBody": {"description": comment("payload"), "content": {"*/*": {}}},
        "responses": {
            "200": {"description": "Delivered, now or before.", "content": delivered},
            **{
                status: {"description": "\n".join(lines), "content": refused}
                for status, lines in sorted(told.items())
            },
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
