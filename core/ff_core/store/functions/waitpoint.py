"""Wrappers of waitpoint.lua."""

from __future__ import annotations

import json
from typing import cast

from ff_core import ids, keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.store.functions.base import Functions, check
from ff_core.waitpoint import NewWaitpoint, WaitpointRecord


class WaitpointFunctions(Functions):
    """Implements ff_core.backend.WaitpointBackend."""

    async def waitpoint_create(
        self, lease: bytes, new: NewWaitpoint, kid: str, entry: str
    ) -> WaitpointRecord:
        """Makes a waitpoint before its execution suspends; a repeat gets the first.

        Raises the codes of leases, WAITPOINTS_FULL and INVALID_ARGUMENT.
        """
        partition = ids.partition_of_lease(lease, self.partitions)
        if partition is None:
            raise EngineError(ErrorCode.INVALID_ARGUMENT, "lease: malformed", field="lease")
        reply = await self.client.fcall_durable(
            "waitpoint_create",
            keys.anchor(partition),
            lease,
            new.name,
            new.uses,
            new.recipient,
            new.ttl_ms,
            kid,
            entry,
        )
        record, _existed = check(reply)
        return WaitpointRecord.read(ids.execution_of_lease(lease), json.loads(record))

    async def waitpoint_list(
        self, execution_id: str, after: int, limit: int, *, closed: bool = False
    ) -> list[WaitpointRecord]:
        """Waitpoints by number, the open ones or all. Raises EXECUTION_NOT_FOUND."""
        reply = await self.client.fcall(
            "waitpoint_list",
            keys.anchor(self.partition_of(execution_id)),
            execution_id,
            after,
            limit,
            1 if closed else 0,
        )
        [records] = check(reply, execution_id)
        return [
            WaitpointRecord.read(execution_id, json.loads(record)) for record in cast("list[bytes]", records)
        ]
