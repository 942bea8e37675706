"""Journal entries of requests: what is taken, the path of what is not, and how they are shown."""

from __future__ import annotations

import pytest

from ff_core.errors import EngineError, ErrorCode
from ff_core.journal import JournalEntry, JournalLimits, StepFailure
from ff_core.signal import StoredSignal
from ff_core.wire import journal
from ff_core.wire.time import point
from flowfabric_api.journal.v1 import journal_pb2 as pb
from flowfabric_api.worker.v1.worker_pb2 import Grant

LIMITS = JournalLimits(max_entry_bytes=10)


def step(**over: object) -> pb.Entry:
    fields: dict[str, object] = {
        "key": "1",
        "kind": pb.ENTRY_KIND_STEP,
        "name": "plan",
        "state": pb.ENTRY_STATE_DONE,
    }
    return pb.Entry(**(fields | over))  # type: ignore[arg-type]


def refused(*messages: pb.Entry) -> EngineError:
    with pytest.raises(EngineError) as refusal:
        journal.entries(messages, "entries", LIMITS)
    return refusal.value


def test_an_entry_keeps_what_its_holder_says() -> None:
    message = step(
        state=pb.ENTRY_STATE_FAILED,
        data=b"\x00\xff",
        fingerprint="f" * 64,
        runs=3,
        uncertain=True,
        failure=pb.StepFailure(type="Declined", message="no money", category="permanent"),
        due_time=point(1_700_000_000_123),
        seen=12,
        sequence=13,
        end_sequence=14,
    )

    [entry] = journal.entries([message], "entries", LIMITS)

    assert entry == JournalEntry(
        "1",
        "step",
        "plan",
        "failed",
        b"\x00\xff",
        "f" * 64,
        3,
        uncertain=True,
        failure=StepFailure("Declined", "no money", "permanent"),
        due_ms=1_700_000_000_123,
        seen=12,
    )


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (step(key=""), "entries[0].key"),
        (step(key="a b"), "entries[0].key"),
        (step(key="k" * 257), "entries[0].key"),
        (step(name=""), "entries[0].name"),
        (step(name="a b"), "entries[0].name"),
        (step(kind=pb.ENTRY_KIND_UNSPECIFIED), "entries[0].kind"),
        (step(kind=9), "entries[0].kind"),
        (step(state=pb.ENTRY_STATE_UNSPECIFIED), "entries[0].state"),
        (step(state=9), "entries[0].state"),
        (step(fingerprint="f" * 65), "entries[0].fingerprint"),
        (step(runs=-1), "entries[0].runs"),
        (step(seen=-1), "entries[0].seen"),
        (step(kind=pb.ENTRY_KIND_WAIT, data=b"x"), "entries[0].data"),
        (step(waitpoint_id="nonsense"), "entries[0].waitpoint_id"),
        (step(failure=pb.StepFailure(type="E")), "entries[0].failure"),
        (step(state=pb.ENTRY_STATE_FAILED), "entries[0].failure"),
    ],
)
def test_what_is_wrong_is_named(message: pb.Entry, path: str) -> None:
    refusal = refused(message)

    assert (refusal.code, refusal.field) == (ErrorCode.INVALID_ARGUMENT, path)


def test_a_message_has_entries_and_each_key_once() -> None:
    assert refused().field == "entries"
    assert refused(*(step(key=str(number)) for number in range(257))).field == "entries"
    assert refused(step(), step(key="2"), step()).field == "entries[2].key"


def test_data_has_a_limit() -> None:
    refusal = refused(step(), step(key="2", data=b"x" * 11))

    assert (refusal.code, refusal.field) == (ErrorCode.PAYLOAD_TOO_LARGE, "entries[1].data")


def test_the_message_of_a_failure_is_cut_between_characters() -> None:
    failure = pb.StepFailure(type="E", message="é" * 3000)

    [entry] = journal.entries([step(state=pb.ENTRY_STATE_FAILED, failure=failure)], "entries", LIMITS)

    assert entry.failure is not None
    assert entry.failure.message == "é" * 2048
    assert entry.failure.category == "transient"


def test_an_entry_is_shown_to_a_holder_with_its_signals() -> None:
    signal = StoredSignal(4, "approval", "approved", "approval", "user:alice", "", b"yes", 1_700_000_000_000)
    entry = JournalEntry(
        "2",
        "wait",
        "approval",
        "done",
        signals=[signal],
        sequence=7,
        end_sequence=9,
        seen=6,
        waitpoint="w",
        due_ms=1_700_000_060_000,
    )
    grant = Grant()

    journal.add_entries(grant.journal, [entry])

    [message] = grant.journal
    assert (message.key, message.kind, message.state) == ("2", pb.ENTRY_KIND_WAIT, pb.ENTRY_STATE_DONE)
    assert (message.sequence, message.end_sequence, message.seen) == (7, 9, 6)
    assert message.waitpoint_id == "w"
    assert [(shown.number, shown.payload, shown.source) for shown in message.signals] == [
        (4, b"yes", "user:alice")
    ]
    assert not message.HasField("failure")


def test_people_see_a_step_without_its_data() -> None:
    entry = JournalEntry(
        "1",
        "step",
        "plan",
        "failed",
        b"secret",
        failure=StepFailure("E", "m", "transient"),
        runs=2,
        sequence=1,
        started_ms=1_700_000_000_000,
        ended_ms=1_700_000_000_500,
        data_bytes=6,
    )

    message = journal.step_message(entry)

    assert message.data_bytes == 6
    assert b"secret" not in message.SerializeToString()
    assert message.end_time.ToMilliseconds() - message.start_time.ToMilliseconds() == 500
    assert message.failure.type == "E"
