"""Execution ids: `<partition>-<uuid7>`. URL-safe, ordered by time, and routable without a look-up."""

from __future__ import annotations

import random
import re
import secrets
import zlib

import uuid_utils

from ff_core.errors import EngineError, ErrorCode, invalid

_EXECUTION_ID = re.compile(
    r"(0|[1-9][0-9]{0,3})-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_LEASE = re.compile(rb"(0|[1-9]\d{0,3})-[0-9a-f-]{36}:\d{1,9}:\d{1,9}:[0-9a-z]{1,64}")


def new_execution_id(partition: int) -> str:
    """Mints an id in a partition."""
    return f"{partition}-{uuid_utils.uuid7()}"


def partition_of_execution(execution_id: str, partitions: int) -> int:
    """The partition an id names. Raises INVALID_ARGUMENT, or EXECUTION_NOT_FOUND beyond the last one."""
    match = _EXECUTION_ID.fullmatch(execution_id)
    if match is None:
        raise invalid("execution_id", f"{execution_id[:64]!r} is not an execution id")
    partition = int(match[1])
    if partition >= partitions:
        raise EngineError(ErrorCode.EXECUTION_NOT_FOUND, execution_id)
    return partition


def partition_of_lease(lease: bytes, partitions: int) -> int | None:
    """The partition of a lease token, or None for what is no token of this engine."""
    match = _LEASE.fullmatch(lease)
    if match is None:
        return None
    partition = int(match[1])
    return partition if partition < partitions else None


def partition_of_key(namespace: str, idempotency_key: str, partitions: int) -> int:
    """Where executions with an idempotency key live, so that one look finds the first."""
    return zlib.crc32(f"{namespace}/{idempotency_key}".encode()) % partitions


def random_partition(partitions: int) -> int:
    """Where an execution without a key goes: anywhere, so that a lane spreads over all partitions."""
    return random.randrange(partitions)


def execution_of_lease(lease: bytes) -> str:
    """The execution id within a lease token."""
    return lease.partition(b":")[0].decode("ascii")


def new_process_id(service: str) -> str:
    """Identity of a process for its lifetime."""
    return f"{service}-{secrets.token_hex(6)}"
