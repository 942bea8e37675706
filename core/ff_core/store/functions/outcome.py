"""Wrappers of outcome.lua."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ff_core import ids, keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.lease import Answer, Outcome, Progress
from ff_core.store.client import StoreClient
from ff_core.store.connection import Argument
from ff_core.store.functions.base import BATCH, Functions, text
from ff_core.store.functions.suspension import suspended
from ff_core.store.gather import Gather

#: Codes that say that the lease is lost; any other refuses one outcome, and the lease stays.
LOST = frozenset(
    {
        ErrorCode.EXECUTION_NOT_FOUND,
        ErrorCode.EXECUTION_TERMINAL,
        ErrorCode.LEASE_STALE,
        ErrorCode.LEASE_EXPIRED,
        ErrorCode.LEASE_REVOKED,
    }
)


class OutcomeFunctions(Functions):
    """What holders say of their attempts."""

    def __init__(self, client: StoreClient, partitions: int) -> None:
        super().__init__(client, partitions)
        self._finishing = Gather(self._finish, BATCH)

    async def lease_finish(self, outcomes: Sequence[Outcome], worker_id: str) -> list[Answer]:
        """Ends leases; a repeat gets the first answer. Outcomes of many workers share calls."""

        async def call(partition: int, group: list[Outcome]) -> list[Answer]:
            return await self._finishing.submit(partition, [(outcome, worker_id) for outcome in group])

        return await self.by_partition(
            outcomes,
            lambda outcome: ids.partition_of_lease(outcome.lease, self.partitions),
            call,
            lambda _outcome: ErrorCode.INVALID_ARGUMENT,
        )

    async def _finish(self, partition: int, items: list[tuple[Outcome, str]]) -> list[Answer]:
        args: list[Argument] = []
        for outcome, worker_id in items:
            args += (outcome.lease, worker_id, outcome.operation, len(outcome.details), *outcome.details)
        reply = await self.client.fcall_durable(
            "lease_finish", keys.anchor(partition), *args, items=len(items)
        )
        return [
            _answer(outcome, verdict)
            for (outcome, _), verdict in zip(items, cast("list[list[Any]]", reply), strict=True)
        ]

    async def lease_progress(self, reports: Sequence[Progress]) -> list[tuple[ErrorCode | None, bool]]:
        """Records progress: an error or None, and whether the holder is asked to stop."""

        async def call(partition: int, group: list[Progress]) -> list[tuple[ErrorCode | None, bool]]:
            args: list[Argument] = []
            for lease, percent, message in group:
                args += (lease, "" if percent is None else percent, message or "")
            reply = cast(
                "list[bytes]",
                await self.client.fcall("lease_progress", keys.anchor(partition), *args, items=len(group)),
            )
            return [
                (None, word == b"CANCEL") if word in (b"OK", b"CANCEL") else (ErrorCode[word.decode()], False)
                for word in reply
            ]

        return await self.by_partition(
            reports,
            lambda report: ids.partition_of_lease(report[0], self.partitions),
            call,
            lambda _report: (ErrorCode.INVALID_ARGUMENT, False),
        )


def _answer(outcome: Outcome, verdict: list[Any]) -> Answer:
    word = text(verdict[0])
    if word != "OK":
        code = ErrorCode[word]
        return code if code in LOST or len(verdict) == 1 else EngineError(code, text(verdict[1]))
    answer = text(verdict[1])
    if answer in ("suspended", "resumed"):
        return suspended(ids.execution_of_lease(outcome.lease), answer, verdict[2])
    return answer
