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

class DispatchRequest(_message.Message):
    __slots__ = ("gateway_id", "demands")
    GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    DEMANDS_FIELD_NUMBER: _ClassVar[int]
    gateway_id: str
    demands: _containers.RepeatedCompositeFieldContainer[Demand]
    def __init__(self, gateway_id: _Optional[str] = ..., demands: _Optional[_Iterable[_Union[Demand, _Mapping]]] = ...) -> None: ...

class DispatchedGrant(_message.Message):
    __slots__ = ("demand_id", "execution_id", "kind", "attempt", "epoch", "lease", "payload", "deadline_ms", "attempt_deadline_ms", "traceparent")
    DEMAND_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    demand_id: int
    execution_id: str
    kind: str
    attempt: int
    epoch: int
    lease: bytes
    payload: bytes
    deadline_ms: int
    attempt_deadline_ms: int
    traceparent: str
    def __init__(self, demand_id: _Optional[int] = ..., execution_id: _Optional[str] = ..., kind: _Optional[str] = ..., attempt: _Optional[int] = ..., epoch: _Optional[int] = ..., lease: _Optional[bytes] = ..., payload: _Optional[bytes] = ..., deadline_ms: _Optional[int] = ..., attempt_deadline_ms: _Optional[int] = ..., traceparent: _Optional[str] = ...) -> None: ...

class DispatchResponse(_message.Message):
    __slots__ = ("grants", "scheduler_id")
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_ID_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[DispatchedGrant]
    scheduler_id: str
    def __init__(self, grants: _Optional[_Iterable[_Union[DispatchedGrant, _Mapping]]] = ..., scheduler_id: _Optional[str] = ...) -> None: ...
