"""Words for what the tests of the store do most, and waiting for what others do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ff_core import ids, keys
from ff_core.errors import EngineError
from ff_core.execution import Created, ExecutionRecord, NewExecution
from ff_core.lease import Answer, Grant, Outcome, Verdict
from ff_core.settings import ServiceSettings
from ff_core.store.backend import ValkeyBackend
from tests.valkey_cluster import ValkeyCluster

PARTITIONS = 8
QUEUE = keys.queue("default", "main", "")
LONG_MS = 60_000
WORKER, GATEWAY = "worker-1", "gateway-1"


def cluster_settings(cluster: ValkeyCluster, **over: object) -> ServiceSettings:
    """What reaches a cluster."""
    fields = {"host": cluster.host, "port": cluster.port, "cluster": True, "partitions": PARTITIONS}
    return ServiceSettings.model_validate(fields | over)


def new(partition: int = 0, **over: object) -> NewExecution:
    """A submission for a partition."""
    fields: dict[str, object] = {
        "execution_id": ids.new_execution_id(partition),
        "namespace": "default",
        "lane": "main",
        "kind": "test",
        "class_name": "",
    }
    return NewExecution(**(fields | over))  # type: ignore[arg-type]


class Engine:
    """A backend and its user."""

    def __init__(self, backend: ValkeyBackend) -> None:
        self.backend = backend

    async def create_many(self, *items: NewExecution) -> list[str]:
        """The ids of new executions; each item must be accepted."""
        results = await self.backend.execution_create(items)
        assert all(isinstance(result, Created) for result in results), results
        return [result.execution_id for result in results if isinstance(result, Created)]

    async def create(self, partition: int = 0, **over: object) -> str:
        """The id of a new execution."""
        [execution_id] = await self.create_many(new(partition, **over))
        return execution_id

    async def describe(self, execution_id: str) -> ExecutionRecord:
        [record] = await self.backend.execution_describe([execution_id], payload=True, history=True)
        assert record is not None
        return record

    async def claim(self, partition: int = 0, count: int = 1, queue: str = QUEUE) -> list[Grant]:
        claimed = await self.backend.execution_claim(partition, queue, count, LONG_MS, GATEWAY)
        return claimed.grants

    async def hold(self, partition: int = 0, **over: object) -> bytes:
        """The confirmed lease of a new execution."""
        await self.create(partition, **over)
        [grant] = await self.claim(partition)
        assert await self.renew(grant.lease) == [None]
        return grant.lease

    async def renew(self, *leases: bytes) -> list[Verdict]:
        return await self.backend.lease_renew(leases, LONG_MS, WORKER, GATEWAY)

    async def complete(self, *leases: bytes, result: bytes = b"result") -> list[Answer]:
        outcomes = [Outcome(lease, "complete", (result,)) for lease in leases]
        return await self.backend.lease_finish(outcomes, WORKER)


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Asks again, each time after a round of the loop, until the answer is yes; pytest's timeout ends it."""
    while not await is_so():  # noqa: ASYNC110 - what is asked is another process
        await asyncio.sleep(0)


def code_of(error: BaseException) -> str:
    """The name of the code of an engine error."""
    assert isinstance(error, EngineError), repr(error)
    return error.code.name
