"""Many requests in few messages: submissions and signals."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from flowfabric import _wire
from flowfabric._errors import EngineError, error_from_status
from flowfabric._execution import Spec, Submission
from flowfabric_api.execution.v1 import execution_pb2 as pb

# The engine takes 1,000 a call; gRPC servers take 4 MiB a message unless told otherwise.
MAX_ITEMS = 1000
MAX_BYTES = 3 * 1024 * 1024

Request = TypeVar("Request", bound=Message)
Verdict = TypeVar("Verdict")
Method = Callable[..., Awaitable[pb.BulkCreateExecutionsResponse]]
Call = Callable[..., Awaitable[pb.BulkCreateExecutionsResponse]]


def create_request(spec: Spec, namespace: str, *, retry_safe: bool) -> pb.CreateExecutionRequest:
    """The request for one execution, with a key of its own if it is to be safe to repeat."""
    request = pb.CreateExecutionRequest()
    _wire.put_spec(request, spec, namespace)
    if retry_safe and not request.idempotency_key:
        request.idempotency_key = uuid.uuid4().hex
    return request


def chunks(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """The requests in as few messages as the limits allow; an oversized one travels alone."""
    chunk: list[Request] = []
    size = 0
    for request in requests:
        request_size = request.ByteSize() + 8
        if chunk and (len(chunk) == MAX_ITEMS or size + request_size > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(request)
        size += request_size
    if chunk:
        yield chunk


async def in_chunks(
    requests: Sequence[Request], send: Callable[[list[Request]], Awaitable[list[Verdict | EngineError]]]
) -> list[Verdict | EngineError]:
    """One verdict a request, in their order.

    When a whole call fails, it is raised if nothing was sent before; otherwise what follows has that
    error for its verdict, so that nobody loses sight of what was sent.
    """
    verdicts: list[Verdict | EngineError] = []
    for chunk in chunks(requests):
        try:
            verdicts += await send(chunk)
        except EngineError as error:
            if not verdicts:
                raise
            return verdicts + [error] * (len(requests) - len(verdicts))
    return verdicts


async def submit_chunks(
    call: Call, method: Method, requests: Sequence[pb.CreateExecutionRequest]
) -> list[Submission | EngineError]:
    """Submits, in as many calls as it takes."""

    async def send(chunk: list[pb.CreateExecutionRequest]) -> list[Submission | EngineError]:
        safe = all(request.idempotency_key for request in chunk)
        response = await call(method, pb.BulkCreateExecutionsRequest(requests=chunk), retry_safe=safe)
        return [verdict(result) for result in response.results]

    return await in_chunks(requests, send)


def verdict(result: pb.CreateExecutionResult) -> Submission | EngineError:
    """What became of one request."""
    if result.status.code:
        return error_from_status(result.status)
    return Submission(result.execution_id, result.duplicate)
