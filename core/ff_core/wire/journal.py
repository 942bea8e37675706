"""Journal entries between the wire and the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer as Messages

from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.journal import EntryKind, EntryState, JournalEntry, JournalLimits, StepFailure
from ff_core.waitpoint import WaitpointRef
from ff_core.wire import names
from ff_core.wire.suspension import signal_message
from ff_core.wire.time import point, point_ms
from flowfabric_api.journal.v1 import journal_pb2 as pb

MAX_ENTRIES = 256
MAX_MESSAGE_BYTES = 4096
"""More of a failure's message is cut off."""

_KINDS: dict[pb.EntryKind, EntryKind] = {
    pb.ENTRY_KIND_STEP: "step",
    pb.ENTRY_KIND_WAIT: "wait",
    pb.ENTRY_KIND_SLEEP: "sleep",
    pb.ENTRY_KIND_VALUE: "value",
    pb.ENTRY_KIND_WAITPOINT: "waitpoint",
}
_KIND_NUMBERS = {word: number for number, word in _KINDS.items()}
_STATES: dict[pb.EntryState, EntryState] = {
    pb.ENTRY_STATE_RUNNING: "running",
    pb.ENTRY_STATE_WAITING: "waiting",
    pb.ENTRY_STATE_DONE: "done",
    pb.ENTRY_STATE_FAILED: "failed",
}
_STATE_NUMBERS = {word: number for number, word in _STATES.items()}


def entries(messages: Sequence[pb.Entry], field: str, limits: JournalLimits) -> list[JournalEntry]:
    """Checks what a holder records. Raises INVALID_ARGUMENT or PAYLOAD_TOO_LARGE with a path."""
    if not 1 <= len(messages) <= MAX_ENTRIES:
        raise invalid(field, f"{len(messages)} entries; 1 to {MAX_ENTRIES}")
    found: dict[str, JournalEntry] = {}
    for place, message in enumerate(messages):
        checked = entry(message, f"{field}[{place}]", limits)
        if checked.key in found:
            raise invalid(f"{field}[{place}].key", f"{checked.key!r} is another's too")
        found[checked.key] = checked
    return list(found.values())


def entry(message: pb.Entry, field: str, limits: JournalLimits) -> JournalEntry:
    """Checks one entry. Raises as entries."""
    if message.kind not in _KINDS:
        raise invalid(f"{field}.kind", f"{message.kind}; an ENTRY_KIND")
    if message.state not in _STATES:
        raise invalid(f"{field}.state", f"{message.state}; an ENTRY_STATE")
    if len(message.data) > limits.max_entry_bytes:
        raise EngineError(
            ErrorCode.PAYLOAD_TOO_LARGE,
            f"{field}.data: {len(message.data)} bytes; at most {limits.max_entry_bytes}",
            field=f"{field}.data",
        )
    if message.data and message.kind == pb.ENTRY_KIND_WAIT:
        raise invalid(f"{field}.data", "the signals of a wait are recorded by the engine")
    if message.waitpoint_id and WaitpointRef.parse(message.waitpoint_id) is None:
        raise invalid(f"{field}.waitpoint_id", "malformed")
    for name in ("runs", "seen"):
        if getattr(message, name) < 0:
            raise invalid(f"{field}.{name}", f"{getattr(message, name)}; 0 or more")
    return JournalEntry(
        key=names.identifier(message.key, f"{field}.key"),
        kind=_KINDS[message.kind],
        name=names.name(message.name, f"{field}.name"),
        state=_STATES[message.state],
        data=message.data,
        fingerprint=names.text(message.fingerprint, f"{field}.fingerprint", 64),
        runs=message.runs,
        uncertain=message.uncertain,
        failure=_failure(message, field),
        due_ms=point_ms(message.due_time, f"{field}.due_time") if message.HasField("due_time") else 0,
        waitpoint=message.waitpoint_id,
        seen=message.seen,
    )


def _failure(message: pb.Entry, field: str) -> StepFailure | None:
    if message.HasField("failure") != (message.state == pb.ENTRY_STATE_FAILED):
        raise invalid(f"{field}.failure", "of a failed entry, and of no other")
    if not message.HasField("failure"):
        return None
    failure = message.failure
    return StepFailure(
        names.text(failure.type, f"{field}.failure.type", 256) or "error",
        failure.message.encode()[:MAX_MESSAGE_BYTES].decode("utf-8", "ignore"),
        names.name(failure.category, f"{field}.failure.category", "transient"),
    )


def add_entries(messages: Messages[pb.Entry], found: Iterable[JournalEntry]) -> None:
    """Appends entries to a repeated field."""
    for each in found:
        # Set one by one, as grants are: they come with them.
        message = messages.add()
        message.key = each.key
        message.kind = _KIND_NUMBERS[each.kind]
        message.name = each.name
        message.state = _STATE_NUMBERS[each.state]
        message.sequence = each.sequence
        message.end_sequence = each.end_sequence
        message.seen = each.seen
        message.data = each.data
        message.fingerprint = each.fingerprint
        message.runs = each.runs
        message.uncertain = each.uncertain
        message.waitpoint_id = each.waitpoint
        if each.failure:
            message.failure.CopyFrom(_failure_message(each.failure))
        if each.due_ms:
            message.due_time.CopyFrom(point(each.due_ms))
        if each.signals:
            message.signals.extend(signal_message(signal) for signal in each.signals)


def step_message(found: JournalEntry) -> pb.Step:
    """An entry as people see it."""
    message = pb.Step(
        key=found.key,
        kind=_KIND_NUMBERS[found.kind],
        name=found.name,
        state=_STATE_NUMBERS[found.state],
        runs=found.runs,
        uncertain=found.uncertain,
        start_time=point(found.started_ms),
        data_bytes=found.data_bytes,
    )
    if found.failure:
        message.failure.CopyFrom(_failure_message(found.failure))
    if found.ended_ms:
        message.end_time.CopyFrom(point(found.ended_ms))
    if found.due_ms:
        message.due_time.CopyFrom(point(found.due_ms))
    return message


def _failure_message(failure: StepFailure) -> pb.StepFailure:
    return pb.StepFailure(type=failure.type, message=failure.message, category=failure.category)
