"""Errors as google.rpc.Status: canonical code, ErrorInfo, RetryInfo, BadRequest."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from ff_core.errors import DOMAIN, EngineError, ErrorCode


def status_of(error: EngineError) -> status_pb2.Status:
    """The wire form of an error."""
    status = status_pb2.Status(code=error.code.grpc.value[0], message=str(error))
    info = error_details_pb2.ErrorInfo(reason=error.code.name, domain=DOMAIN, metadata=error.metadata)
    status.details.add().Pack(info)
    if error.code.retryable:
        delay = Duration(nanos=(error.retry_after_ms or 100) % 1000 * 1_000_000)
        delay.seconds = (error.retry_after_ms or 100) // 1000
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.field:
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=error.field, description=error.detail)
        status.details.add().Pack(bad)
    return status


def status_of_code(code: ErrorCode, detail: str = "") -> status_pb2.Status:
    """The wire form of a code, for verdicts on single items."""
    return status_of(EngineError(code, detail))


def ok() -> status_pb2.Status:
    """The status of an item that went well."""
    return status_pb2.Status(code=code_pb2.OK)
