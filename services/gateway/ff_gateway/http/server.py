"""The HTTP application and its listening socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import cast

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from multidict import MultiDict, MultiMapping
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram

from ff_core import clock
from ff_core.errors import EngineError, ErrorCode
from ff_core.rpc import is_served
from ff_gateway.http import access
from ff_gateway.http.binding import CREATES_UNLESS, EMPTY_IS_NO_CONTENT, Binding, bindings_of, twin_of
from ff_gateway.http.callback import DELIVER_SIGNAL, Deliver, add_callback
from ff_gateway.http.openapi import openapi_document
from ff_gateway.http.options import HttpOptions
from ff_gateway.http.problem import error_response, refusal_response
from ff_gateway.http.stream import send_stream, wants_stream
from ff_gateway.http.transcode import dump, read_request, write_response

log = structlog.get_logger(__name__)

REQUESTS = Counter("ff_http_requests_total", "HTTP requests answered.", ["route", "method", "status"])
SECONDS = Histogram("ff_http_request_seconds", "Time to answer, event streams left out.", ["route", "method"])

#: Bodies over this are parsed in a thread: a bulk of 32 MiB would hold up the loop, and the renewals in it.
PARSE_ASIDE_BYTES = 256 * 1024

#: Others share one label value: a client may make up as many as it likes.
KNOWN_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

CLOSING = web.AppKey("closing", asyncio.Event)


def build_app(
    services: Sequence[tuple[ServiceDescriptor, object]],
    *,
    options: HttpOptions,
    readiness: Callable[[], Awaitable[dict[str, str]]],
    metrics: Callable[[], bytes],
) -> web.Application:
    """The application: one route for each binding of each method served, callbacks, and the four open paths.

    A servicer has a coroutine function for each unary method and an async generator function for each
    streaming one; both take the request message and a context, which is None here.
    """
    routes = [
        (binding, servicer)
        for service, servicer in services
        for binding in bindings_of(service)
        if is_served(_method_of(servicer, binding))
    ]
    cors = access.Cors(options, frozenset({"GET"} | {binding.verb for binding, _ in routes}))
    middlewares = [_measure, cors.middleware(), _answer_errors]
    if options.principals:
        middlewares.append(access.authenticate(options.principals))
    app = web.Application(middlewares=middlewares)
    app[CLOSING] = asyncio.Event()
    app.on_shutdown.append(_close_streams)
    app.on_response_prepare.append(cors.mark)
    for binding, servicer in routes:
        handler = _route_handler(binding, servicer, options)
        app.router.add_route(binding.verb, binding.path, handler, expect_handler=access.postpone_continue)
        if binding.method.full_name == DELIVER_SIGNAL:
            deliver = cast("Deliver", _method_of(servicer, binding))
            add_callback(app, deliver, options.max_body_bytes_callback)
    document = dump(openapi_document([binding for binding, _ in routes], secured=bool(options.principals)))

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        parts = await readiness()
        is_ready = all(state == "ok" for state in parts.values())
        return web.json_response(
            {"status": "ok" if is_ready else "unavailable", "parts": parts}, status=200 if is_ready else 503
        )

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def describe(_: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", scrape)
    app.router.add_get("/openapi.json", describe)
    return app


class HttpServer:
    """The listening socket of an application."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> str:
        """Listens on host:port and gives the address bound; port 0 is a free one."""
        host, _, port = address.rpartition(":")
        # A client that goes away cancels its handler: gRPC does the same, and a tail must end.
        self._runner = web.AppRunner(self._app, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        bound_host, bound_port = self._runner.addresses[0][:2]
        return f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"

    async def stop(self, grace: float) -> None:
        """Stops listening, ends streams, and gives other requests `grace` seconds. May be called twice."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in runner.sites:
            await site.stop()
        await self._app.shutdown()
        if runner.server is not None:
            runner.server.pre_shutdown()
            await runner.server.shutdown(grace)
        await runner.cleanup()


async def _close_streams(app: web.Application) -> None:
    app[CLOSING].set()


def _method_of(servicer: object, binding: Binding) -> Callable[[Message, None], object]:
    return cast("Callable[[Message, None], object]", getattr(servicer, binding.method.name))


def _route_handler(binding: Binding, servicer: object, options: HttpOptions) -> Handler:
    """The handler of one route, which has two when it serves a stream to those who accept one."""
    twin = twin_of(binding)
    plain = _method_handler(binding, _method_of(servicer, binding), options)
    if twin is None:
        return plain
    stream = _method_handler(twin, _method_of(servicer, twin), options)

    async def either(request: web.Request) -> web.StreamResponse:
        return await (stream if wants_stream(request) else plain)(request)

    return either


def _method_handler(
    binding: Binding, method: Callable[[Message, None], object], options: HttpOptions
) -> Handler:
    """The handler of one method."""
    limit_bytes = access.body_limit(binding, options)

    async def request_of(request: web.Request, query: MultiMapping[str]) -> Message:
        body = await access.read_body(request, limit_bytes)
        if body:
            access.require_json(request)
        arguments = (binding, request.match_info, query, body)
        if len(body) > PARSE_ASIDE_BYTES:
            return await asyncio.to_thread(read_request, *arguments)
        return read_request(*arguments)

    async def unary(request: web.Request) -> web.StreamResponse:
        answer = await cast("Awaitable[Message]", method(await request_of(request, request.query), None))
        status = _status(binding, answer)
        if status == 204:
            return web.Response(status=status)
        body, content_type = write_response(binding, answer)
        return web.Response(status=status, body=body, content_type=content_type)

    async def streaming(request: web.Request) -> web.StreamResponse:
        query = MultiDict(request.query)
        if "after" in binding.query_fields and (last := request.headers.get("Last-Event-ID")):
            query["after"] = last
        message = await request_of(request, query)
        messages = cast("AsyncGenerator[Message, None]", method(message, None))
        return await send_stream(request, messages, closing=request.app[CLOSING], options=options)

    return streaming if binding.method.server_streaming else unary


def _status(binding: Binding, answer: Message) -> int:
    """200, or what the tables of special answers say."""
    name = binding.method.full_name
    if name in EMPTY_IS_NO_CONTENT and not getattr(answer, EMPTY_IS_NO_CONTENT[name]):
        return 204
    if name in CREATES_UNLESS and not getattr(answer, CREATES_UNLESS[name]):
        return 201
    return 200


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what a handler raises into JSON; what nobody expected is logged and not told."""
    try:
        return await handler(request)
    except access.BodyTooLargeError as error:
        return error_response(error, limit_bytes=error.limit_bytes, route=_route_of(request))
    except EngineError as error:
        return error_response(error)
    except web.HTTPException as refusal:
        return refusal_response(refusal)
    except ConnectionResetError:
        raise  # the client is gone; aiohttp knows what to do
    except Exception:
        log.exception("http_handler_failed", route=_route_of(request), method=request.method)
        return error_response(EngineError(ErrorCode.INTERNAL))


@web.middleware
async def _measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts and times by route template, so that ids never become label values."""
    route, verb = _route_of(request), request.method if request.method in KNOWN_METHODS else "OTHER"
    started, status = clock.monotonic(), "499"  # the client went away before the answer
    try:
        response = await handler(request)
        status = str(response.status)
        if isinstance(response, web.Response):
            SECONDS.labels(route, verb).observe(clock.monotonic() - started)
        return response
    finally:
        REQUESTS.labels(route, verb, status).inc()


def _route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unmatched"
