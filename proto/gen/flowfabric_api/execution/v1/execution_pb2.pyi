import datetime

from flowfabric_api.journal.v1 import journal_pb2 as _journal_pb2
from flowfabric_api.suspension.v1 import suspension_pb2 as _suspension_pb2
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

class PublicState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUBLIC_STATE_UNSPECIFIED: _ClassVar[PublicState]
    PUBLIC_STATE_WAITING: _ClassVar[PublicState]
    PUBLIC_STATE_DELAYED: _ClassVar[PublicState]
    PUBLIC_STATE_ACTIVE: _ClassVar[PublicState]
    PUBLIC_STATE_COMPLETED: _ClassVar[PublicState]
    PUBLIC_STATE_FAILED: _ClassVar[PublicState]
    PUBLIC_STATE_CANCELLED: _ClassVar[PublicState]
    PUBLIC_STATE_EXPIRED: _ClassVar[PublicState]
    PUBLIC_STATE_SUSPENDED: _ClassVar[PublicState]
PUBLIC_STATE_UNSPECIFIED: PublicState
PUBLIC_STATE_WAITING: PublicState
PUBLIC_STATE_DELAYED: PublicState
PUBLIC_STATE_ACTIVE: PublicState
PUBLIC_STATE_COMPLETED: PublicState
PUBLIC_STATE_FAILED: PublicState
PUBLIC_STATE_CANCELLED: PublicState
PUBLIC_STATE_EXPIRED: PublicState
PUBLIC_STATE_SUSPENDED: PublicState

class StateVector(_message.Message):
    __slots__ = ("lifecycle_phase", "ownership_state", "eligibility_state", "blocking_reason", "terminal_outcome", "attempt_state")
    LIFECYCLE_PHASE_FIELD_NUMBER: _ClassVar[int]
    OWNERSHIP_STATE_FIELD_NUMBER: _ClassVar[int]
    ELIGIBILITY_STATE_FIELD_NUMBER: _ClassVar[int]
    BLOCKING_REASON_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_STATE_FIELD_NUMBER: _ClassVar[int]
    lifecycle_phase: str
    ownership_state: str
    eligibility_state: str
    blocking_reason: str
    terminal_outcome: str
    attempt_state: str
    def __init__(self, lifecycle_phase: _Optional[str] = ..., ownership_state: _Optional[str] = ..., eligibility_state: _Optional[str] = ..., blocking_reason: _Optional[str] = ..., terminal_outcome: _Optional[str] = ..., attempt_state: _Optional[str] = ...) -> None: ...

