"""Who may call, from which pages, with how large a body."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.principal import CALLER, Principals
from ff_gateway.http.binding import Binding
from ff_gateway.http.options import HttpOptions
from ff_gateway.tokens import CALLBACKS

#: Never ask for a token: probes, scrapers and readers of the description have none.
OPEN_PATHS = frozenset({"/healthz", "/metrics", "/openapi.json", "/readyz"})

WORKER = "flowfabric.worker.v1.WorkerService."
EXECUTION = "flowfabric.execution.v1.ExecutionService."
SUSPENSION = "flowfabric.suspension.v1.SuspensionService."

#: Methods whose body carries one payload, result or batch of frames.
LARGE_BODIES = frozenset(
    {EXECUTION + "CreateExecution"}
    | {WORKER + each for each in ("AppendOutput", "Complete", "RenewLeases")}
    | {SUSPENSION + each for each in ("DecideWaitpoint", "DeliverSignal", "Suspend")}
)

#: Methods whose body carries many of them.
BULK_BODIES = frozenset(
    {EXECUTION + "BulkCreateExecutions", SUSPENSION + "BulkDeliverSignals"}
    | {WORKER + each for each in ("RecordJournal", "ReportOutcomes")}
)


class BodyTooLargeError(EngineError):
    """A body over the limit of its route."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(ErrorCode.PAYLOAD_TOO_LARGE, f"This route takes {limit_bytes:,} bytes.")
        self.limit_bytes = limit_bytes


def body_limit(binding: Binding, options: HttpOptions) -> int:
    """Most bytes that the body of this route may have."""
    if binding.method.full_name in BULK_BODIES:
        return max(options.max_body_bytes_bulk, options.max_body_bytes_large)
    if binding.method.full_name in LARGE_BODIES:
        return options.max_body_bytes_large
    return options.max_body_bytes_control


async def postpone_continue(_: web.Request) -> None:
    """Leaves `Expect: 100-continue` open until the body is wanted, so that a refusal saves its sending."""


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """The body; refused by its announced length before reading, by its unpacked length while reading."""
    if (request.content_length or 0) > limit_bytes:
        raise BodyTooLargeError(limit_bytes)
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what was written so far is not part of the answer
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise BodyTooLargeError(limit_bytes)
    return bytes(body)


def require_json(request: web.Request) -> None:
    """Refuses a body that does not say it is JSON: pages of other sites can send all but that unasked."""
    if request.content_type != "application/json":
        raise invalid("body", f"Content-Type must be application/json, not {request.content_type}")


def authenticate(principals: Principals) -> Middleware:
    """Asks for a token everywhere but on the open paths and on paths that do not exist outside /v1."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        shown = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
        caller = principals.identify(shown)
        if caller is None and not _is_open(request):
            raise EngineError(ErrorCode.UNAUTHENTICATED)
        CALLER.set(caller or "")  # at each request: those of one connection share a context
        return await handler(request)

    return check


def _is_open(request: web.Request) -> bool:
    """Whether anybody may come here; those who call back bring a token of another kind."""
    if request.path.startswith(CALLBACKS):
        return True
    resource = request.match_info.route.resource
    return resource.canonical in OPEN_PATHS if resource else not request.path.startswith("/v1/")


class Cors:
    """Cross-origin rules: answers preflights and marks every response, streams included."""

    def __init__(self, options: HttpOptions, methods: frozenset[str]) -> None:
        self._origins = frozenset(options.cors_origins)
        allowed = ["Content-Type", "Last-Event-ID", *(["Authorization"] if options.principals else [])]
        self._preflight: Mapping[str, str] = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(sorted(methods)),
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ", ".join(allowed),
            hdrs.ACCESS_CONTROL_MAX_AGE: "600",
        }

    def middleware(self) -> Middleware:
        """Answers preflights; they carry no token, so this stands before the check of it."""

        @web.middleware
        async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
            asks = (
                request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            )
            if not (self._origins and asks):
                return await handler(request)
            headers = self._preflight if self._allowed(request) else None
            return web.Response(status=204, headers=headers)

        return preflight

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Adds the headers that let the page read the answer."""
        if not self._origins:
            return
        if "*" not in self._origins:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if allowed := self._allowed(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = hdrs.RETRY_AFTER

    def _allowed(self, request: web.Request) -> str:
        """What to answer the request's origin; empty when it is absent or not welcome."""
        origin = request.headers.get(hdrs.ORIGIN, "")
        if "*" in self._origins:
            return "*" if origin else ""
        return origin if origin in self._origins else ""
