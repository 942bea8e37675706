"""Errors as JSON: `{error, kind, retryable}` and what else is known."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from ff_core.errors import EngineError, ErrorCode


def error_body(error: EngineError) -> dict[str, object]:
    """The JSON object that tells an error; the same in a response and in a stream."""
    body: dict[str, object] = {
        "error": str(error),
        "kind": error.code.name,
        "retryable": error.code.retryable,
    }
    if error.field:
        body["field"] = error.field
    if error.metadata:
        body["metadata"] = error.metadata
    if error.retry_after_ms:
        body["retry_after_ms"] = error.retry_after_ms
    return body


def error_response(
    error: EngineError, *, status: int = 0, headers: Mapping[str, str] | None = None, **more: object
) -> web.Response:
    """The response for an error; `status` where HTTP knows better than the table, `more` joins the body."""
    response = web.Response(
        status=status or error.code.http,
        body=json.dumps({**error_body(error), **more}).encode(),
        content_type="application/json",
        headers=headers,
    )
    if error.retry_after_ms:
        response.headers["Retry-After"] = str(-(-error.retry_after_ms // 1000))
    if error.code is ErrorCode.UNAUTHENTICATED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def refusal_response(refusal: web.HTTPException) -> web.Response:
    """What aiohttp refuses by itself, in the shape of all other errors."""
    if refusal.status == 404:
        return error_response(EngineError(ErrorCode.UNIMPLEMENTED, "The path is unknown."), status=404)
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refusal.allowed_methods))
        return error_response(
            EngineError(ErrorCode.UNIMPLEMENTED, f"The path has {allowed} only."),
            status=405,
            headers={"Allow": allowed},
        )
    return error_response(EngineError(ErrorCode.INVALID_ARGUMENT, refusal.reason), status=refusal.status)
