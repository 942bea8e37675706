"""Workers without the SDK that record steps, suspend and are resumed, by raw gRPC on the real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from flowfabric import Client, State
from flowfabric._stack import Stack
from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.journal.v1 import journal_pb2 as jr
from flowfabric_api.suspension.v1 import suspension_pb2 as sp
from flowfabric_api.suspension.v1.suspension_pb2_grpc import SuspensionServiceStub
from flowfabric_api.worker.v1 import worker_pb2 as pb
from tests.e2e.waiting import until_state
from tests.e2e.wire import Stubs, open_stubs, reason_of


class RawWorker:
    """A worker with one slot, whose every word is the test's."""

    def __init__(self, stubs: Stubs, worker_id: str, namespace: str, held: Sequence[bytes]) -> None:
        self._call: Any = stubs.worker.Session()
        self._hello = pb.Hello(worker_id=worker_id, namespace=namespace, held_leases=held)
        self._hello.pools.add(lanes=["default"], slots=1)

    async def say(self, **fields: Any) -> None:
        await self._call.write(pb.SessionRequest(**fields))

    async def hear_of(self, field: str) -> Any:
        """The next message that holds a field, and that field of it."""
        while True:
            message = await self._call.read()
            if field in [descriptor.name for descriptor, _ in message.ListFields()]:
                return getattr(message, field)

    async def open(self) -> pb.Welcome:
        await self.say(hello=self._hello)
        return await self.hear_of("welcome")  # type: ignore[no-any-return]

    async def next_grant(self, limit: int) -> pb.Grant:
        await self.say(credits=[pb.Credit(limit=limit)])
        [grant] = await self.hear_of("grants")
        return grant  # type: ignore[no-any-return]

    async def record(self, lease: bytes, number: int, *entries: jr.Entry) -> None:
        await self.say(journal=[pb.JournalWrite(lease=lease, number=number, entries=entries)])
        [result] = await self.hear_of("journal_results")
        assert (result.lease, result.number, reason_of(result.status)) == (lease, number, "")

    async def end(self, outcome: pb.Outcome) -> pb.OutcomeResult:
        await self.say(outcomes=[outcome])
        [result] = await self.hear_of("outcome_results")
        return result  # type: ignore[no-any-return]


@asynccontextmanager
async def worker_at(
    address: str, worker_id: str, namespace: str, held: Sequence[bytes] = ()
) -> AsyncIterator[RawWorker]:
    """An open worker. It falls silent at the end, as one that is killed does."""
    async with open_stubs(address) as stubs:
        worker = RawWorker(stubs, worker_id, namespace, held)
        await worker.open()
        yield worker
        worker._call.cancel()


def step(key: str, name: str, data: bytes) -> jr.Entry:
    return jr.Entry(key=key, kind=jr.ENTRY_KIND_STEP, name=name, state=jr.ENTRY_STATE_DONE, data=data)


def approval(lease: bytes) -> pb.Outcome:
    """Waits for an approval, which the journal remembers as the entry after the plan."""
    condition = sp.Condition(
        signal=sp.SignalMatch(waitpoint="approval", match=sp.Matcher(names=["approved"]))
    )
    spec = sp.SuspendSpec(
        reason_code="waiting_for_approval",
        waitpoints=[sp.WaitpointSpec(name="approval", use=sp.WAITPOINT_USE_SINGLE, recipient="ann")],
        waits=[sp.Wait(entry="2", name="approval", condition=condition)],
    )
    return pb.Outcome(lease=lease, suspended=spec)


async def approve(address: str, waitpoint: sp.Waitpoint) -> sp.DeliverSignalResponse:
    async with open_stubs(address) as stubs:
        return await SuspensionServiceStub(stubs.channel).DeliverSignal(  # type: ignore[no-any-return]
            sp.DeliverSignalRequest(
                waitpoint_id=waitpoint.waitpoint_id, token=waitpoint.token, name="approved", payload=b"go"
            )
        )


async def plan_and_suspend(worker: RawWorker) -> tuple[pb.Grant, sp.Waitpoint]:
    grant = await worker.next_grant(1)
    assert (grant.attempt, list(grant.journal)) == (1, [])
    await worker.record(grant.lease, 1, step("1", "plan", b"three hosts"))
    result = await worker.end(approval(grant.lease))
    assert (result.answer, result.suspension) == ("suspended", 1)
    return grant, result.waitpoints[0]


