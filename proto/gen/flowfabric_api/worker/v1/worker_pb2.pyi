import datetime

from flowfabric_api.journal.v1 import journal_pb2 as _journal_pb2
from flowfabric_api.output.v1 import output_pb2 as _output_pb2
from flowfabric_api.suspension.v1 import suspension_pb2 as _suspension_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionRequest(_message.Message):
    __slots__ = ("hello", "credits", "renew", "outcomes", "progress", "drain", "journal")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    RENEW_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    credits: _containers.RepeatedCompositeFieldContainer[Credit]
    renew: Renew
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    progress: _containers.RepeatedCompositeFieldContainer[ProgressReport]
    drain: Drain
    journal: _containers.RepeatedCompositeFieldContainer[JournalWrite]
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., credits: _Optional[_Iterable[_Union[Credit, _Mapping]]] = ..., renew: _Optional[_Union[Renew, _Mapping]] = ..., outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., progress: _Optional[_Iterable[_Union[ProgressReport, _Mapping]]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., journal: _Optional[_Iterable[_Union[JournalWrite, _Mapping]]] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("welcome", "grants", "renew_result", "outcome_results", "cancels", "lost", "go_away", "journal_results")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    RENEW_RESULT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_RESULTS_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    GO_AWAY_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_RESULTS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    renew_result: RenewResult
    outcome_results: _containers.RepeatedCompositeFieldContainer[OutcomeResult]
    cancels: _containers.RepeatedCompositeFieldContainer[CancelRequested]
    lost: _containers.RepeatedCompositeFieldContainer[LeaseException]
    go_away: GoAway
    journal_results: _containers.RepeatedCompositeFieldContainer[JournalResult]
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ..., renew_result: _Optional[_Union[RenewResult, _Mapping]] = ..., outcome_results: _Optional[_Iterable[_Union[OutcomeResult, _Mapping]]] = ..., cancels: _Optional[_Iterable[_Union[CancelRequested, _Mapping]]] = ..., lost: _Optional[_Iterable[_Union[LeaseException, _Mapping]]] = ..., go_away: _Optional[_Union[GoAway, _Mapping]] = ..., journal_results: _Optional[_Iterable[_Union[JournalResult, _Mapping]]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("worker_id", "identity", "sdk_name", "sdk_version", "namespace", "pools", "held_leases", "kinds")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SDK_NAME_FIELD_NUMBER: _ClassVar[int]
    SDK_VERSION_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    HELD_LEASES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    identity: str
    sdk_name: str
    sdk_version: str
    namespace: str
    pools: _containers.RepeatedCompositeFieldContainer[Pool]
    held_leases: _containers.RepeatedScalarFieldContainer[bytes]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker_id: _Optional[str] = ..., identity: _Optional[str] = ..., sdk_name: _Optional[str] = ..., sdk_version: _Optional[str] = ..., namespace: _Optional[str] = ..., pools: _Optional[_Iterable[_Union[Pool, _Mapping]]] = ..., held_leases: _Optional[_Iterable[bytes]] = ..., kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("lanes", "capabilities", "slots")
    LANES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    lanes: _containers.RepeatedScalarFieldContainer[str]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    slots: int
    def __init__(self, lanes: _Optional[_Iterable[str]] = ..., capabilities: _Optional[_Iterable[str]] = ..., slots: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_id", "lease_ttl", "renew_interval", "offer_ttl", "max_output_frame_bytes", "lease_exceptions", "server_time", "gateway_id", "max_journal_entry_bytes")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    RENEW_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    OFFER_TTL_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEASE_EXCEPTIONS_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_JOURNAL_ENTRY_BYTES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    lease_ttl: _duration_pb2.Duration
    renew_interval: _duration_pb2.Duration
    offer_ttl: _duration_pb2.Duration
    max_output_frame_bytes: int
    lease_exceptions: _containers.RepeatedCompositeFieldContainer[LeaseException]
    server_time: _timestamp_pb2.Timestamp
    gateway_id: str
    max_journal_entry_bytes: int
    def __init__(self, session_id: _Optional[str] = ..., lease_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., renew_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., offer_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_output_frame_bytes: _Optional[int] = ..., lease_exceptions: _Optional[_Iterable[_Union[LeaseException, _Mapping]]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., gateway_id: _Optional[str] = ..., max_journal_entry_bytes: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("pool", "limit")
    POOL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    pool: int
    limit: int
    def __init__(self, pool: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("pool", "number", "lease", "execution_id", "kind", "attempt", "payload", "deadline", "attempt_deadline", "traceparent", "journal", "journal_is_partial", "resumption", "recovered")
    POOL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_IS_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    RESUMPTION_FIELD_NUMBER: _ClassVar[int]
    RECOVERED_FIELD_NUMBER: _ClassVar[int]
    pool: int
    number: int
    lease: bytes
    execution_id: str
    kind: str
    attempt: int
    payload: bytes
    deadline: _timestamp_pb2.Timestamp
    attempt_deadline: _timestamp_pb2.Timestamp
    traceparent: str
    journal: _containers.RepeatedCompositeFieldContainer[_journal_pb2.Entry]
    journal_is_partial: bool
    resumption: _suspension_pb2.Resumption
    recovered: bool
    def __init__(self, pool: _Optional[int] = ..., number: _Optional[int] = ..., lease: _Optional[bytes] = ..., execution_id: _Optional[str] = ..., kind: _Optional[str] = ..., attempt: _Optional[int] = ..., payload: _Optional[bytes] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt_deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., traceparent: _Optional[str] = ..., journal: _Optional[_Iterable[_Union[_journal_pb2.Entry, _Mapping]]] = ..., journal_is_partial: _Optional[bool] = ..., resumption: _Optional[_Union[_suspension_pb2.Resumption, _Mapping]] = ..., recovered: _Optional[bool] = ...) -> None: ...

class Renew(_message.Message):
    __slots__ = ("sequence", "leases", "refusals", "seen_grant_numbers")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    SEEN_GRANT_NUMBERS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    leases: _containers.RepeatedScalarFieldContainer[bytes]
    refusals: _containers.RepeatedCompositeFieldContainer[Refusal]
    seen_grant_numbers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sequence: _Optional[int] = ..., leases: _Optional[_Iterable[bytes]] = ..., refusals: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ..., seen_grant_numbers: _Optional[_Iterable[int]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("lease", "reason")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    reason: _status_pb2.Status
    def __init__(self, lease: _Optional[bytes] = ..., reason: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class RenewResult(_message.Message):
    __slots__ = ("sequence", "ttl", "exceptions")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    EXCEPTIONS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    ttl: _duration_pb2.Duration
    exceptions: _containers.RepeatedCompositeFieldContainer[LeaseException]
    def __init__(self, sequence: _Optional[int] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., exceptions: _Optional[_Iterable[_Union[LeaseException, _Mapping]]] = ...) -> None: ...

class LeaseException(_message.Message):
    __slots__ = ("lease", "status")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    status: _status_pb2.Status
    def __init__(self, lease: _Optional[bytes] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("lease", "completed", "failed", "delayed", "cancelled", "suspended")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    DELAYED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    completed: Completed
    failed: Failed
    delayed: Delayed
    cancelled: Cancelled
    suspended: _suspension_pb2.SuspendSpec
    def __init__(self, lease: _Optional[bytes] = ..., completed: _Optional[_Union[Completed, _Mapping]] = ..., failed: _Optional[_Union[Failed, _Mapping]] = ..., delayed: _Optional[_Union[Delayed, _Mapping]] = ..., cancelled: _Optional[_Union[Cancelled, _Mapping]] = ..., suspended: _Optional[_Union[_suspension_pb2.SuspendSpec, _Mapping]] = ...) -> None: ...

class Completed(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: bytes
    def __init__(self, result: _Optional[bytes] = ...) -> None: ...

class Failed(_message.Message):
    __slots__ = ("type", "message", "category", "non_retryable", "retry_delay")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    NON_RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    category: str
    non_retryable: bool
    retry_delay: _duration_pb2.Duration
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., category: _Optional[str] = ..., non_retryable: _Optional[bool] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Delayed(_message.Message):
    __slots__ = ("delay",)
    DELAY_FIELD_NUMBER: _ClassVar[int]
    delay: _duration_pb2.Duration
    def __init__(self, delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Cancelled(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OutcomeResult(_message.Message):
    __slots__ = ("lease", "status", "answer", "suspension", "waitpoints")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    SUSPENSION_FIELD_NUMBER: _ClassVar[int]
    WAITPOINTS_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    status: _status_pb2.Status
    answer: str
    suspension: int
    waitpoints: _containers.RepeatedCompositeFieldContainer[_suspension_pb2.Waitpoint]
    def __init__(self, lease: _Optional[bytes] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., answer: _Optional[str] = ..., suspension: _Optional[int] = ..., waitpoints: _Optional[_Iterable[_Union[_suspension_pb2.Waitpoint, _Mapping]]] = ...) -> None: ...

class ProgressReport(_message.Message):
    __slots__ = ("lease", "percent", "message")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    percent: float
    message: str
    def __init__(self, lease: _Optional[bytes] = ..., percent: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class JournalWrite(_message.Message):
    __slots__ = ("lease", "number", "entries")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    number: int
    entries: _containers.RepeatedCompositeFieldContainer[_journal_pb2.Entry]
    def __init__(self, lease: _Optional[bytes] = ..., number: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[_journal_pb2.Entry, _Mapping]]] = ...) -> None: ...

class JournalResult(_message.Message):
    __slots__ = ("lease", "number", "status")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    number: int
    status: _status_pb2.Status
    def __init__(self, lease: _Optional[bytes] = ..., number: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class CancelRequested(_message.Message):
    __slots__ = ("lease", "reason", "deadline")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    reason: str
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, lease: _Optional[bytes] = ..., reason: _Optional[str] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class GoAway(_message.Message):
    __slots__ = ("reason", "deadline")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[str] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StreamOutputRequest(_message.Message):
    __slots__ = ("lease", "frames")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    frames: _containers.RepeatedCompositeFieldContainer[Frame]
    def __init__(self, lease: _Optional[bytes] = ..., frames: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("number", "kind", "data", "frame_class", "null_paths")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FRAME_CLASS_FIELD_NUMBER: _ClassVar[int]
    NULL_PATHS_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: _output_pb2.FrameKind
    data: bytes
    frame_class: _output_pb2.FrameClass
    null_paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[_Union[_output_pb2.FrameKind, str]] = ..., data: _Optional[bytes] = ..., frame_class: _Optional[_Union[_output_pb2.FrameClass, str]] = ..., null_paths: _Optional[_Iterable[str]] = ...) -> None: ...

class StreamOutputResponse(_message.Message):
    __slots__ = ("lease", "acked_through", "error")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    ACKED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    acked_through: int
    error: _status_pb2.Status
    def __init__(self, lease: _Optional[bytes] = ..., acked_through: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class ClaimRequest(_message.Message):
    __slots__ = ("worker_id", "namespace", "lanes", "capabilities", "max_grants", "wait_time")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    MAX_GRANTS_FIELD_NUMBER: _ClassVar[int]
    WAIT_TIME_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    namespace: str
    lanes: _containers.RepeatedScalarFieldContainer[str]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    max_grants: int
    wait_time: _duration_pb2.Duration
    def __init__(self, worker_id: _Optional[str] = ..., namespace: _Optional[str] = ..., lanes: _Optional[_Iterable[str]] = ..., capabilities: _Optional[_Iterable[str]] = ..., max_grants: _Optional[int] = ..., wait_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ClaimResponse(_message.Message):
    __slots__ = ("grants", "lease_ttl", "offer_ttl")
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    OFFER_TTL_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    lease_ttl: _duration_pb2.Duration
    offer_ttl: _duration_pb2.Duration
    def __init__(self, grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ..., lease_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., offer_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RenewLeasesRequest(_message.Message):
    __slots__ = ("worker_id", "leases")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    leases: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, worker_id: _Optional[str] = ..., leases: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RenewLeasesResponse(_message.Message):
    __slots__ = ("ttl", "exceptions", "cancels")
    TTL_FIELD_NUMBER: _ClassVar[int]
    EXCEPTIONS_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    ttl: _duration_pb2.Duration
    exceptions: _containers.RepeatedCompositeFieldContainer[LeaseException]
    cancels: _containers.RepeatedCompositeFieldContainer[CancelRequested]
    def __init__(self, ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., exceptions: _Optional[_Iterable[_Union[LeaseException, _Mapping]]] = ..., cancels: _Optional[_Iterable[_Union[CancelRequested, _Mapping]]] = ...) -> None: ...

class ReportOutcomesRequest(_message.Message):
    __slots__ = ("worker_id", "outcomes")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    def __init__(self, worker_id: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ...) -> None: ...

class ReportOutcomesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[OutcomeResult]
    def __init__(self, results: _Optional[_Iterable[_Union[OutcomeResult, _Mapping]]] = ...) -> None: ...

class CompleteRequest(_message.Message):
    __slots__ = ("lease", "result")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    result: bytes
    def __init__(self, lease: _Optional[bytes] = ..., result: _Optional[bytes] = ...) -> None: ...

class FailRequest(_message.Message):
    __slots__ = ("lease", "failure")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    failure: Failed
    def __init__(self, lease: _Optional[bytes] = ..., failure: _Optional[_Union[Failed, _Mapping]] = ...) -> None: ...

class DelayRequest(_message.Message):
    __slots__ = ("lease", "delay")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    delay: _duration_pb2.Duration
    def __init__(self, lease: _Optional[bytes] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class UpdateProgressRequest(_message.Message):
    __slots__ = ("progress",)
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    progress: ProgressReport
    def __init__(self, progress: _Optional[_Union[ProgressReport, _Mapping]] = ...) -> None: ...

class UpdateProgressResponse(_message.Message):
    __slots__ = ("cancel_requested",)
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    cancel_requested: bool
    def __init__(self, cancel_requested: _Optional[bool] = ...) -> None: ...

class AppendOutputRequest(_message.Message):
    __slots__ = ("lease", "frames")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    frames: _containers.RepeatedCompositeFieldContainer[Frame]
    def __init__(self, lease: _Optional[bytes] = ..., frames: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ...) -> None: ...

class RecordJournalRequest(_message.Message):
    __slots__ = ("lease", "entries")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    entries: _containers.RepeatedCompositeFieldContainer[_journal_pb2.Entry]
    def __init__(self, lease: _Optional[bytes] = ..., entries: _Optional[_Iterable[_Union[_journal_pb2.Entry, _Mapping]]] = ...) -> None: ...

class RecordJournalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadJournalRequest(_message.Message):
    __slots__ = ("execution_id", "after", "page_bytes", "signals_after")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_AFTER_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    after: int
    page_bytes: int
    signals_after: int
    def __init__(self, execution_id: _Optional[str] = ..., after: _Optional[int] = ..., page_bytes: _Optional[int] = ..., signals_after: _Optional[int] = ...) -> None: ...

class ReadJournalResponse(_message.Message):
    __slots__ = ("entries", "next", "next_signals")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    NEXT_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_journal_pb2.Entry]
    next: int
    next_signals: int
    def __init__(self, entries: _Optional[_Iterable[_Union[_journal_pb2.Entry, _Mapping]]] = ..., next: _Optional[int] = ..., next_signals: _Optional[int] = ...) -> None: ...

class ReadResumptionRequest(_message.Message):
    __slots__ = ("execution_id", "after", "page_bytes")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    after: int
    page_bytes: int
    def __init__(self, execution_id: _Optional[str] = ..., after: _Optional[int] = ..., page_bytes: _Optional[int] = ...) -> None: ...

class ReadResumptionResponse(_message.Message):
    __slots__ = ("signals", "next")
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    signals: _containers.RepeatedCompositeFieldContainer[_suspension_pb2.Signal]
    next: int
    def __init__(self, signals: _Optional[_Iterable[_Union[_suspension_pb2.Signal, _Mapping]]] = ..., next: _Optional[int] = ...) -> None: ...
