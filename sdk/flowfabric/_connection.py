"""A session on its stream: one channel, one Session call, and the clock that makes it renew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flowfabric._channel import Gateway
from flowfabric._errors import Unavailable
from flowfabric._leases import NEVER
from flowfabric._session import Effects, Session
from flowfabric._stream import Stream
from flowfabric_api.worker.v1 import worker_pb2 as pb
from flowfabric_api.worker.v1.worker_pb2_grpc import WorkerServiceStub

# A gateway that takes longer to say Welcome is taken for dead.
WELCOME_TIMEOUT_S = 10.0


class Connection:
    """Pumps one session; `apply` is told what follows from each message."""

    def __init__(
        self, gateway: Gateway, session: Session, apply: Callable[[Connection, Effects], None]
    ) -> None:
        self.session = session
        self.welcomed = asyncio.Event()
        self.go_away: asyncio.Future[pb.GoAway] = asyncio.get_running_loop().create_future()
        """Done when the gateway is going."""
        self._apply = apply
        self._loop = asyncio.get_running_loop()
        self.channel = gateway.open_channel()
        self.stub = WorkerServiceStub(self.channel)
        self.metadata = gateway.metadata
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._silence: Unavailable | None = None
        self._stream: Stream[pb.SessionRequest, pb.SessionResponse] = Stream(
            self.stub.Session(metadata=self.metadata), self._outgoing, self._incoming
        )
        self.wake = self._stream.wake
        self.finish = self._stream.finish
        self.cancel = self._stream.cancel

    async def run(self) -> None:
        """Pumps until the stream ends; EngineError when it does not end well."""
        patience = self._loop.call_later(WELCOME_TIMEOUT_S, self._give_up, "no Welcome came")
        self.wake()
        try:
            await self._stream.run()
            if self._silence is not None:
                raise self._silence
        finally:
            patience.cancel()
            if self._timer is not None:
                self._timer.cancel()

    async def close(self) -> None:
        """Closes the channel, once nobody uses it any more."""
        await self.channel.close(None)

    def _outgoing(self) -> pb.SessionRequest | None:
        now = self._loop.time()
        if now >= self.session.silent_at:
            self._give_up("renewals go unanswered")
            return None
        request = self.session.outgoing(now)
        if self.session.next_deadline != self._timer_at:
            self._set_timer()
        return request

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self.session.next_deadline
        self._timer = None if self._timer_at == NEVER else self._loop.call_at(self._timer_at, self._ring)

    def _ring(self) -> None:
        # Timers may ring a little early; then the next look sets this one again.
        self._timer_at = NEVER
        self.wake()

    def _incoming(self, message: pb.SessionResponse) -> None:
        effects = self.session.receive(message, self._loop.time())
        if effects.welcomed:
            self.welcomed.set()
        if effects.go_away is not None and not self.go_away.done():
            self.go_away.set_result(effects.go_away)
        self._apply(self, effects)
        self.wake()

    def _give_up(self, reason: str) -> None:
        if reason == "no Welcome came" and self.session.is_welcome:
            return
        self._silence = Unavailable("UNAVAILABLE", reason, retryable=True)
        self.cancel()
