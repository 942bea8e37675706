"""Creating many: what one partition cannot take harms nothing in the others."""

from __future__ import annotations

from typing import cast

from ff_core import keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.execution import Created, NewExecution
from ff_core.ids import new_execution_id
from ff_core.store.client import StoreClient
from ff_core.store.functions.execution import ExecutionFunctions


class HalfAway:
    """A store whose partition 1 does not answer; the others create what they are given."""

    async def fcall_durable(self, _function: str, key: str, *args: object, items: int) -> object:
        if key == keys.anchor(1):
            raise EngineError(ErrorCode.STORE_UNAVAILABLE)
        return [[b"OK", str(args[0]).encode(), 0]]


async def test_items_of_a_partition_that_is_away_fail_alone() -> None:
    functions = ExecutionFunctions(cast("StoreClient", HalfAway()), 4)
    items = [
        NewExecution(new_execution_id(partition), "default", "default", "k", "") for partition in (0, 1, 2)
    ]

    first, second, third = await functions.execution_create(items)

    assert (first, third) == (Created(items[0].execution_id, False), Created(items[2].execution_id, False))
    assert isinstance(second, EngineError)
    assert second.code is ErrorCode.STORE_UNAVAILABLE
