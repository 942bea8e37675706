"""Leaving in good order: workers, gateways, the whole stack."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from flowfabric import State
from flowfabric_api.worker.v1 import worker_pb2 as pb
from tests.e2e.load import PATIENCE_S, open_load
from tests.e2e.test_unary_worker import PRECONDITION, claim
from tests.e2e.waiting import eventually, until_state
from tests.e2e.wire import open_stubs, refusal

pytestmark = pytest.mark.timeout(180)

#: Leases that are not lost to a busy machine, and moves enough to outlast them.
LEASE_TTL_MS, SESSION_MAX_AGE_MS, MOVES = 4000, 300, 20


async def test_a_worker_told_to_go_finishes_what_it_has_and_takes_no_more(tmp_path: Path) -> None:
    async with open_load(tmp_path, env={}) as load:
        [leaver] = await load.start_workers(1, slots=4)
        held = await load.hold(4)

        leaver.kill(signal.SIGTERM)

        async def is_draining() -> bool:
            return [worker.draining for worker in await load.client.workers()] == [True]

        await eventually(is_draining)
        await load.submit(20)
        load.release()
        assert await leaver.wait() == 0
        assert {run.execution for run in load.runs()} == set(held)

        async def is_nobody_there() -> bool:
            return await load.client.workers() == []

        await eventually(is_nobody_there)
        await load.start_workers(1)
        shown = await load.check()
        assert {(one.execution.attempt, one.execution.reclaims) for one in shown.values()} == {(1, 0)}


async def test_a_rolling_restart_of_the_gateways_loses_no_lease_and_no_outcome(tmp_path: Path) -> None:
    async with open_load(tmp_path, gateways=2, env={}) as load:
        # What a worker fetched ahead it may give back, which would count as an attempt after a move.
        await load.start_workers(3, prefetch=False)
        await load.hold(6)
        await load.submit(300)
        await load.reach(50)

        for number in range(2):
            gateway = load.stack.processes[f"gateway-{number}"]
            gateway.kill(signal.SIGTERM)
            assert await gateway.wait() == 0
            await gateway.start()
            await load.submit(50)
        load.release()

        shown = await load.check()
        assert {(one.execution.attempt, one.execution.reclaims) for one in shown.values()} == {(1, 0)}
        assert len(load.runs()) == len(load.texts)


async def test_every_service_ends_well_when_told_to(tmp_path: Path) -> None:
    async with open_load(tmp_path, schedulers=2, scanners=2) as load:
        await load.start_workers(1)
        await load.submit(20)
        await load.check()
        await load.stop_workers()

        statuses = await load.stack.stop(grace=PATIENCE_S)

        assert set(statuses.values()) == {0}


async def test_the_outcome_of_a_lease_that_ran_out_is_refused(tmp_path: Path) -> None:
    async with open_load(tmp_path) as load, open_stubs(load.stack.address) as stubs:
        [execution_id] = await load.submit(1)
        [late] = await claim(stubs, load.client)
        await until_state(load.client, execution_id, State.WAITING)

        async with refusal(PRECONDITION, "LEASE_EXPIRED"):
            await stubs.worker.Complete(pb.CompleteRequest(lease=late.lease, result=b"late"))
        frame = pb.Frame(number=1, data=b"late")
        async with refusal(PRECONDITION, "LEASE_EXPIRED"):
            await stubs.worker.AppendOutput(pb.AppendOutputRequest(lease=late.lease, frames=[frame]))
        renewed = await stubs.worker.RenewLeases(
            pb.RenewLeasesRequest(worker_id="by-hand", leases=[late.lease])
        )
        assert [one.lease for one in renewed.exceptions] == [late.lease]
        await load.start_workers(1)
        shown = await load.check()
        execution = shown[execution_id].execution
        assert (execution.attempt, execution.reclaims) == (2, 1)
        assert [record.ending for record in execution.history] == ["lease_expired"]


@pytest.mark.parametrize("gateways", [1, 2])
async def test_workers_move_between_gateways_again_and_again_and_lose_no_lease(
    tmp_path: Path, gateways: int
) -> None:
    env = {"FF_LEASE_TTL_MS": str(LEASE_TTL_MS), "FF_SESSION_MAX_AGE_MS": str(SESSION_MAX_AGE_MS)}
    async with open_load(tmp_path, gateways=gateways, env=env) as load:
        await load.start_workers(3, prefetch=False)
        await load.hold(6)
        await load.submit(300)

        seen: dict[str, set[tuple[str, str]]] = {}

        async def have_moved() -> bool:
            for worker in await load.client.workers():
                seen.setdefault(worker.worker_id, set()).add((worker.gateway_id, worker.session_id))
            return all(
                len(places) > MOVES and len({gateway for gateway, _ in places}) == gateways
                for places in seen.values()
            )

        await eventually(have_moved, PATIENCE_S)
        await load.submit(100)
        await load.reach(400)
        load.release()

        shown = await load.check()
        assert {(one.execution.attempt, one.execution.reclaims) for one in shown.values()} == {(1, 0)}