async def apply_and_complete(worker: RawWorker, first: pb.Grant) -> None:
    grant = await worker.next_grant(1)
    assert (grant.execution_id, grant.attempt, grant.recovered) == (first.execution_id, 1, False)
    plan, wait = grant.journal
    assert (plan.name, plan.data) == ("plan", b"three hosts")
    assert (wait.name, wait.state) == ("approval", jr.ENTRY_STATE_DONE)
    [signal] = wait.signals
    assert (signal.source, signal.payload) == ("user:ann", b"go")
    assert (grant.resumption.suspension, list(grant.resumption.signals)) == (1, [signal])
    await worker.record(grant.lease, 1, step("3", "apply", plan.data.upper()))
    done = pb.Outcome(lease=grant.lease, completed=pb.Completed(result=plan.data.upper()))
    assert (await worker.end(done)).answer == "completed"


async def test_another_worker_goes_on_where_a_suspended_one_stopped(
    flowfabric_stack: Stack, client: Client, namespace: str
) -> None:
    address = flowfabric_stack.address
    submitted = await client.submit("deploy")
    async with worker_at(address, "raw-first", namespace) as first:
        grant, waitpoint = await plan_and_suspend(first)
        held = await client.submit("another")
        assert (await first.next_grant(2)).execution_id == held.execution_id, "its slot is free meanwhile"
    shown = await until_state(client, submitted.execution_id, State.SUSPENDED)
    assert shown.lease is None
    await client.cancel(held.execution_id, grace=0)

    delivered = await approve(address, waitpoint)
    assert (delivered.effect, delivered.duplicate) == (sp.SIGNAL_EFFECT_RESUMED, False)
    assert (await approve(address, waitpoint)).duplicate

    async with worker_at(address, "raw-second", namespace) as second:
        await apply_and_complete(second, grant)
        late = await second.end(pb.Outcome(lease=grant.lease, completed=pb.Completed(result=b"late")))
    assert late.answer == "suspended", "a lease has one outcome"
    assert await client.result(submitted.execution_id) == b"THREE HOSTS"
    execution = await client.get(submitted.execution_id)
    assert [record.ending for record in execution.history] == ["suspended"]
    assert (execution.attempt, execution.reclaims) == (1, 0)


async def test_a_suspension_outlives_its_gateway_and_its_token_opens_at_any_other() -> None:
    async with Stack(gateways=2) as stack, Client(stack.address) as client:
        there = stack.processes["gateway-1"].addresses["grpc"]
        submitted = await client.submit("deploy")
        async with worker_at(there, "raw-first", "default") as first:
            grant, waitpoint = await plan_and_suspend(first)
        stack.processes["gateway-1"].kill()

        await approve(stack.address, waitpoint)
        async with worker_at(stack.address, "raw-second", "default") as second:
            await apply_and_complete(second, grant)

        assert await client.result(submitted.execution_id) == b"THREE HOSTS"


async def test_what_a_killed_gateway_did_not_answer_is_said_again_to_another() -> None:
    async with Stack(gateways=2) as stack, Client(stack.address) as client:
        there = stack.processes["gateway-1"].addresses["grpc"]
        submitted = await client.submit("deploy")
        async with worker_at(there, "raw-cut-off", "default") as first:
            grant = await first.next_grant(1)
            plan = pb.JournalWrite(lease=grant.lease, number=1, entries=[step("1", "plan", b"three hosts")])
            await first.say(journal=[plan], outcomes=[approval(grant.lease)])
            stack.processes["gateway-1"].kill()  # before, while or after it heard of it

        async with worker_at(stack.address, "raw-cut-off", "default", [grant.lease]) as again:
            await again.say(journal=[plan])
            result = await again.end(approval(grant.lease))
            assert (result.answer, result.suspension) == ("suspended", 1)
            shown = await client.get(submitted.execution_id)
            assert [(one.name, one.state) for one in shown.steps] == [
                ("plan", "done"),
                ("approval", "waiting"),
            ]
            await approve(stack.address, result.waitpoints[0])
            await apply_and_complete(again, grant)

        assert await client.result(submitted.execution_id) == b"THREE HOSTS"


async def test_a_replay_from_a_step_goes_on_from_its_recorded_result(
    flowfabric_stack: Stack, client: Client, namespace: str
) -> None:
    submitted = await client.submit("deploy")
    async with worker_at(flowfabric_stack.address, "raw-forked", namespace) as worker:
        grant = await worker.next_grant(1)
        steps = (step("1", "plan", b"p"), step("2", "apply", b"a"), step("3", "check", b"c"))
        await worker.record(grant.lease, 1, *steps)
        await worker.end(pb.Outcome(lease=grant.lease, failed=pb.Failed(non_retryable=True)))
        async with open_stubs(flowfabric_stack.address) as stubs:
            await stubs.executions.ReplayExecution(
                ex.ReplayExecutionRequest(execution_id=submitted.execution_id, keep_journal_through="apply")
            )

        again = await worker.next_grant(2)

        assert [(one.name, one.data) for one in again.journal] == [("plan", b"p"), ("apply", b"a")]
        assert (
            await worker.end(pb.Outcome(lease=again.lease, completed=pb.Completed()))
        ).answer == "completed"
