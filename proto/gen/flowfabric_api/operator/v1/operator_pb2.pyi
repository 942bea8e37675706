import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListWorkersRequest(_message.Message):
    __slots__ = ("namespace", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "next_page_token")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    next_page_token: str
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("worker_id", "identity", "namespace", "session_id", "gateway_id", "sdk", "pools", "connect_time", "expire_time", "draining", "kinds")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    SDK_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    identity: str
    namespace: str
    session_id: str
    gateway_id: str
    sdk: str
    pools: _containers.RepeatedCompositeFieldContainer[WorkerPool]
    connect_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    draining: bool
    kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker_id: _Optional[str] = ..., identity: _Optional[str] = ..., namespace: _Optional[str] = ..., session_id: _Optional[str] = ..., gateway_id: _Optional[str] = ..., sdk: _Optional[str] = ..., pools: _Optional[_Iterable[_Union[WorkerPool, _Mapping]]] = ..., connect_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., draining: _Optional[bool] = ..., kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class WorkerPool(_message.Message):
    __slots__ = ("lanes", "capabilities", "slots", "held")
    LANES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    lanes: _containers.RepeatedScalarFieldContainer[str]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    slots: int
    held: int
    def __init__(self, lanes: _Optional[_Iterable[str]] = ..., capabilities: _Optional[_Iterable[str]] = ..., slots: _Optional[int] = ..., held: _Optional[int] = ...) -> None: ...

class ListLanesRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class ListLanesResponse(_message.Message):
    __slots__ = ("lanes",)
    LANES_FIELD_NUMBER: _ClassVar[int]
    lanes: _containers.RepeatedCompositeFieldContainer[Lane]
    def __init__(self, lanes: _Optional[_Iterable[_Union[Lane, _Mapping]]] = ...) -> None: ...

class Lane(_message.Message):
    __slots__ = ("lane", "queues", "waiting", "workers", "slots", "held")
    LANE_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    lane: str
    queues: _containers.RepeatedCompositeFieldContainer[LaneQueue]
    waiting: int
    workers: int
    slots: int
    held: int
    def __init__(self, lane: _Optional[str] = ..., queues: _Optional[_Iterable[_Union[LaneQueue, _Mapping]]] = ..., waiting: _Optional[int] = ..., workers: _Optional[int] = ..., slots: _Optional[int] = ..., held: _Optional[int] = ...) -> None: ...

class LaneQueue(_message.Message):
    __slots__ = ("required_capabilities", "waiting", "has_capable_worker")
    REQUIRED_CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    HAS_CAPABLE_WORKER_FIELD_NUMBER: _ClassVar[int]
    required_capabilities: _containers.RepeatedScalarFieldContainer[str]
    waiting: int
    has_capable_worker: bool
    def __init__(self, required_capabilities: _Optional[_Iterable[str]] = ..., waiting: _Optional[int] = ..., has_capable_worker: _Optional[bool] = ...) -> None: ...

class RotateWaitpointKeyRequest(_message.Message):
    __slots__ = ("kid", "grace", "secret")
    KID_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    kid: str
    grace: _duration_pb2.Duration
    secret: bytes
    def __init__(self, kid: _Optional[str] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., secret: _Optional[bytes] = ...) -> None: ...

class RotateWaitpointKeyResponse(_message.Message):
    __slots__ = ("kid", "previous_kid", "changed", "dropped")
    KID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_KID_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    kid: str
    previous_kid: str
    changed: bool
    dropped: int
    def __init__(self, kid: _Optional[str] = ..., previous_kid: _Optional[str] = ..., changed: _Optional[bool] = ..., dropped: _Optional[int] = ...) -> None: ...

class ListWaitpointKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWaitpointKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[WaitpointKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[WaitpointKey, _Mapping]]] = ...) -> None: ...

class WaitpointKey(_message.Message):
    __slots__ = ("kid", "current", "create_time", "expire_time")
    KID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    kid: str
    current: bool
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, kid: _Optional[str] = ..., current: _Optional[bool] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
