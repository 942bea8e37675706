"""A worker's side of a session, message by message."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration

from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.worker.v1 import worker_pb2 as wk

from .door import Door, refusal_of

#: What a stream reads at its end; grpc's stubs do not know it.
EOF: Any = getattr(grpc.aio, "EOF")  # noqa: B009


def hello(worker_id: str = "w", **over: object) -> wk.Hello:
    pools = [wk.Pool(lanes=["session"], capabilities=[], slots=4)]
    return wk.Hello(**({"worker_id": worker_id, "pools": pools} | over))  # type: ignore[arg-type]


class Stream:
    """A worker's side of a session, message by message."""

    def __init__(self, door: Door) -> None:
        self._call: Any = door.workers.Session()

    async def say(self, **fields: object) -> None:
        await self._call.write(wk.SessionRequest(**fields))  # type: ignore[arg-type]

    async def hear(self) -> wk.SessionResponse:
        """The next message. Raises Refused when there is none because the session ended so."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise refusal_of(error) from error
        assert message is not EOF, "the session ended in order"
        assert isinstance(message, wk.SessionResponse)
        return message

    async def hear_of(self, field: str) -> wk.SessionResponse:
        """The next message that holds a field."""
        while True:
            message = await self.hear()
            if field in [descriptor.name for descriptor, _ in message.ListFields()]:
                return message

    async def open(self, **fields: object) -> wk.Welcome:
        await self.say(hello=hello(**fields))  # type: ignore[arg-type]
        return (await self.hear()).welcome

    async def end(self) -> None:
        """Closes this side and waits for the other."""
        await self._call.done_writing()
        while await self._call.read() is not EOF:
            pass

    def drop(self) -> None:
        self._call.cancel()


async def create(door: Door, **spec: object) -> str:
    fields: dict[str, object] = {"kind": "k", "lane": "session"}
    request = ex.CreateExecutionRequest(spec=ex.ExecutionSpec(**(fields | spec)))  # type: ignore[arg-type]
    [answer] = await door.ask(request, "CreateExecution")
    return str(answer.execution_id)


async def claimed(door: Door, lane: str) -> wk.Grant:
    """The grant of the one execution that waits in a lane, by a single call."""
    patience = Duration(seconds=30)  # without it a call waits for a quarter of a second only
    request = wk.ClaimRequest(worker_id="by-hand", lanes=[lane], wait_time=patience)
    [answer] = await door.ask(request, "Claim")
    [grant] = answer.grants
    assert isinstance(grant, wk.Grant)
    return grant


async def state_of(door: Door, execution_id: str) -> str:
    [execution] = await door.ask(ex.GetExecutionRequest(execution_id=execution_id), "GetExecution")
    return ex.PublicState.Name(execution.state).removeprefix("PUBLIC_STATE_")
