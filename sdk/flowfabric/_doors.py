"""The services that clients call, and calls that survive a short outage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, TypeVar

import grpc

from flowfabric._channel import TRIES, Gateway, Pause
from flowfabric._errors import EngineError, Unavailable, error_from_call
from flowfabric_api.execution.v1.execution_pb2_grpc import ExecutionServiceStub
from flowfabric_api.operator.v1.operator_pb2_grpc import OperatorServiceStub
from flowfabric_api.output.v1.output_pb2_grpc import OutputServiceStub
from flowfabric_api.subscription.v1.subscription_pb2_grpc import SubscriptionServiceStub
from flowfabric_api.suspension.v1.suspension_pb2_grpc import SuspensionServiceStub

# A call that gets no answer at all, over a connection that died in silence, ends after this.
CALL_TIMEOUT_S = 30.0

Answer = TypeVar("Answer")


class Doors:
    """The services of a gateway over one channel.

    A channel belongs to the loop it is opened in, so it comes about with the first call.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.metadata = gateway.metadata

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        return self._gateway.open_channel()

    @cached_property
    def executions(self) -> Any:
        """The clients' door."""
        return ExecutionServiceStub(self._channel)

    @cached_property
    def output(self) -> Any:
        """What running work says."""
        return OutputServiceStub(self._channel)

    @cached_property
    def operator(self) -> Any:
        """Who works, and what waits where."""
        return OperatorServiceStub(self._channel)

    @cached_property
    def suspensions(self) -> Any:
        """Signals, waitpoints, and what is suspended."""
        return SuspensionServiceStub(self._channel)

    @cached_property
    def subscriptions(self) -> Any:
        """What happens to all executions."""
        return SubscriptionServiceStub(self._channel)

    async def close(self) -> None:
        """Ends the calls that are open."""
        if "_channel" in self.__dict__:
            await self._channel.close(None)

    async def call(
        self,
        method: Callable[..., Awaitable[Answer]],
        request: Any,
        *,
        retry_safe: bool = True,
    ) -> Answer:
        """The answer, after retries while nobody answers.

        A call that is not safe to repeat is repeated only while there was no connection, which means
        it was never sent.
        """
        await self.connect()
        pause = Pause()
        for tries_left in range(TRIES - 1, -1, -1):
            try:
                return await method(request, metadata=self.metadata, timeout=CALL_TIMEOUT_S)
            except grpc.aio.AioRpcError as failure:
                error = error_from_call(failure)
                if not (retry_safe and tries_left and isinstance(error, Unavailable)):
                    raise error from None
            await asyncio.sleep(pause.next(error.retry_after))
        raise AssertionError("unreachable: the last try returns or raises")

    async def connect(self) -> None:
        """Waits until the channel is connected; Unavailable when it repeatedly cannot."""
        state = self._channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return
        pause = Pause()
        tries_left = TRIES
        while state is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                tries_left -= 1
                if not tries_left:
                    raise no_gateway(self._gateway.address)
                await asyncio.sleep(pause.next())
            else:
                await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)


def no_gateway(address: str) -> EngineError:
    """The error for an address where nobody listens."""
    return Unavailable("UNAVAILABLE", f"no gateway answers at {address}", retryable=True)
