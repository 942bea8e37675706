"""The walk of the reconciler over the indexes."""

from __future__ import annotations

from typing import cast

from prometheus_client import REGISTRY

from ff_core.backend import EngineBackend
from ff_scanners.scanner import ScanResult
from ff_scanners.scanners.index_reconciler import INDEXES, IndexReconciler


class Indexes:
    """Indexes with so many entries each in every partition, and so many wrong ones."""

    def __init__(self, sizes: dict[str, int], wrong: dict[str, int] | None = None) -> None:
        self.calls: list[tuple[int, str, int]] = []
        self._sizes = sizes
        self._wrong = wrong or {}

    async def index_reconcile(
        self, partition: int, index: str, offset: int, limit: int, ttl_ms: int
    ) -> tuple[int, int]:
        assert ttl_ms == 30_000
        self.calls.append((partition, index, offset))
        is_end = self._sizes.get(index, 0) - offset < limit
        return 0 if is_end else offset + limit, self._wrong.get(index, 0)


def reconciler(indexes: Indexes) -> IndexReconciler:
    scanner = IndexReconciler(cast("EngineBackend", indexes), lease_ttl_ms=30_000)
    scanner.batch = 10
    return scanner


def repairs(index: str) -> float:
    return REGISTRY.get_sample_value("ff_index_repairs_total", {"index": index}) or 0.0


async def test_short_indexes_are_one_pass_and_then_it_rests() -> None:
    indexes = Indexes({"executions": 9})
    scanner = reconciler(indexes)

    results = [await scanner.scan(5) for _ in INDEXES]

    assert indexes.calls == [(5, index, 0) for index in INDEXES]
    assert [result.more for result in results] == [True] * (len(INDEXES) - 1) + [False]


async def test_a_long_index_takes_a_turn_a_batch_and_goes_on_where_it_was() -> None:
    indexes = Indexes({"executions": 25})
    scanner = reconciler(indexes)

    results = [await scanner.scan(5) for _ in range(4)]

    assert [offset for _, index, offset in indexes.calls if index == "executions"] == [0, 10, 20]
    assert [result.more for result in results] == [False, False, True, True]


async def test_each_partition_has_its_own_place() -> None:
    indexes = Indexes({})
    scanner = reconciler(indexes)

    await scanner.scan(1)
    await scanner.scan(1)
    await scanner.scan(2)

    assert indexes.calls == [(1, "executions", 0), (1, "delayed", 0), (2, "executions", 0)]


async def test_repairs_are_counted_by_index() -> None:
    before = repairs("delayed"), repairs("executions")
    scanner = reconciler(Indexes({}, wrong={"delayed": 3}))

    await scanner.scan(0)
    result = await scanner.scan(0)

    assert result == ScanResult(3, more=True, detail="delayed")
    assert (repairs("delayed"), repairs("executions")) == (before[0] + 3, before[1])
