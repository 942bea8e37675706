"""Group commit: one call under way a partition, the rest goes with the next."""

from __future__ import annotations

import asyncio

import pytest

from ff_core.errors import EngineError, ErrorCode
from ff_core.store.gather import Gather


class Calls:
    """Calls that stay under way until they are released."""

    def __init__(self) -> None:
        self.made: list[tuple[int, list[int]]] = []
        self.gates: list[asyncio.Future[None]] = []

    async def __call__(self, partition: int, items: list[int]) -> list[int]:
        self.made.append((partition, items))
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        return [item * 10 for item in items]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_idle_partition_is_called_at_once() -> None:
    calls = Calls()
    gather = Gather(calls, 100)

    caller = asyncio.ensure_future(gather.submit(1, [1, 2]))
    await turns()
    calls.gates[0].set_result(None)

    assert await caller == [10, 20]
    assert calls.made == [(1, [1, 2])]


async def test_what_arrives_meanwhile_goes_with_the_next_call() -> None:
    calls = Calls()
    gather = Gather(calls, 100)

    first = asyncio.ensure_future(gather.submit(1, [1]))
    await turns()
    second, third = (asyncio.ensure_future(gather.submit(1, items)) for items in ([2], [3, 4]))
    await turns()
    assert calls.made == [(1, [1])]
    calls.gates[0].set_result(None)
    await turns()
    calls.gates[1].set_result(None)

    assert [await first, await second, await third] == [[10], [20], [30, 40]]
    assert calls.made == [(1, [1]), (1, [2, 3, 4])]


async def test_partitions_do_not_wait_for_each_other() -> None:
    calls = Calls()
    gather = Gather(calls, 100)

    callers = [asyncio.ensure_future(gather.submit(partition, [partition])) for partition in (1, 2)]
    await turns()
    assert calls.made == [(1, [1]), (2, [2])]
    for gate in calls.gates:
        gate.set_result(None)

    assert await asyncio.gather(*callers) == [[10], [20]]


async def test_a_call_takes_no_more_than_the_most_it_may() -> None:
    calls = Calls()
    gather = Gather(calls, 2)

    callers = [asyncio.ensure_future(gather.submit(1, [n])) for n in range(4)]
    for round_ in range(2):
        await turns()
        calls.gates[round_].set_result(None)

    assert await asyncio.gather(*callers) == [[0], [10], [20], [30]]
    assert calls.made == [(1, [0, 1]), (1, [2, 3])]


async def test_a_failed_call_fails_those_that_were_in_it() -> None:
    async def refuse(_partition: int, _items: list[int]) -> list[int]:
        raise EngineError(ErrorCode.STORE_UNAVAILABLE)

    gather = Gather(refuse, 100)

    for caller in [asyncio.ensure_future(gather.submit(1, [n])) for n in range(2)]:
        with pytest.raises(EngineError):
            await caller


async def test_a_cancelled_caller_harms_no_other() -> None:
    calls = Calls()
    gather = Gather(calls, 100)

    first, second = (asyncio.ensure_future(gather.submit(1, [n])) for n in (1, 2))
    await turns()
    first.cancel()
    calls.gates[0].set_result(None)

    assert await second == [20]


async def test_a_bug_in_a_call_reaches_all_who_wait_and_later_calls_are_made() -> None:
    calls = Calls()
    gather = Gather(calls, 100)
    callers = [asyncio.ensure_future(gather.submit(1, [number])) for number in (1, 2)]
    await turns()
    calls.gates[0].set_exception(KeyError("a code nobody knows"))

    outcomes = await asyncio.gather(*callers, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [KeyError, KeyError]
    later = asyncio.ensure_future(gather.submit(1, [3]))
    await turns()
    calls.gates[1].set_result(None)
    assert await later == [30]
