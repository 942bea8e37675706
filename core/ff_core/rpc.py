"""The one interceptor of our gRPC servers (token, errors, metrics), and how servers are set up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import structlog
from prometheus_client import Counter, Histogram

from ff_core import clock
from ff_core.errors import EngineError, ErrorCode
from ff_core.principal import CALLER, Principals
from ff_core.wire.status import status_of

log = structlog.get_logger()

RPCS = Counter("ff_rpcs_total", "Calls answered", ["method", "code"])
RPC_SECONDS = Histogram("ff_rpc_seconds", "Time to answer a unary call", ["method"])

#: Services that need no token: health for probes, reflection for tools.
OPEN_PREFIXES = ("/grpc.health.", "/grpc.reflection.")

SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
)


class Door(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Lets calls in and turns errors into statuses."""

    def __init__(self, principals: Principals) -> None:
        self._principals = principals

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or details.method.startswith(OPEN_PREFIXES):
            return handler
        if not is_served(_behaviour(handler)):
            return None  # as a method that nobody has heard of: UNIMPLEMENTED
        caller = self._identify(details.invocation_metadata)
        if handler.response_streaming:
            wrapped: Any = _stream(handler, details.method, caller)
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
        else:
            wrapped = _unary(handler, details.method, caller)
            make = grpc.unary_unary_rpc_method_handler
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _identify(self, metadata: Any) -> str | None:
        """Name of the caller; None for one who has to show a token and does not."""
        if not self._principals:
            return ""
        for key, value in metadata or ():
            if key == "authorization":
                return self._principals.identify(value.encode() if isinstance(value, str) else value)
        return None


def _admit(caller: str | None) -> None:
    """Notes who calls. Raises UNAUTHENTICATED for a stranger."""
    if caller is None:
        raise EngineError(ErrorCode.UNAUTHENTICATED)
    CALLER.set(caller)


def is_served(method: Any) -> bool:
    """Whether a method of a servicer is its own. The generated base class has them all, as refusals."""
    return not str(method.__module__).endswith("_pb2_grpc")


def _behaviour(handler: Any) -> Any:
    return handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream


def _unary(handler: Any, method: str, caller: str | None) -> Callable[[Any, Any], Awaitable[Any]]:
    seconds = RPC_SECONDS.labels(method)

    async def call(request: Any, context: Any) -> Any:
        started = clock.monotonic()
        try:
            _admit(caller)
            reply = await handler.unary_unary(request, context)
            RPCS.labels(method, "OK").inc()
            return reply
        except BaseException as error:
            await abort(context, method, error)
        finally:
            seconds.observe(clock.monotonic() - started)

    return call


def _stream(handler: Any, method: str, caller: str | None) -> Callable[[Any, Any], AsyncIterator[Any]]:
    run = handler.stream_stream or handler.unary_stream

    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            _admit(caller)
            async for message in run(request, context):
                yield message
            RPCS.labels(method, "OK").inc()
        except (GeneratorExit, asyncio.CancelledError):
            raise
        except Exception as error:
            await abort(context, method, error)

    return call


async def abort(context: Any, method: str, error: BaseException) -> None:
    """Ends a call with the status of an error. A bug is logged and shown as INTERNAL without details."""
    if isinstance(error, (grpc.aio.AbortError, asyncio.CancelledError)):
        raise error
    if not isinstance(error, EngineError):
        log.error("rpc_failed", method=method, exc_info=error)
        error = EngineError(ErrorCode.INTERNAL)
    RPCS.labels(method, error.code.name).inc()
    status = status_of(error)
    await context.abort(
        error.code.grpc, status.message, (("grpc-status-details-bin", status.SerializeToString()),)
    )


def new_server(principals: Principals, max_message_bytes: int) -> grpc.aio.Server:
    """A server behind the door."""
    options = [
        *SERVER_OPTIONS,
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
    ]
    return grpc.aio.server(interceptors=[Door(principals)], options=options)


def listen(server: grpc.aio.Server, address: str) -> str:
    """Binds an address; gives the one in force. Raises OSError."""
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: {error}") from error
    return f"{address.rpartition(':')[0]}:{port}"
