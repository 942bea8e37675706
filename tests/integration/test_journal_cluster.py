"""The journal on a cluster of three: each partition's keys are on its node, also while a replay cuts them."""

from __future__ import annotations

import pytest

from ff_core import ids
from ff_core.journal import JournalEntry
from ff_core.settings import ServiceSettings
from ff_core.waitpoint import NewWaitpoint
from tests.valkey_cluster import ValkeyCluster

from .engine import PARTITIONS, Engine, cluster_settings

pytestmark = pytest.mark.cluster


@pytest.fixture
def store_settings(clean_valkey_cluster: ValkeyCluster) -> ServiceSettings:
    """What reaches the empty cluster."""
    return cluster_settings(clean_valkey_cluster)


async def test_journals_of_all_partitions_are_written_together_and_forked(engine: Engine) -> None:
    leases = [await engine.hold(partition) for partition in range(PARTITIONS)]
    executions = [ids.execution_of_lease(lease) for lease in leases]
    for lease in leases:
        await engine.backend.waitpoint_create(lease, NewWaitpoint("approval", "single", "", 60_000), "k1", "")
    entries = [JournalEntry(str(place), "step", f"step{place}", "done", b"x") for place in range(3)]

    verdicts = await engine.backend.journal_record([(lease, entries) for lease in leases], 10, 1 << 20)
    await engine.complete(*leases)
    for execution_id in executions:
        await engine.backend.execution_replay(execution_id, "through", "step1")

    assert verdicts == [None] * PARTITIONS
    for partition, execution_id in enumerate(executions):
        [grant] = await engine.claim(partition)
        assert [entry.name for entry in grant.journal] == ["step0", "step1"]
        assert await engine.backend.waitpoint_list(execution_id, 0, 10, closed=True) == []
