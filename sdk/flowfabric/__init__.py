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

import flowfabric._polling  # noqa: F401 - before gRPC is loaded
from flowfabric._client import Client
from flowfabric._condition import Condition, all_of, any_of, count, operator, signal, timer
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
    JournalFull,
    LeaseLost,
    NotFound,
    PayloadTooLarge,
    ResultNotReady,
    SessionSuperseded,
    StepFailed,
    StepMismatch,
    StepUnknown,
    TokenInvalid,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    WaitTimedOut,
    WrongState,
)
from flowfabric._event import Event, EventFamily, EventPage
from flowfabric._execution import (
    Backoff,
    CancelRequest,
    Duration,
    Execution,
    ExecutionPage,
    Failure,
    FrameClass,
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
    Step,
    Submission,
    Summary,
)
from flowfabric._frame import NULL
from flowfabric._operator import KeyRotation, LaneInfo, PoolInfo, QueueInfo, WaitpointKey, WorkerInfo
from flowfabric._outcome import Delay, Fail, Retry
from flowfabric._session import Pool
from flowfabric._signal import Delivery, Signal, SignalEffect, SignalSpec
from flowfabric._steps import StepRetry
from flowfabric._suspension import Resumption, Suspension, Wait, Waitpoint
from flowfabric._task import Task, task
from flowfabric._waits import Resumed
from flowfabric._worker import Worker

__all__ = [
    "NULL",
    "Backoff",
    "CancelRequest",
    "Client",
    "Condition",
    "Context",
    "Delay",
    "Delivery",
    "Duration",
    "EngineError",
    "Event",
    "EventFamily",
    "EventPage",
    "Execution",
    "ExecutionCancelled",
    "ExecutionEnded",
    "ExecutionExpired",
    "ExecutionFailed",
    "ExecutionPage",
    "Fail",
    "Failure",
    "FlowFabricError",
    "FrameClass",
    "FrameKind",
    "IdempotencyConflict",
    "InvalidArgument",
    "JournalFull",
    "KeyRotation",
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
    "Resumed",
    "Resumption",
    "Retry",
    "Revocation",
    "SessionSuperseded",
    "Signal",
    "SignalEffect",
    "SignalSpec",
    "Spec",
    "State",
    "StateVector",
    "Step",
    "StepFailed",
    "StepMismatch",
    "StepRetry",
    "StepUnknown",
    "Submission",
    "Summary",
    "Suspension",
    "Task",
    "TokenInvalid",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "Wait",
    "WaitTimedOut",
    "Waitpoint",
    "WaitpointKey",
    "Worker",
    "WorkerInfo",
    "WrongState",
    "all_of",
    "any_of",
    "count",
    "operator",
    "signal",
    "task",
    "timer",
]
