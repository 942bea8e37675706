import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventFamily(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_FAMILY_UNSPECIFIED: _ClassVar[EventFamily]
    EVENT_FAMILY_LIFECYCLE: _ClassVar[EventFamily]
    EVENT_FAMILY_COMPLETION: _ClassVar[EventFamily]
    EVENT_FAMILY_LEASE: _ClassVar[EventFamily]
    EVENT_FAMILY_SIGNAL: _ClassVar[EventFamily]
EVENT_FAMILY_UNSPECIFIED: EventFamily
EVENT_FAMILY_LIFECYCLE: EventFamily
EVENT_FAMILY_COMPLETION: EventFamily
EVENT_FAMILY_LEASE: EventFamily
EVENT_FAMILY_SIGNAL: EventFamily

class SubscribeRequest(_message.Message):
    __slots__ = ("after", "from_first", "families", "namespace", "lane", "kind", "tags", "page_size")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FROM_FIRST_FIELD_NUMBER: _ClassVar[int]
    FAMILIES_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    after: str
    from_first: bool
    families: _containers.RepeatedScalarFieldContainer[EventFamily]
    namespace: str
    lane: str
    kind: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    def __init__(self, after: _Optional[str] = ..., from_first: _Optional[bool] = ..., families: _Optional[_Iterable[_Union[EventFamily, str]]] = ..., namespace: _Optional[str] = ..., lane: _Optional[str] = ..., kind: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("events", "cursor", "fell_off", "partitions_fell_off")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    FELL_OFF_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FELL_OFF_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    cursor: Cursor
    fell_off: bool
    partitions_fell_off: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., cursor: _Optional[_Union[Cursor, _Mapping]] = ..., fell_off: _Optional[bool] = ..., partitions_fell_off: _Optional[_Iterable[int]] = ...) -> None: ...

class Cursor(_message.Message):
    __slots__ = ("cursor",)
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    def __init__(self, cursor: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("event_id", "family", "name", "execution_id", "state", "attempt", "epoch", "namespace", "lane", "kind", "detail", "time")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    family: EventFamily
    name: str
    execution_id: str
    state: str
    attempt: int
    epoch: int
    namespace: str
    lane: str
    kind: str
    detail: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[str] = ..., family: _Optional[_Union[EventFamily, str]] = ..., name: _Optional[str] = ..., execution_id: _Optional[str] = ..., state: _Optional[str] = ..., attempt: _Optional[int] = ..., epoch: _Optional[int] = ..., namespace: _Optional[str] = ..., lane: _Optional[str] = ..., kind: _Optional[str] = ..., detail: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
