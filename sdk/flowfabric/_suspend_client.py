"""What clients do with work that waits: signal it, decide for it, resume it, and hear of it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Unpack, cast

from flowfabric import _codec, _submit, _wire
from flowfabric._doors import Doors
from flowfabric._errors import EngineError, error_from_status
from flowfabric._event import EventFamily, EventOptions, EventPage
from flowfabric._execution import Duration, State
from flowfabric._feed import feed
from flowfabric._operator import KeyRotation, WaitpointKey
from flowfabric._signal import Delivery, SignalSpec
from flowfabric._suspension import Suspension, Waitpoint
from flowfabric_api.operator.v1 import operator_pb2 as operator_pb
from flowfabric_api.subscription.v1 import subscription_pb2 as subscription_pb
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

LARGEST_PAGE = 200


class SuspendClient:
    """The part of `Client` that deals with waiting; never made by itself."""

    namespace: str
    _doors: Doors

    # Signal

    async def signal(
        self,
        waitpoint: str | Waitpoint,
        name: str,
        payload: object = None,
        *,
        token: str = "",
        category: str = "",
        correlation_id: str = "",
        idempotency_key: str = "",
        idempotency_ttl: Duration | None = None,
        resume_delay: Duration | None = None,
        retry_safe: bool = False,
    ) -> Delivery:
        """Delivers one signal to a waitpoint, by its id and token or by the value that holds both.

        As with `submit`, it is sent only once without an idempotency key, and `retry_safe` makes one up.

        Raises:
            TokenInvalid: the token does not open this waitpoint.
            WrongState: the waitpoint, or its execution, has ended.
        """
        waitpoint_id, token = opened(waitpoint, token)
        request = pb.DeliverSignalRequest()
        spec = SignalSpec(
            waitpoint_id,
            name,
            payload,
            token,
            category,
            correlation_id,
            key_for(idempotency_key, retry_safe),
            idempotency_ttl,
            resume_delay,
        )
        _wire.put_signal(request, spec)
        answer = await self._doors.call(
            self._doors.suspensions.DeliverSignal, request, retry_safe=bool(spec.idempotency_key)
        )
        return _wire.delivery_from(answer)

    async def signal_many(
        self, signals: Sequence[SignalSpec], *, retry_safe: bool = False
    ) -> list[Delivery | EngineError]:
        """Delivers many signals; the verdicts are in their order, and one refused harms no other."""
        requests: list[pb.DeliverSignalRequest] = []
        for spec in signals:
            request = pb.DeliverSignalRequest()
            _wire.put_signal(request, spec)
            request.idempotency_key = key_for(spec.idempotency_key, retry_safe)
            requests.append(request)

        async def send(chunk: list[pb.DeliverSignalRequest]) -> list[Delivery | EngineError]:
            answer = await self._doors.call(
                self._doors.suspensions.BulkDeliverSignals,
                pb.BulkDeliverSignalsRequest(requests=chunk),
                retry_safe=all(request.idempotency_key for request in chunk),
            )
            return [
                error_from_status(each.status) if each.status.code else _wire.delivery_from(each.signal)
                for each in answer.results
            ]

        return await _submit.in_chunks(requests, send)

    async def approve(
        self, execution_id: str, waitpoint: str, payload: object = None, *, idempotency_key: str = ""
    ) -> Delivery:
        """Approves an open waitpoint by its name, as whoever the client's token belongs to."""
        return await self._decide(execution_id, waitpoint, pb.DECISION_APPROVE, payload, idempotency_key)

    async def reject(
        self, execution_id: str, waitpoint: str, payload: object = None, *, idempotency_key: str = ""
    ) -> Delivery:
        """Rejects an open waitpoint by its name, as whoever the client's token belongs to."""
        return await self._decide(execution_id, waitpoint, pb.DECISION_REJECT, payload, idempotency_key)

    async def _decide(
        self, execution_id: str, name: str, decision: pb.Decision, payload: object, key: str
    ) -> Delivery:
        request = pb.DecideWaitpointRequest(
            execution_id=execution_id,
            name=name,
            decision=decision,
            payload=_codec.encode(payload),
            idempotency_key=key or uuid.uuid4().hex,  # a decision is rare, and dear when it is lost
        )
        return _wire.delivery_from(await self._doors.call(self._doors.suspensions.DecideWaitpoint, request))

    async def resume(self, execution_id: str, reason: str = "", delay: Duration | None = None) -> State:
        """Resumes a suspended execution as an operator, whatever it waits for."""
        request = pb.ResumeExecutionRequest(execution_id=execution_id, reason=reason)
        _wire.put_duration(request.delay, delay)
        answer = await self._doors.call(self._doors.suspensions.ResumeExecution, request, retry_safe=False)
        return State(answer.state)

    # Look

    async def waitpoints(self, execution_id: str, *, include_closed: bool = False) -> list[Waitpoint]:
        """The waitpoints of an execution in the order they were made; never with a token."""
        request = pb.ListWaitpointsRequest(
            execution_id=execution_id, page_size=LARGEST_PAGE, include_closed=include_closed
        )
        found: list[Waitpoint] = []
        while True:
            answer = await self._doors.call(self._doors.suspensions.ListWaitpoints, request)
            found += map(_wire.waitpoint_from, answer.waitpoints)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found

    async def suspension(self, execution_id: str) -> Suspension | None:
        """The current or last suspension of an execution, and how far its waits are."""
        request = pb.GetSuspensionRequest(execution_id=execution_id)
        return _wire.suspension_from(await self._doors.call(self._doors.suspensions.GetSuspension, request))

    async def subscribe(
        self, after: str = "", **options: Unpack[EventOptions]
    ) -> AsyncGenerator[EventPage, None]:
        """What happens to executions from now on, or after a cursor, through broken connections.

        The first page comes at once, so that nothing that happens after it is missed, and one without
        events every now and then. Keep the cursor of a page when it is done with: passed as `after`, it
        goes on behind it. Then each event is seen at least once.
        """
        request = self._events_request(after, **options)
        async with aclosing(
            feed(lambda: self._doors.subscriptions.Subscribe(request, metadata=self._doors.metadata))
        ) as responses:
            async for response in responses:
                request.after = response.cursor.cursor
                yield _wire.event_page_from(response)

    async def read_events(self, after: str = "", **options: Unpack[EventOptions]) -> EventPage:
        """The next page of the same, without waiting for one."""
        request = self._events_request(after, **options)
        return _wire.event_page_from(await self._doors.call(self._doors.subscriptions.ReadEvents, request))

    def _events_request(
        self,
        after: str,
        *,
        from_first: bool = False,
        families: Iterable[EventFamily] = (),
        lane: str = "",
        kind: str = "",
        tags: Mapping[str, str] | None = None,
        all_namespaces: bool = False,
        page_size: int = 0,
    ) -> subscription_pb.SubscribeRequest:
        request = subscription_pb.SubscribeRequest(
            after=after,
            from_first=from_first,
            namespace="" if all_namespaces else self.namespace,
            lane=lane,
            kind=kind,
            tags=[f"{key}={value}" for key, value in (tags or {}).items()],
            page_size=page_size,
        )
        request.families.extend(cast("Iterable[subscription_pb.EventFamily]", families))
        return request

    # Operate

    async def rotate_key(
        self, kid: str = "", *, grace: Duration | None = None, secret: bytes = b""
    ) -> KeyRotation:
        """Makes a key the one for new waitpoint tokens; those of the one before stay good for the grace.

        The engine chooses the name and makes the secret, unless they are given.
        """
        request = operator_pb.RotateWaitpointKeyRequest(kid=kid, secret=secret)
        _wire.put_duration(request.grace, grace)
        answer = await self._doors.call(
            self._doors.operator.RotateWaitpointKey, request, retry_safe=bool(kid)
        )
        return _wire.rotation_from(answer)

    async def keys(self) -> list[WaitpointKey]:
        """The keys that waitpoint tokens are checked with, the current one first; never a secret."""
        request = operator_pb.ListWaitpointKeysRequest()
        answer = await self._doors.call(self._doors.operator.ListWaitpointKeys, request)
        return list(map(_wire.key_from, answer.keys))


def opened(waitpoint: str | Waitpoint, token: str) -> tuple[str, str]:
    """The id and the token of a waitpoint that is given by its id, or with both."""
    if isinstance(waitpoint, Waitpoint):
        return waitpoint.waitpoint_id, token or waitpoint.token
    return waitpoint, token


def key_for(idempotency_key: str, is_needed: bool) -> str:
    """The key that was given, or a new one when there has to be one."""
    return idempotency_key or (uuid.uuid4().hex if is_needed else "")
