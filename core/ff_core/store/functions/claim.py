"""Wrappers of claim.lua."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, cast

from ff_core import ids, keys
from ff_core.errors import ErrorCode
from ff_core.lease import Claimed, Grant
from ff_core.store.functions.base import Functions, code_of, number
from ff_core.store.functions.journal import journal_entries
from ff_core.store.functions.signal import stored_signal
from ff_core.suspension import Resumption


class ClaimFunctions(Functions):
    """From a queue to a lease and back."""

    async def execution_claim(
        self, partition: int, queue: str, count: int, offer_ttl_ms: int, holder: str, *, expected: int = 1
    ) -> Claimed:
        """Leases up to `count` executions of a queue; `expected` is how many there may be, the weight of the
        call. Not repeated when the connection breaks: grants that nobody got go back by themselves."""
        reply = cast(
            "list[Any]",
            await self.client.fcall(
                "execution_claim",
                keys.anchor(partition),
                queue,
                count,
                offer_ttl_ms,
                secrets.token_hex(6),
                holder,
                items=min(expected, count),
                repeatable=False,
            ),
        )
        return Claimed([_grant(row) for row in reply[2:]], float(reply[1]) if reply[1] else None)

    async def lease_release(self, leases: Sequence[bytes]) -> list[ErrorCode | None]:
        """Gives back grants that were not delivered or were refused."""

        async def call(partition: int, group: list[bytes]) -> list[ErrorCode | None]:
            reply = await self.client.fcall("lease_release", keys.anchor(partition), *group, items=len(group))
            return [code_of(word) for word in cast("list[bytes]", reply)]

        return await self.by_partition(
            leases,
            lambda lease: ids.partition_of_lease(lease, self.partitions),
            call,
            lambda _lease: ErrorCode.INVALID_ARGUMENT,
        )


def _grant(row: Sequence[Any]) -> Grant:
    lease, kind, payload, deadline, attempt_deadline, traceparent, *past = row
    grant = Grant(
        lease, kind.decode(), payload, number(deadline), number(attempt_deadline), traceparent.decode()
    )
    if past:
        journal, resumption, flags = past
        grant.recovered = b"r" in flags
        grant.journal_is_partial = b"j" in flags and not journal
        grant.journal = journal_entries(journal) if journal else []
        if resumption:
            suspension, ending, *signals = resumption
            grant.resumption = Resumption(
                suspension, ending.decode(), [stored_signal(each) for each in signals], b"s" in flags
            )
    return grant
