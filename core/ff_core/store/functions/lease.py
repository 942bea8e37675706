"""Wrappers of lease.lua."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ff_core import ids, keys
from ff_core.errors import ErrorCode
from ff_core.lease import CancelNotice, Revoked, Verdict
from ff_core.store.functions.base import Functions, check, code_of, text


class LeaseFunctions(Functions):
    """The life of a lease."""

    async def lease_renew(
        self, leases: Sequence[bytes], ttl_ms: int, worker_id: str, holder: str
    ) -> list[Verdict]:
        """Extends leases; each has its verdict."""

        async def call(partition: int, group: list[bytes]) -> list[Verdict]:
            reply = await self.client.fcall(
                "lease_renew", keys.anchor(partition), ttl_ms, worker_id, holder, *group, items=len(group)
            )
            return [_verdict(word) for word in cast("list[bytes]", reply)]

        return await self.by_partition(
            leases,
            lambda lease: ids.partition_of_lease(lease, self.partitions),
            call,
            lambda _lease: ErrorCode.INVALID_ARGUMENT,
        )

    async def lease_forfeit(self, leases: Sequence[bytes]) -> list[ErrorCode | None]:
        """Takes back leases whose holder is gone without a word; they count as lost."""

        async def call(partition: int, group: list[bytes]) -> list[ErrorCode | None]:
            reply = await self.client.fcall("lease_forfeit", keys.anchor(partition), *group, items=len(group))
            return [code_of(word) for word in cast("list[bytes]", reply)]

        return await self.by_partition(
            leases,
            lambda lease: ids.partition_of_lease(lease, self.partitions),
            call,
            lambda _lease: ErrorCode.INVALID_ARGUMENT,
        )

    async def lease_revoke(self, execution_id: str, reason: str = "") -> Revoked:
        """Takes the lease from its holder; the history keeps the reason. Raises EXECUTION_NOT_FOUND."""
        reply = await self.client.fcall_durable(
            "lease_revoke", keys.anchor(self.partition_of(execution_id)), execution_id, reason
        )
        revoked, epoch, state = check(reply, execution_id)
        return Revoked(bool(revoked), epoch, text(state))


def _verdict(word: bytes) -> Verdict:
    if word == b"OK":
        return None
    if word.startswith(b"CANCEL "):
        _, stop_at, reason = word.decode("utf-8", "replace").split(" ", 2)
        return CancelNotice(int(float(stop_at)), reason)
    return ErrorCode[word.decode()]
