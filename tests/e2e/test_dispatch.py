"""Several gateways and schedulers share the work: one that stops holds nobody up, and none takes too much."""

from __future__ import annotations

import asyncio
import re
import signal
import urllib.request
from pathlib import Path

import pytest

from flowfabric import State
from flowfabric._stack import ServiceProcess
from tests.e2e.history import read_events
from tests.e2e.load import PATIENCE_S, Load, open_load
from tests.e2e.waiting import eventually, is_ready

pytestmark = pytest.mark.timeout(180)


async def test_a_gateway_that_is_stopped_with_orders_under_way_holds_nobody_up(tmp_path: Path) -> None:
    async with open_load(tmp_path, gateways=2, door=1) as load:
        stopped, scheduler = (load.stack.processes[name] for name in ("gateway-0", "scheduler-0"))
        # Most free slots come first, so the orders go to the gateway that will not hear them.
        [of_stopped] = await load.start_workers(1, slots=48, door=0)
        await load.hold(4)
        [of_other] = await load.start_workers(1, slots=8, door=1)

        stopped.kill(signal.SIGSTOP)
        await load.submit(300)

        async def are_orders_late() -> bool:
            return any("claim_late" in line for line in scheduler.lines)

        await eventually(are_orders_late)
        load.release()
        before = await load.finish()
        assert {run.pid for run in load.runs()} == {of_stopped.pid, of_other.pid}

        # What is ordered now meets the orders that are answered late.
        more = asyncio.create_task(load.submit(100))
        stopped.kill(signal.SIGCONT)
        await more

        async def is_back_at_work() -> bool:
            ids = await load.submit(20)
            await asyncio.gather(*(load.client.result(one, timeout=PATIENCE_S) for one in ids))
            return any(run.pid == of_stopped.pid and run.execution in ids for run in load.runs())

        assert await asyncio.to_thread(is_ready, stopped.addresses["http"])
        await eventually(is_back_at_work, PATIENCE_S)
        after = await load.check()
        for execution_id, shown in before.items():
            assert after[execution_id].execution == shown.execution


async def test_two_schedulers_over_a_deep_queue_claim_nothing_that_nobody_has_room_for(
    tmp_path: Path,
) -> None:
    # Leases that last: nothing but the schedulers may give work back.
    async with open_load(tmp_path, gateways=2, schedulers=2, env={}) as load:
        schedulers = [load.stack.processes[f"scheduler-{number}"] for number in (0, 1)]

        async def are_shared() -> bool:
            shares = [await metric(one, "ff_scheduler_owned_partitions") for one in schedulers]
            return sum(shares) == 64 and 0 not in shares

        await eventually(are_shared)
        await load.submit(2000, seconds=0)
        assert await waiting_partitions(load) == 64
        await load.start_workers(3, door=0, prefetch=False)
        await load.start_workers(1, door=1, prefetch=False)

        shown = await load.check()

        events = read_events(load.valkey.call)
        assert "released" not in {event.name for story in events.values() for event in story}
        assert {one.execution.attempt for one in shown.values()} == {1}
        assert all([await metric(one, "ff_grants_total") > 0 for one in schedulers])


async def metric(process: ServiceProcess, name: str) -> float:
    """What a scheduler says of itself."""

    def read() -> str:
        with urllib.request.urlopen(f"http://{process.addresses['ops']}/metrics", timeout=10) as response:
            return str(response.read().decode())

    found = re.search(rf"^{name} (\S+)$", await asyncio.to_thread(read), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def waiting_partitions(load: Load) -> int:
    """How many partitions hold something that waits."""
    found = load.client.list(state=State.WAITING, page_size=1000)
    return len({execution.execution_id.partition("-")[0] async for execution in found})
