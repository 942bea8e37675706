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

class FrameClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FRAME_CLASS_UNSPECIFIED: _ClassVar[FrameClass]
    FRAME_CLASS_DURABLE: _ClassVar[FrameClass]
    FRAME_CLASS_SUMMARY: _ClassVar[FrameClass]
    FRAME_CLASS_BEST_EFFORT: _ClassVar[FrameClass]

class FrameKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FRAME_KIND_UNSPECIFIED: _ClassVar[FrameKind]
    FRAME_KIND_STDOUT: _ClassVar[FrameKind]
    FRAME_KIND_STDERR: _ClassVar[FrameKind]
    FRAME_KIND_EVENT: _ClassVar[FrameKind]
    FRAME_KIND_RESULT: _ClassVar[FrameKind]
    FRAME_KIND_SUMMARY: _ClassVar[FrameKind]
    FRAME_KIND_SUMMARY_REPLACE: _ClassVar[FrameKind]
FRAME_CLASS_UNSPECIFIED: FrameClass
FRAME_CLASS_DURABLE: FrameClass
FRAME_CLASS_SUMMARY: FrameClass
FRAME_CLASS_BEST_EFFORT: FrameClass
FRAME_KIND_UNSPECIFIED: FrameKind
FRAME_KIND_STDOUT: FrameKind
FRAME_KIND_STDERR: FrameKind
FRAME_KIND_EVENT: FrameKind
FRAME_KIND_RESULT: FrameKind
FRAME_KIND_SUMMARY: FrameKind
FRAME_KIND_SUMMARY_REPLACE: FrameKind

class OutputFrame(_message.Message):
    __slots__ = ("cursor", "attempt", "number", "kind", "data", "time", "frame_class", "version")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    FRAME_CLASS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    attempt: int
    number: int
    kind: FrameKind
    data: bytes
    time: _timestamp_pb2.Timestamp
    frame_class: FrameClass
    version: int
    def __init__(self, cursor: _Optional[str] = ..., attempt: _Optional[int] = ..., number: _Optional[int] = ..., kind: _Optional[_Union[FrameKind, str]] = ..., data: _Optional[bytes] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., frame_class: _Optional[_Union[FrameClass, str]] = ..., version: _Optional[int] = ...) -> None: ...

class OutputClose(_message.Message):
    __slots__ = ("cursor", "reason")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    reason: str
    def __init__(self, cursor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReadOutputRequest(_message.Message):
    __slots__ = ("execution_id", "after", "attempt", "page_size", "until", "classes", "kinds")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    after: str
    attempt: int
    page_size: int
    until: str
    classes: _containers.RepeatedScalarFieldContainer[FrameClass]
    kinds: _containers.RepeatedScalarFieldContainer[FrameKind]
    def __init__(self, execution_id: _Optional[str] = ..., after: _Optional[str] = ..., attempt: _Optional[int] = ..., page_size: _Optional[int] = ..., until: _Optional[str] = ..., classes: _Optional[_Iterable[_Union[FrameClass, str]]] = ..., kinds: _Optional[_Iterable[_Union[FrameKind, str]]] = ...) -> None: ...

class ReadOutputResponse(_message.Message):
    __slots__ = ("frames", "next", "close")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[OutputFrame]
    next: str
    close: OutputClose
    def __init__(self, frames: _Optional[_Iterable[_Union[OutputFrame, _Mapping]]] = ..., next: _Optional[str] = ..., close: _Optional[_Union[OutputClose, _Mapping]] = ...) -> None: ...

class TailOutputRequest(_message.Message):
    __slots__ = ("execution_id", "after", "attempt", "classes", "kinds")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    after: str
    attempt: int
    classes: _containers.RepeatedScalarFieldContainer[FrameClass]
    kinds: _containers.RepeatedScalarFieldContainer[FrameKind]
    def __init__(self, execution_id: _Optional[str] = ..., after: _Optional[str] = ..., attempt: _Optional[int] = ..., classes: _Optional[_Iterable[_Union[FrameClass, str]]] = ..., kinds: _Optional[_Iterable[_Union[FrameKind, str]]] = ...) -> None: ...

class TailOutputResponse(_message.Message):
    __slots__ = ("frames", "close")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[OutputFrame]
    close: OutputClose
    def __init__(self, frames: _Optional[_Iterable[_Union[OutputFrame, _Mapping]]] = ..., close: _Optional[_Union[OutputClose, _Mapping]] = ...) -> None: ...

class GetSummaryRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("document", "version", "cursor", "update_time")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    version: int
    cursor: str
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, document: _Optional[bytes] = ..., version: _Optional[int] = ..., cursor: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
