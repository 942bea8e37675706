from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Profile(_message.Message):
    __slots__ = ("namespace", "lanes", "capabilities")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    lanes: _containers.RepeatedScalarFieldContainer[str]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, namespace: _Optional[str] = ..., lanes: _Optional[_Iterable[str]] = ..., capabilities: _Optional[_Iterable[str]] = ...) -> None: ...

class Demand(_message.Message):
    __slots__ = ("demand_id", "profile", "limit")
    DEMAND_ID_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    demand_id: int
    profile: Profile
    limit: int
    def __init__(self, demand_id: _Optional[int] = ..., profile: _Optional[_Union[Profile, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ClaimResult(_message.Message):
    __slots__ = ("order_id", "asked", "granted", "next_score", "failed")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    NEXT_SCORE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    order_id: int
    asked: int
    granted: int
    next_score: float
    failed: bool
    def __init__(self, order_id: _Optional[int] = ..., asked: _Optional[int] = ..., granted: _Optional[int] = ..., next_score: _Optional[float] = ..., failed: _Optional[bool] = ...) -> None: ...

class DispatchRequest(_message.Message):
    __slots__ = ("demands", "results", "gone")
    DEMANDS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    demands: _containers.RepeatedCompositeFieldContainer[Demand]
    results: _containers.RepeatedCompositeFieldContainer[ClaimResult]
    gone: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, demands: _Optional[_Iterable[_Union[Demand, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[ClaimResult, _Mapping]]] = ..., gone: _Optional[_Iterable[int]] = ...) -> None: ...

class ClaimOrder(_message.Message):
    __slots__ = ("order_id", "demand_id", "partition", "queue", "count", "has_more")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    DEMAND_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    order_id: int
    demand_id: int
    partition: int
    queue: str
    count: int
    has_more: bool
    def __init__(self, order_id: _Optional[int] = ..., demand_id: _Optional[int] = ..., partition: _Optional[int] = ..., queue: _Optional[str] = ..., count: _Optional[int] = ..., has_more: _Optional[bool] = ...) -> None: ...

class DispatchResponse(_message.Message):
    __slots__ = ("scheduler_id", "orders")
    SCHEDULER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    scheduler_id: str
    orders: _containers.RepeatedCompositeFieldContainer[ClaimOrder]
    def __init__(self, scheduler_id: _Optional[str] = ..., orders: _Optional[_Iterable[_Union[ClaimOrder, _Mapping]]] = ...) -> None: ...
