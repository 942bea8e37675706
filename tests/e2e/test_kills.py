"""Any process may die in the middle of load: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from flowfabric import Policy, State
from flowfabric._stack import ServiceProcess
from tests.e2e.history import Run, read_events
from tests.e2e.load import FRAMES, PATIENCE_S, SHORT_LEASES, open_load
from tests.e2e.waiting import eventually, until_terminal

pytestmark = pytest.mark.timeout(180)


async def test_without_a_disturbance_every_attempt_is_the_first(tmp_path: Path) -> None:
    async with open_load(tmp_path, env={}) as load:  # with leases that last: a slow machine is none either
        await load.start_workers(2)
        await load.submit(200)

        shown = await load.check()

        assert {(one.execution.attempt, one.execution.reclaims) for one in shown.values()} == {(1, 0)}
        assert len(load.runs()) == 200


async def test_the_work_of_a_killed_worker_is_taken_over(tmp_path: Path) -> None:
    async with open_load(tmp_path) as load:
        workers = await load.start_workers(2)
        held = await load.hold(4)
        await load.submit(300)
        await load.reach(100)

        [first, *_] = [run for run in load.runs() if run.execution in held]
        [victim] = [worker for worker in workers if worker.pid == first.pid]
        load.kill(victim)
        load.release()

        shown = await load.check()
        lost = [run for run in load.runs() if run.pid == victim.pid and run.ended is None]
        assert lost, "the worker was killed while it had work"
        for run in lost:
            assert shown[run.execution].execution.lease is None
            assert len(shown[run.execution].execution.history) >= 1


async def test_a_worker_frozen_past_its_leases_changes_nothing_when_it_wakes(tmp_path: Path) -> None:
    async with open_load(tmp_path) as load:
        victim, _ = await load.start_workers(2)
        await load.submit(300)
        await load.reach(100)
        at_work: list[Run] = []

        async def is_frozen_at_work() -> bool:
            load.freeze(victim)
            at_work[:] = [run for run in load.runs() if run.pid == victim.pid and run.ended is None]
            if not at_work:  # just between two handlers
                victim.kill(signal.SIGCONT)
            return bool(at_work)

        await eventually(is_frozen_at_work)
        before = await load.check()

        victim.kill(signal.SIGCONT)

        async def has_found_out() -> bool:
            return all(run.ended for run in load.runs() if run.pid == victim.pid)

        await eventually(has_found_out)
        assert {one: shown.execution for one, shown in (await load.check()).items()} == {
            one: shown.execution for one, shown in before.items()
        }

        async def is_back_at_work() -> bool:
            ids = await load.submit(20)
            await asyncio.gather(*(load.client.result(one, timeout=PATIENCE_S) for one in ids))
            return any(run.pid == victim.pid and run.execution in ids for run in load.runs())

        await eventually(is_back_at_work, PATIENCE_S)
        await load.check()


async def test_work_that_kills_its_worker_fails_at_its_cap_and_takes_no_other_with_it(tmp_path: Path) -> None:
    async with open_load(tmp_path) as load:
        [worker] = await load.start_workers(1)
        await load.hold(4)

        pill = await load.client.submit("poison", 66, policy=Policy(max_reclaims=2))
        for _ in range(3):
            assert await load.bury(worker) == 66
            await worker.start()
        poison = await until_terminal(load.client, pill.execution_id)

        assert (poison.state, poison.reclaims, poison.failed_attempts) == (State.FAILED, 3, 0)
        assert poison.failure is not None
        assert (poison.failure.type, poison.failure.category) == ("max_reclaims", "infra_crash")
        # Released, for its worker never got to confirm it: that must count toward the cap as well.
        events = read_events(load.valkey.call)[pill.execution_id]
        lives = ["claimed", "released"] * 2 + ["claimed", "lease_expired"]
        assert [event.name for event in events] == ["created", *lives, "failed"]
        assert events[-1].detail == "max_reclaims"
        load.release()
        shown = await load.check()
        assert all(one.execution.reclaims >= 1 for one in shown.values())


@pytest.mark.parametrize("service", ["gateway", "scheduler", "scanners"])
async def test_a_killed_service_that_comes_back_costs_nothing_but_time(tmp_path: Path, service: str) -> None:
    async with open_load(tmp_path) as load:
        await load.start_workers(2)
        await load.submit(300)
        await load.reach(100)
        process = load.stack.processes[f"{service}-0"]

        process.kill()
        assert await process.wait() == -signal.SIGKILL
        await process.start()

        await load.submit(50)
        await load.check()


async def test_when_one_of_two_scanners_is_killed_the_other_takes_over_all(tmp_path: Path) -> None:
    async with open_load(tmp_path, scanners=2) as load:
        victim, survivor = (load.stack.processes[f"scanners-{number}"] for number in (0, 1))
        worker, _ = await load.start_workers(2)

        async def are_shared() -> bool:
            shares = await owned(victim), await owned(survivor)
            return sum(shares) == 64 and 0 not in shares

        await eventually(are_shared)
        await load.submit(300)
        await load.reach(50)

        victim.kill()
        load.kill(worker)

        async def has_all() -> bool:
            return await owned(survivor) == 64

        await eventually(has_all)
        await load.check()


async def test_one_of_two_schedulers_and_one_of_two_gateways_may_go_for_good(tmp_path: Path) -> None:
    async with open_load(tmp_path, gateways=2, schedulers=2) as load:
        await load.start_workers(3)
        await load.submit(300)
        await load.reach(100)

        load.stack.processes["scheduler-0"].kill()
        load.stack.processes["gateway-0"].kill()

        await load.submit(50)
        await load.check()


async def test_a_restart_of_valkey_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async with open_load(tmp_path, valkey_options=("--appendfsync", "always")) as load:
        await load.start_workers(2)
        await load.submit(300)
        await load.reach(100)
        known = await load.completed()
        assert known

        load.valkey.kill()
        more = asyncio.create_task(load.submit(50))
        load.valkey.restart()
        await more

        shown = await load.check()
        for execution_id, before in known.items():
            after = shown[execution_id].execution
            assert (after.attempt, after.end_time) == (before.attempt, before.end_time)
        assert all(len(one.frames) >= FRAMES for one in shown.values())


async def owned(process: ServiceProcess) -> int:
    """Partitions whose leases a scanner process looks after."""

    def read() -> str:
        with urllib.request.urlopen(f"http://{process.addresses['ops']}/metrics", timeout=10) as response:
            return str(response.read().decode())

    for line in (await asyncio.to_thread(read)).splitlines():
        if line.startswith('ff_scanner_owned_partitions{scanner="lease_expiry"}'):
            return int(float(line.split()[-1]))
    return 0


async def test_a_valkey_that_is_stopped_for_longer_than_anybody_waits_costs_nothing_but_time(
    tmp_path: Path,
) -> None:
    env = SHORT_LEASES | {"FF_STORE_TIMEOUT_MS": "500"}
    async with open_load(tmp_path, gateways=2, env=env) as load:
        await load.start_workers(2)
        await load.submit(300)
        await load.reach(100)

        os.kill(load.valkey.pid, signal.SIGSTOP)
        more = asyncio.create_task(load.submit(50))

        async def have_all_noticed() -> bool:
            return all(
                any("store_silent" in line for line in process.lines)
                for process in load.stack.processes.values()
            )

        await eventually(have_all_noticed)
        os.kill(load.valkey.pid, signal.SIGCONT)
        await more

        await load.check()
