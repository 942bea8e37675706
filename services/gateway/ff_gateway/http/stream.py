"""Server-streaming methods over HTTP: Server-Sent Events, or newline-delimited JSON for those who ask.

The pending `anext` is kept over heartbeats, never cancelled by them, so that no message is lost. An error
before the first message has its HTTP status; a later one travels in the stream and ends it. A stream that is
over says `event: end`, because a browser's EventSource takes a closed connection for a broken one and comes
back; a stream that a stopping gateway cuts does not say it, so that its client does come back, elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import structlog
from aiohttp import web
from google.protobuf.message import Message

from ff_core.errors import EngineError, ErrorCode
from ff_gateway.http.options import HttpOptions
from ff_gateway.http.problem import error_body
from ff_gateway.http.transcode import dump, to_json

log = structlog.get_logger(__name__)

LINES = "application/x-ndjson"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Events:
    """Server-Sent Events: the id of an event is the cursor to come back with."""

    content_type: str = EVENTS
    heartbeat: bytes = b": heartbeat\n\n"
    end: bytes = b"event: end\ndata: {}\n\n"

    def message(self, message: Message) -> bytes:
        cursor = last_cursor(message)
        name = f"id: {cursor}\n".encode() if cursor else b""
        return name + b"event: message\ndata: " + dump(to_json(message)) + b"\n\n"

    def error(self, error: EngineError) -> bytes:
        return b"event: error\ndata: " + dump(error_body(error)) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Lines:
    """Newline-delimited JSON: one message a line; an error is the last line and has a `kind`."""

    content_type: str = LINES
    heartbeat: bytes = b""
    end: bytes = b""

    def message(self, message: Message) -> bytes:
        return dump(to_json(message)) + b"\n"

    def error(self, error: EngineError) -> bytes:
        return dump(error_body(error)) + b"\n"


def wants_stream(request: web.Request) -> bool:
    """Whether the client accepts a stream where it could have an answer."""
    accepted = request.headers.get("Accept", "")
    return EVENTS in accepted or LINES in accepted


def last_cursor(message: Message) -> str:
    """The cursor of the last part of a message that has one; empty when none can name an event."""
    cursor = ""
    for field, value in message.ListFields():
        if field.message_type is not None and "cursor" in field.message_type.fields_by_name:
            cursor = str((value[-1] if field.is_repeated else value).cursor) or cursor
    return "" if set(cursor) & set("\r\n\0") else cursor


async def send_stream(
    request: web.Request,
    messages: AsyncGenerator[Message, None],
    *,
    closing: asyncio.Event,
    options: HttpOptions,
) -> web.StreamResponse:
    """Sends messages as they come until they end, the client goes away or the gateway closes."""
    form = Lines() if LINES in request.headers.get("Accept", "") else Events()
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = form.content_type
    pending = asyncio.ensure_future(anext(messages))
    closed = asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait({pending, closed}, timeout=options.opening_s, return_when="FIRST_COMPLETED")
        if pending.done() and isinstance(pending.exception(), StopAsyncIteration):
            return web.Response(status=204)
        if pending.done():
            pending.result()
        elif closed.done():
            raise EngineError(ErrorCode.SHUTTING_DOWN)
        await response.prepare(request)
        while not closed.done():
            if pending.done():
                await response.write(form.message(pending.result()))
                pending = asyncio.ensure_future(anext(messages))
            done, _ = await asyncio.wait(
                {pending, closed}, timeout=options.heartbeat_s, return_when="FIRST_COMPLETED"
            )
            if not done:
                await response.write(form.heartbeat)
    except StopAsyncIteration:
        await response.write(form.end)
    except ConnectionResetError:
        pass  # the client is gone; there is nobody to tell
    except Exception as error:
        if not response.prepared:
            raise
        if not isinstance(error, EngineError):
            log.exception("http_stream_failed", route=request.path)
            error = EngineError(ErrorCode.INTERNAL)
        await response.write(form.error(error))
    finally:
        pending.cancel()
        closed.cancel()
        await asyncio.gather(pending, closed, return_exceptions=True)
        await messages.aclose()
    return response
