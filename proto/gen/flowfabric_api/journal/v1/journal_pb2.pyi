import datetime

from flowfabric_api.suspension.v1 import suspension_pb2 as _suspension_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EntryKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_KIND_UNSPECIFIED: _ClassVar[EntryKind]
    ENTRY_KIND_STEP: _ClassVar[EntryKind]
    ENTRY_KIND_WAIT: _ClassVar[EntryKind]
    ENTRY_KIND_SLEEP: _ClassVar[EntryKind]
    ENTRY_KIND_VALUE: _ClassVar[EntryKind]
    ENTRY_KIND_WAITPOINT: _ClassVar[EntryKind]

class EntryState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_STATE_UNSPECIFIED: _ClassVar[EntryState]
    ENTRY_STATE_RUNNING: _ClassVar[EntryState]
    ENTRY_STATE_WAITING: _ClassVar[EntryState]
    ENTRY_STATE_DONE: _ClassVar[EntryState]
    ENTRY_STATE_FAILED: _ClassVar[EntryState]
ENTRY_KIND_UNSPECIFIED: EntryKind
ENTRY_KIND_STEP: EntryKind
ENTRY_KIND_WAIT: EntryKind
ENTRY_KIND_SLEEP: EntryKind
ENTRY_KIND_VALUE: EntryKind
ENTRY_KIND_WAITPOINT: EntryKind
ENTRY_STATE_UNSPECIFIED: EntryState
ENTRY_STATE_RUNNING: EntryState
ENTRY_STATE_WAITING: EntryState
ENTRY_STATE_DONE: EntryState
ENTRY_STATE_FAILED: EntryState

class Entry(_message.Message):
    __slots__ = ("key", "kind", "name", "state", "data", "fingerprint", "runs", "uncertain", "failure", "signals", "due_time", "waitpoint_id", "sequence", "end_sequence", "seen")
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    WAITPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    END_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    key: str
    kind: EntryKind
    name: str
    state: EntryState
    data: bytes
    fingerprint: str
    runs: int
    uncertain: bool
    failure: StepFailure
    signals: _containers.RepeatedCompositeFieldContainer[_suspension_pb2.Signal]
    due_time: _timestamp_pb2.Timestamp
    waitpoint_id: str
    sequence: int
    end_sequence: int
    seen: int
    def __init__(self, key: _Optional[str] = ..., kind: _Optional[_Union[EntryKind, str]] = ..., name: _Optional[str] = ..., state: _Optional[_Union[EntryState, str]] = ..., data: _Optional[bytes] = ..., fingerprint: _Optional[str] = ..., runs: _Optional[int] = ..., uncertain: _Optional[bool] = ..., failure: _Optional[_Union[StepFailure, _Mapping]] = ..., signals: _Optional[_Iterable[_Union[_suspension_pb2.Signal, _Mapping]]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., waitpoint_id: _Optional[str] = ..., sequence: _Optional[int] = ..., end_sequence: _Optional[int] = ..., seen: _Optional[int] = ...) -> None: ...

class StepFailure(_message.Message):
    __slots__ = ("type", "message", "category")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    category: str
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., category: _Optional[str] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("key", "kind", "name", "state", "runs", "uncertain", "failure", "start_time", "end_time", "due_time", "data_bytes")
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    DATA_BYTES_FIELD_NUMBER: _ClassVar[int]
    key: str
    kind: EntryKind
    name: str
    state: EntryState
    runs: int
    uncertain: bool
    failure: StepFailure
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    data_bytes: int
    def __init__(self, key: _Optional[str] = ..., kind: _Optional[_Union[EntryKind, str]] = ..., name: _Optional[str] = ..., state: _Optional[_Union[EntryState, str]] = ..., runs: _Optional[int] = ..., uncertain: _Optional[bool] = ..., failure: _Optional[_Union[StepFailure, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_bytes: _Optional[int] = ...) -> None: ...
