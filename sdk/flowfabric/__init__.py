"""FlowFabric: submit long, interruptible work, and run it on workers anywhere.

from flowfabric import Client, Context, Worker, task

@task
async def greet(name: str, context: Context) -> str:
    await context.progress(50, "greeting")
    return f"hello {name}"

await Worker([greet]).run()              # one process

async with Client() as client:           # another
    submission = await client.submit(greet, "Ada")
    print(await client.result(submission.execution_id, str))
"""

from flowfabric._client import Client
from flowfabric._context import Context
from flowfabric._errors import (
    EngineError,
    ExecutionCancelled,
    ExecutionEnded,
    ExecutionExpired,
    ExecutionFailed,
    FlowFabricError,
    IdempotencyConflict,
    InvalidArgument,
    LeaseLost,
    NotFound,
    PayloadTooLarge,
    ResultNotReady,
    SessionSuperseded,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    WrongState,
)
from flowfabric._execution import (
    Backoff,
    CancelRequest,
    Duration,
    Execution,
    ExecutionPage,
    Failure,
    FrameKind,
    Lease,
    LeaseRecord,
    OutputFrame,
    OutputPage,
    Policy,
    Progress,
    Revocation,
    Spec,
    State,
    StateVector,
    Submission,
)
from flowfabric._operator import LaneInfo, PoolInfo, QueueInfo, WorkerInfo
from flowfabric._outcome import Delay, Fail, Retry
from flowfabric._session import Pool
from flowfabric._task import Task, task
from flowfabric._worker import Worker

__all__ = [
    "Backoff",
    "CancelRequest",
    "Client",
    "Context",
    "Delay",
    "Duration",
    "EngineError",
    "Execution",
    "ExecutionCancelled",
    "ExecutionEnded",
    "ExecutionExpired",
    "ExecutionFailed",
    "ExecutionPage",
    "Fail",
    "Failure",
    "FlowFabricError",
    "FrameKind",
    "IdempotencyConflict",
    "InvalidArgument",
    "LaneInfo",
    "Lease",
    "LeaseLost",
    "LeaseRecord",
    "NotFound",
    "OutputFrame",
    "OutputPage",
    "PayloadTooLarge",
    "Policy",
    "Pool",
    "PoolInfo",
    "Progress",
    "QueueInfo",
    "ResultNotReady",
    "Retry",
    "Revocation",
    "SessionSuperseded",
    "Spec",
    "State",
    "StateVector",
    "Submission",
    "Task",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "Worker",
    "WorkerInfo",
    "WrongState",
    "task",
]
