"""SubscriptionService: what happens to all executions, followed or read page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ff_core.errors import invalid
from ff_core.wire import event as wire
from ff_gateway.subscription import News, Subscriptions
from flowfabric_api.subscription.v1 import subscription_pb2 as pb
from flowfabric_api.subscription.v1 import subscription_pb2_grpc

MAX_PAGE = 256


class SubscriptionServicer(subscription_pb2_grpc.SubscriptionServiceServicer):
    """The door for who follows all executions."""

    def __init__(self, subscriptions: Subscriptions, partitions: int) -> None:
        self._subscriptions = subscriptions
        self._partitions = partitions

    async def Subscribe(
        self, request: pb.SubscribeRequest, _context: Any
    ) -> AsyncIterator[pb.SubscribeResponse]:
        following = self._subscriptions.follow(
            self._places(request), _limit(request), wire.event_filter(request)
        )
        async for news, places in following:
            yield _response(news, places)

    async def ReadEvents(self, request: pb.SubscribeRequest, _context: Any) -> pb.SubscribeResponse:
        news, places = await self._subscriptions.read(
            self._places(request), _limit(request), wire.event_filter(request)
        )
        return _response(news, places)

    def _places(self, request: pb.SubscribeRequest) -> list[str] | None:
        """Where to begin; None for what is to come."""
        if request.after:
            return wire.read_cursor(request.after, self._partitions)
        return [wire.FROM_FIRST] * self._partitions if request.from_first else None


def _limit(request: pb.SubscribeRequest) -> int:
    if request.page_size < 0:
        raise invalid("page_size", f"{request.page_size}; at least 0")
    return min(request.page_size or 100, MAX_PAGE)


def _response(news: News, places: list[str]) -> pb.SubscribeResponse:
    reply = pb.SubscribeResponse(
        cursor=pb.Cursor(cursor=wire.write_cursor(places)),
        fell_off=bool(news.fell_off),
        partitions_fell_off=news.fell_off,
    )
    for event in news.events:
        wire.add_event(reply.events, event)
    return reply
