import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CountBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COUNT_BY_UNSPECIFIED: _ClassVar[CountBy]
    COUNT_BY_WAITPOINTS: _ClassVar[CountBy]
    COUNT_BY_SIGNALS: _ClassVar[CountBy]
    COUNT_BY_SOURCES: _ClassVar[CountBy]

class TimeoutBehaviour(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIMEOUT_BEHAVIOUR_UNSPECIFIED: _ClassVar[TimeoutBehaviour]
    TIMEOUT_BEHAVIOUR_FAIL: _ClassVar[TimeoutBehaviour]
    TIMEOUT_BEHAVIOUR_CANCEL: _ClassVar[TimeoutBehaviour]
    TIMEOUT_BEHAVIOUR_EXPIRE: _ClassVar[TimeoutBehaviour]
    TIMEOUT_BEHAVIOUR_AUTO_RESUME: _ClassVar[TimeoutBehaviour]
    TIMEOUT_BEHAVIOUR_ESCALATE: _ClassVar[TimeoutBehaviour]

class WaitpointUse(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAITPOINT_USE_UNSPECIFIED: _ClassVar[WaitpointUse]
    WAITPOINT_USE_SINGLE: _ClassVar[WaitpointUse]
    WAITPOINT_USE_MULTIPLE: _ClassVar[WaitpointUse]

class SignalEffect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNAL_EFFECT_UNSPECIFIED: _ClassVar[SignalEffect]
    SIGNAL_EFFECT_RESUMED: _ClassVar[SignalEffect]
    SIGNAL_EFFECT_COUNTED: _ClassVar[SignalEffect]
    SIGNAL_EFFECT_REPEATED: _ClassVar[SignalEffect]
    SIGNAL_EFFECT_UNMATCHED: _ClassVar[SignalEffect]
    SIGNAL_EFFECT_BUFFERED: _ClassVar[SignalEffect]

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_APPROVE: _ClassVar[Decision]
    DECISION_REJECT: _ClassVar[Decision]
COUNT_BY_UNSPECIFIED: CountBy
COUNT_BY_WAITPOINTS: CountBy
COUNT_BY_SIGNALS: CountBy
COUNT_BY_SOURCES: CountBy
TIMEOUT_BEHAVIOUR_UNSPECIFIED: TimeoutBehaviour
TIMEOUT_BEHAVIOUR_FAIL: TimeoutBehaviour
TIMEOUT_BEHAVIOUR_CANCEL: TimeoutBehaviour
TIMEOUT_BEHAVIOUR_EXPIRE: TimeoutBehaviour
TIMEOUT_BEHAVIOUR_AUTO_RESUME: TimeoutBehaviour
TIMEOUT_BEHAVIOUR_ESCALATE: TimeoutBehaviour
WAITPOINT_USE_UNSPECIFIED: WaitpointUse
WAITPOINT_USE_SINGLE: WaitpointUse
WAITPOINT_USE_MULTIPLE: WaitpointUse
SIGNAL_EFFECT_UNSPECIFIED: SignalEffect
SIGNAL_EFFECT_RESUMED: SignalEffect
SIGNAL_EFFECT_COUNTED: SignalEffect
SIGNAL_EFFECT_REPEATED: SignalEffect
SIGNAL_EFFECT_UNMATCHED: SignalEffect
SIGNAL_EFFECT_BUFFERED: SignalEffect
DECISION_UNSPECIFIED: Decision
DECISION_APPROVE: Decision
DECISION_REJECT: Decision

class Condition(_message.Message):
    __slots__ = ("signal", "operator", "timer", "all_of", "any_of", "count")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    TIMER_FIELD_NUMBER: _ClassVar[int]
    ALL_OF_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    signal: SignalMatch
    operator: Operator
    timer: Timer
    all_of: AllOf
    any_of: AnyOf
    count: Count
    def __init__(self, signal: _Optional[_Union[SignalMatch, _Mapping]] = ..., operator: _Optional[_Union[Operator, _Mapping]] = ..., timer: _Optional[_Union[Timer, _Mapping]] = ..., all_of: _Optional[_Union[AllOf, _Mapping]] = ..., any_of: _Optional[_Union[AnyOf, _Mapping]] = ..., count: _Optional[_Union[Count, _Mapping]] = ...) -> None: ...

class SignalMatch(_message.Message):
    __slots__ = ("waitpoint", "match")
    WAITPOINT_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    waitpoint: str
    match: Matcher
    def __init__(self, waitpoint: _Optional[str] = ..., match: _Optional[_Union[Matcher, _Mapping]] = ...) -> None: ...

class Matcher(_message.Message):
    __slots__ = ("names", "category", "source")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    category: str
    source: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., category: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class Operator(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Timer(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AllOf(_message.Message):
    __slots__ = ("conditions",)
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    def __init__(self, conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ...) -> None: ...

class AnyOf(_message.Message):
    __slots__ = ("conditions",)
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    def __init__(self, conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ...) -> None: ...

class Count(_message.Message):
    __slots__ = ("n", "by", "waitpoints", "match")
    N_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WAITPOINTS_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    n: int
    by: CountBy
    waitpoints: _containers.RepeatedScalarFieldContainer[str]
    match: Matcher
    def __init__(self, n: _Optional[int] = ..., by: _Optional[_Union[CountBy, str]] = ..., waitpoints: _Optional[_Iterable[str]] = ..., match: _Optional[_Union[Matcher, _Mapping]] = ...) -> None: ...

class WaitpointSpec(_message.Message):
    __slots__ = ("name", "use", "recipient", "ttl", "waitpoint_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    WAITPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    use: WaitpointUse
    recipient: str
    ttl: _duration_pb2.Duration
    waitpoint_id: str
    def __init__(self, name: _Optional[str] = ..., use: _Optional[_Union[WaitpointUse, str]] = ..., recipient: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., waitpoint_id: _Optional[str] = ...) -> None: ...

class Wait(_message.Message):
    __slots__ = ("entry", "name", "condition", "timeout", "timeout_time", "on_timeout", "seen")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_TIME_FIELD_NUMBER: _ClassVar[int]
    ON_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    entry: str
    name: str
    condition: Condition
    timeout: _duration_pb2.Duration
    timeout_time: _timestamp_pb2.Timestamp
    on_timeout: TimeoutBehaviour
    seen: int
    def __init__(self, entry: _Optional[str] = ..., name: _Optional[str] = ..., condition: _Optional[_Union[Condition, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., timeout_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., on_timeout: _Optional[_Union[TimeoutBehaviour, str]] = ..., seen: _Optional[int] = ...) -> None: ...

class SuspendSpec(_message.Message):
    __slots__ = ("reason_code", "waitpoints", "waits")
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    WAITPOINTS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    reason_code: str
    waitpoints: _containers.RepeatedCompositeFieldContainer[WaitpointSpec]
    waits: _containers.RepeatedCompositeFieldContainer[Wait]
    def __init__(self, reason_code: _Optional[str] = ..., waitpoints: _Optional[_Iterable[_Union[WaitpointSpec, _Mapping]]] = ..., waits: _Optional[_Iterable[_Union[Wait, _Mapping]]] = ...) -> None: ...

class Waitpoint(_message.Message):
    __slots__ = ("waitpoint_id", "name", "use", "state", "recipient", "token", "callback_path", "callback_url", "kid", "create_time", "expire_time", "signals", "fingerprint")
    WAITPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_PATH_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_URL_FIELD_NUMBER: _ClassVar[int]
    KID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    waitpoint_id: str
    name: str
    use: WaitpointUse
    state: str
    recipient: str
    token: str
    callback_path: str
    callback_url: str
    kid: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    signals: int
    fingerprint: str
    def __init__(self, waitpoint_id: _Optional[str] = ..., name: _Optional[str] = ..., use: _Optional[_Union[WaitpointUse, str]] = ..., state: _Optional[str] = ..., recipient: _Optional[str] = ..., token: _Optional[str] = ..., callback_path: _Optional[str] = ..., callback_url: _Optional[str] = ..., kid: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., signals: _Optional[int] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class Signal(_message.Message):
    __slots__ = ("number", "waitpoint", "name", "category", "source", "correlation_id", "payload", "time")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WAITPOINT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    number: int
    waitpoint: str
    name: str
    category: str
    source: str
    correlation_id: str
    payload: bytes
    time: _timestamp_pb2.Timestamp
    def __init__(self, number: _Optional[int] = ..., waitpoint: _Optional[str] = ..., name: _Optional[str] = ..., category: _Optional[str] = ..., source: _Optional[str] = ..., correlation_id: _Optional[str] = ..., payload: _Optional[bytes] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Resumption(_message.Message):
    __slots__ = ("suspension", "ending", "signals", "is_partial")
    SUSPENSION_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    IS_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    suspension: int
    ending: str
    signals: _containers.RepeatedCompositeFieldContainer[Signal]
    is_partial: bool
    def __init__(self, suspension: _Optional[int] = ..., ending: _Optional[str] = ..., signals: _Optional[_Iterable[_Union[Signal, _Mapping]]] = ..., is_partial: _Optional[bool] = ...) -> None: ...

class Suspension(_message.Message):
    __slots__ = ("number", "reason_code", "state", "ending", "suspend_time", "due_time", "waits", "waitpoints")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    SUSPEND_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    WAITPOINTS_FIELD_NUMBER: _ClassVar[int]
    number: int
    reason_code: str
    state: str
    ending: str
    suspend_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    waits: _containers.RepeatedCompositeFieldContainer[WaitState]
    waitpoints: _containers.RepeatedCompositeFieldContainer[Waitpoint]
    def __init__(self, number: _Optional[int] = ..., reason_code: _Optional[str] = ..., state: _Optional[str] = ..., ending: _Optional[str] = ..., suspend_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., waits: _Optional[_Iterable[_Union[WaitState, _Mapping]]] = ..., waitpoints: _Optional[_Iterable[_Union[Waitpoint, _Mapping]]] = ...) -> None: ...

class WaitState(_message.Message):
    __slots__ = ("name", "condition", "satisfied", "signals", "due_time", "on_timeout", "escalated")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    SATISFIED_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    ON_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_FIELD_NUMBER: _ClassVar[int]
    name: str
    condition: Condition
    satisfied: bool
    signals: _containers.RepeatedScalarFieldContainer[int]
    due_time: _timestamp_pb2.Timestamp
    on_timeout: TimeoutBehaviour
    escalated: bool
    def __init__(self, name: _Optional[str] = ..., condition: _Optional[_Union[Condition, _Mapping]] = ..., satisfied: _Optional[bool] = ..., signals: _Optional[_Iterable[int]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., on_timeout: _Optional[_Union[TimeoutBehaviour, str]] = ..., escalated: _Optional[bool] = ...) -> None: ...

class CreateWaitpointRequest(_message.Message):
    __slots__ = ("lease", "spec", "entry")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    spec: WaitpointSpec
    entry: str
    def __init__(self, lease: _Optional[bytes] = ..., spec: _Optional[_Union[WaitpointSpec, _Mapping]] = ..., entry: _Optional[str] = ...) -> None: ...

class SuspendRequest(_message.Message):
    __slots__ = ("lease", "suspend")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    SUSPEND_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    suspend: SuspendSpec
    def __init__(self, lease: _Optional[bytes] = ..., suspend: _Optional[_Union[SuspendSpec, _Mapping]] = ...) -> None: ...

class SuspendResponse(_message.Message):
    __slots__ = ("answer", "suspension", "waitpoints")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    SUSPENSION_FIELD_NUMBER: _ClassVar[int]
    WAITPOINTS_FIELD_NUMBER: _ClassVar[int]
    answer: str
    suspension: int
    waitpoints: _containers.RepeatedCompositeFieldContainer[Waitpoint]
    def __init__(self, answer: _Optional[str] = ..., suspension: _Optional[int] = ..., waitpoints: _Optional[_Iterable[_Union[Waitpoint, _Mapping]]] = ...) -> None: ...

class DeliverSignalRequest(_message.Message):
    __slots__ = ("waitpoint_id", "token", "name", "payload", "category", "correlation_id", "idempotency_key", "idempotency_ttl", "resume_delay")
    WAITPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_TTL_FIELD_NUMBER: _ClassVar[int]
    RESUME_DELAY_FIELD_NUMBER: _ClassVar[int]
    waitpoint_id: str
    token: str
    name: str
    payload: bytes
    category: str
    correlation_id: str
    idempotency_key: str
    idempotency_ttl: _duration_pb2.Duration
    resume_delay: _duration_pb2.Duration
    def __init__(self, waitpoint_id: _Optional[str] = ..., token: _Optional[str] = ..., name: _Optional[str] = ..., payload: _Optional[bytes] = ..., category: _Optional[str] = ..., correlation_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., idempotency_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., resume_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DeliverSignalResponse(_message.Message):
    __slots__ = ("number", "effect", "duplicate")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    number: int
    effect: SignalEffect
    duplicate: bool
    def __init__(self, number: _Optional[int] = ..., effect: _Optional[_Union[SignalEffect, str]] = ..., duplicate: _Optional[bool] = ...) -> None: ...

class BulkDeliverSignalsRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[DeliverSignalRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[DeliverSignalRequest, _Mapping]]] = ...) -> None: ...

class BulkDeliverSignalsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SignalResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SignalResult, _Mapping]]] = ...) -> None: ...

class SignalResult(_message.Message):
    __slots__ = ("status", "signal")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    signal: DeliverSignalResponse
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., signal: _Optional[_Union[DeliverSignalResponse, _Mapping]] = ...) -> None: ...

class DecideWaitpointRequest(_message.Message):
    __slots__ = ("execution_id", "name", "decision", "payload", "idempotency_key")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    name: str
    decision: Decision
    payload: bytes
    idempotency_key: str
    def __init__(self, execution_id: _Optional[str] = ..., name: _Optional[str] = ..., decision: _Optional[_Union[Decision, str]] = ..., payload: _Optional[bytes] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ListWaitpointsRequest(_message.Message):
    __slots__ = ("execution_id", "page_size", "page_token", "include_closed")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CLOSED_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    page_size: int
    page_token: str
    include_closed: bool
    def __init__(self, execution_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_closed: _Optional[bool] = ...) -> None: ...

class ListWaitpointsResponse(_message.Message):
    __slots__ = ("waitpoints", "next_page_token")
    WAITPOINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    waitpoints: _containers.RepeatedCompositeFieldContainer[Waitpoint]
    next_page_token: str
    def __init__(self, waitpoints: _Optional[_Iterable[_Union[Waitpoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ResumeExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "reason", "delay")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    reason: str
    delay: _duration_pb2.Duration
    def __init__(self, execution_id: _Optional[str] = ..., reason: _Optional[str] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ResumeExecutionResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: str
    def __init__(self, state: _Optional[str] = ...) -> None: ...

class GetSuspensionRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...
