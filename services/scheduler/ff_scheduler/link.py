"""One gateway's stream, seen from the scheduler: grants that are ready leave in one message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ff_core import ids
from ff_core.lease import Grant
from flowfabric_api.dispatch.v1 import dispatch_pb2 as pb

#: A message is closed at this size, well below gRPC's usual limit of 4 MiB.
MESSAGE_BYTES = 2 << 20


class GatewayLink:
    """The way down to one gateway."""

    def __init__(self) -> None:
        self._ready: list[tuple[int, Grant]] = []
        self._some = asyncio.Event()
        self._closed = False

    def send(self, demand_id: int, grants: list[Grant]) -> None:
        """Queues grants; what is queued until the stream takes it goes as one message."""
        self._ready += [(demand_id, grant) for grant in grants]
        self._some.set()

    def close(self) -> None:
        """Ends `messages`."""
        self._closed = True
        self._some.set()

    def undelivered(self) -> list[bytes]:
        """Leases that were queued and will not be sent."""
        leases = [grant.lease for _, grant in self._ready]
        self._ready.clear()
        return leases

    async def messages(self) -> AsyncIterator[pb.DispatchResponse]:
        """Messages as they become ready, until closed."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._ready:
                ready, self._ready = self._ready, []
                message, size = pb.DispatchResponse(), 0
                for place, (demand_id, grant) in enumerate(ready):
                    _add(message, demand_id, grant)
                    size += len(grant.payload) + 256
                    if size > MESSAGE_BYTES:
                        self._ready = ready[place + 1 :] + self._ready
                        break
                yield message
            if self._closed:
                return


def _add(message: pb.DispatchResponse, demand_id: int, grant: Grant) -> None:
    message.grants.add(
        demand_id=demand_id,
        lease=grant.lease,
        execution_id=ids.execution_of_lease(grant.lease),
        kind=grant.kind,
        payload=grant.payload,
        deadline_ms=grant.deadline_ms,
        attempt_deadline_ms=grant.attempt_deadline_ms,
        traceparent=grant.traceparent,
    )