class ExecutionSpec(_message.Message):
    __slots__ = ("namespace", "lane", "kind", "payload", "priority", "required_capabilities", "tags", "start_time", "deadline", "policy", "traceparent", "start_delay")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    START_DELAY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    lane: str
    kind: str
    payload: bytes
    priority: int
    required_capabilities: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.ScalarMap[str, str]
    start_time: _timestamp_pb2.Timestamp
    deadline: _duration_pb2.Duration
    policy: Policy
    traceparent: str
    start_delay: _duration_pb2.Duration
    def __init__(self, namespace: _Optional[str] = ..., lane: _Optional[str] = ..., kind: _Optional[str] = ..., payload: _Optional[bytes] = ..., priority: _Optional[int] = ..., required_capabilities: _Optional[_Iterable[str]] = ..., tags: _Optional[_Mapping[str, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., traceparent: _Optional[str] = ..., start_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("max_attempts", "backoff", "retryable_categories", "non_retryable_categories", "attempt_timeout", "max_reclaims", "reclaim_delay", "max_replays", "retention", "output_max_frames", "output_max_bytes", "summary_max_bytes", "best_effort_ttl")
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    NON_RETRYABLE_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_RECLAIMS_FIELD_NUMBER: _ClassVar[int]
    RECLAIM_DELAY_FIELD_NUMBER: _ClassVar[int]
    MAX_REPLAYS_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MAX_FRAMES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    BEST_EFFORT_TTL_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    backoff: Backoff
    retryable_categories: _containers.RepeatedScalarFieldContainer[str]
    non_retryable_categories: _containers.RepeatedScalarFieldContainer[str]
    attempt_timeout: _duration_pb2.Duration
    max_reclaims: int
    reclaim_delay: _duration_pb2.Duration
    max_replays: int
    retention: _duration_pb2.Duration
    output_max_frames: int
    output_max_bytes: int
    summary_max_bytes: int
    best_effort_ttl: _duration_pb2.Duration
    def __init__(self, max_attempts: _Optional[int] = ..., backoff: _Optional[_Union[Backoff, _Mapping]] = ..., retryable_categories: _Optional[_Iterable[str]] = ..., non_retryable_categories: _Optional[_Iterable[str]] = ..., attempt_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_reclaims: _Optional[int] = ..., reclaim_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_replays: _Optional[int] = ..., retention: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., output_max_frames: _Optional[int] = ..., output_max_bytes: _Optional[int] = ..., summary_max_bytes: _Optional[int] = ..., best_effort_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Backoff(_message.Message):
    __slots__ = ("initial", "multiplier", "max", "jitter")
    INITIAL_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    initial: _duration_pb2.Duration
    multiplier: float
    max: _duration_pb2.Duration
    jitter: float
    def __init__(self, initial: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., multiplier: _Optional[float] = ..., max: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., jitter: _Optional[float] = ...) -> None: ...

class Execution(_message.Message):
    __slots__ = ("execution_id", "spec", "state", "state_vector", "create_time", "start_time", "end_time", "due_time", "deadline_time", "attempt", "failed_attempts", "reclaims", "replays", "lease", "history", "progress", "failure", "cancel", "result_bytes", "output_frames", "suspension", "steps", "steps_total", "summary_version")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_VECTOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILED_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    RECLAIMS_FIELD_NUMBER: _ClassVar[int]
    REPLAYS_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    RESULT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FRAMES_FIELD_NUMBER: _ClassVar[int]
    SUSPENSION_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    STEPS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_VERSION_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    spec: ExecutionSpec
    state: PublicState
    state_vector: StateVector
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    deadline_time: _timestamp_pb2.Timestamp
    attempt: int
    failed_attempts: int
    reclaims: int
    replays: int
    lease: Lease
    history: _containers.RepeatedCompositeFieldContainer[LeaseRecord]
    progress: Progress
    failure: Failure
    cancel: CancelRequest
    result_bytes: int
    output_frames: int
    suspension: _suspension_pb2.Suspension
    steps: _containers.RepeatedCompositeFieldContainer[_journal_pb2.Step]
    steps_total: int
    summary_version: int
    def __init__(self, execution_id: _Optional[str] = ..., spec: _Optional[_Union[ExecutionSpec, _Mapping]] = ..., state: _Optional[_Union[PublicState, str]] = ..., state_vector: _Optional[_Union[StateVector, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deadline_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., failed_attempts: _Optional[int] = ..., reclaims: _Optional[int] = ..., replays: _Optional[int] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ..., history: _Optional[_Iterable[_Union[LeaseRecord, _Mapping]]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., cancel: _Optional[_Union[CancelRequest, _Mapping]] = ..., result_bytes: _Optional[int] = ..., output_frames: _Optional[int] = ..., suspension: _Optional[_Union[_suspension_pb2.Suspension, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[_journal_pb2.Step, _Mapping]]] = ..., steps_total: _Optional[int] = ..., summary_version: _Optional[int] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("worker_id", "epoch", "grant_time", "expire_time", "confirmed")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GRANT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    epoch: int
    grant_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    confirmed: bool
    def __init__(self, worker_id: _Optional[str] = ..., epoch: _Optional[int] = ..., grant_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., confirmed: _Optional[bool] = ...) -> None: ...

class LeaseRecord(_message.Message):
    __slots__ = ("epoch", "attempt", "worker_id", "grant_time", "end_time", "ending", "failure")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    GRANT_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    attempt: int
    worker_id: str
    grant_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    ending: str
    failure: Failure
    def __init__(self, epoch: _Optional[int] = ..., attempt: _Optional[int] = ..., worker_id: _Optional[str] = ..., grant_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ending: _Optional[str] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("percent", "message", "update_time")
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    percent: float
    message: str
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, percent: _Optional[float] = ..., message: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("type", "message", "category")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    category: str
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., category: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("reason", "request_time")
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    reason: str
    request_time: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[str] = ..., request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateExecutionRequest(_message.Message):
    __slots__ = ("spec", "idempotency_key", "idempotency_ttl")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_TTL_FIELD_NUMBER: _ClassVar[int]
    spec: ExecutionSpec
    idempotency_key: str
    idempotency_ttl: _duration_pb2.Duration
    def __init__(self, spec: _Optional[_Union[ExecutionSpec, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., idempotency_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateExecutionResponse(_message.Message):
    __slots__ = ("execution_id", "duplicate")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    duplicate: bool
    def __init__(self, execution_id: _Optional[str] = ..., duplicate: _Optional[bool] = ...) -> None: ...

class BulkCreateExecutionsRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[CreateExecutionRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[CreateExecutionRequest, _Mapping]]] = ...) -> None: ...

class BulkCreateExecutionsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CreateExecutionResult]
    def __init__(self, results: _Optional[_Iterable[_Union[CreateExecutionResult, _Mapping]]] = ...) -> None: ...

class CreateExecutionResult(_message.Message):
    __slots__ = ("status", "execution_id", "duplicate")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    execution_id: str
    duplicate: bool
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., execution_id: _Optional[str] = ..., duplicate: _Optional[bool] = ...) -> None: ...

class GetExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "include_payload")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    include_payload: bool
    def __init__(self, execution_id: _Optional[str] = ..., include_payload: _Optional[bool] = ...) -> None: ...

class ListExecutionsRequest(_message.Message):
    __slots__ = ("namespace", "lane", "kind", "state", "tags", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    lane: str
    kind: str
    state: PublicState
    tags: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., lane: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[_Union[PublicState, str]] = ..., tags: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListExecutionsResponse(_message.Message):
    __slots__ = ("executions", "next_page_token")
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    executions: _containers.RepeatedCompositeFieldContainer[Execution]
    next_page_token: str
    def __init__(self, executions: _Optional[_Iterable[_Union[Execution, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "only_end")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    ONLY_END_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    only_end: bool
    def __init__(self, execution_id: _Optional[str] = ..., only_end: _Optional[bool] = ...) -> None: ...

class WatchExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: Execution
    def __init__(self, execution: _Optional[_Union[Execution, _Mapping]] = ...) -> None: ...

class GetResultRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class GetResultResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class CancelExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "reason", "grace")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    reason: str
    grace: _duration_pb2.Duration
    def __init__(self, execution_id: _Optional[str] = ..., reason: _Optional[str] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CancelExecutionResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: PublicState
    def __init__(self, state: _Optional[_Union[PublicState, str]] = ...) -> None: ...

class BulkCancelExecutionsRequest(_message.Message):
    __slots__ = ("execution_ids", "reason", "grace")
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    execution_ids: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    grace: _duration_pb2.Duration
    def __init__(self, execution_ids: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class BulkCancelExecutionsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CancelExecutionResult]
    def __init__(self, results: _Optional[_Iterable[_Union[CancelExecutionResult, _Mapping]]] = ...) -> None: ...

class CancelExecutionResult(_message.Message):
    __slots__ = ("execution_id", "status", "state")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    status: _status_pb2.Status
    state: PublicState
    def __init__(self, execution_id: _Optional[str] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., state: _Optional[_Union[PublicState, str]] = ...) -> None: ...

class ChangePriorityRequest(_message.Message):
    __slots__ = ("execution_id", "priority")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    priority: int
    def __init__(self, execution_id: _Optional[str] = ..., priority: _Optional[int] = ...) -> None: ...

class ChangePriorityResponse(_message.Message):
    __slots__ = ("old_priority", "priority")
    OLD_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    old_priority: int
    priority: int
    def __init__(self, old_priority: _Optional[int] = ..., priority: _Optional[int] = ...) -> None: ...

class ReplayExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "keep_journal", "keep_journal_through")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_JOURNAL_FIELD_NUMBER: _ClassVar[int]
    KEEP_JOURNAL_THROUGH_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    keep_journal: bool
    keep_journal_through: str
    def __init__(self, execution_id: _Optional[str] = ..., keep_journal: _Optional[bool] = ..., keep_journal_through: _Optional[str] = ...) -> None: ...

class ReplayExecutionResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: PublicState
    def __init__(self, state: _Optional[_Union[PublicState, str]] = ...) -> None: ...

class RevokeLeaseRequest(_message.Message):
    __slots__ = ("execution_id", "reason")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    reason: str
    def __init__(self, execution_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeLeaseResponse(_message.Message):
    __slots__ = ("revoked", "epoch", "state")
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    revoked: bool
    epoch: int
    state: PublicState
    def __init__(self, revoked: _Optional[bool] = ..., epoch: _Optional[int] = ..., state: _Optional[_Union[PublicState, str]] = ...) -> None: ...

class GetTagsRequest(_message.Message):
    __slots__ = ("execution_id",)
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    def __init__(self, execution_id: _Optional[str] = ...) -> None: ...

class SetTagsRequest(_message.Message):
    __slots__ = ("execution_id", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    tags: _containers.ScalarMap[str, str]
    def __init__(self, execution_id: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Tags(_message.Message):
    __slots__ = ("tags",)
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TAGS_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.ScalarMap[str, str]
    def __init__(self, tags: _Optional[_Mapping[str, str]] = ...) -> None: ...
