"""What Python hands to Lua, and what it reads back, of suspensions, signals and events."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ff_core.event import FAMILIES, family_of
from ff_core.keyring import Key
from ff_core.signal import NewSignal, StoredSignal
from ff_core.suspension import NewWait, SuspendSpec
from ff_core.waitpoint import NewWaitpoint

SIGNAL = NewSignal(
    execution_id="7-x",
    scope="s1",
    number=1,
    expires_ms=5,
    waitpoint_name="",
    name="approved",
    category="approval",
    source="user:alice",
    correlation_id="c",
    payload=b"p",
    idempotency_key="k",
    idempotency_ttl_ms=1,
    resume_delay_ms=0,
)


def test_a_spec_leaves_out_what_is_not_set() -> None:
    node = {"op": "signal", "at": "approval"}
    spec = SuspendSpec(
        reason_code="waiting_for_approval",
        requested_by="worker-1",
        waitpoints=(
            NewWaitpoint("approval", "single", "alice", 1000),
            NewWaitpoint("old", number=4),
        ),
        waits=(
            NewWait("1", "approval", node, timeout_ms=60_000, due_ms=None, on_timeout="resume"),
            NewWait("2", "pause", {"op": "timeout"}, timeout_ms=None, due_ms=9, on_timeout="fail"),
        ),
        fingerprint="f",
        longest_ms=90_000,
    )

    assert json.loads(spec.document()) == {
        "reason_code": "waiting_for_approval",
        "requested_by": "worker-1",
        "fingerprint": "f",
        "longest_ms": 90_000,
        "most_entries": 10_000,
        "most_bytes": 16 << 20,
        "waitpoints": [
            {"name": "approval", "uses": "single", "recipient": "alice", "ttl_ms": 1000},
            {"name": "old", "number": 4, "uses": "multi", "recipient": "", "ttl_ms": 0},
        ],
        "waits": [
            {"entry": "1", "name": "approval", "node": node, "timeout_ms": 60_000, "on_timeout": "resume"},
            {"entry": "2", "name": "pause", "node": {"op": "timeout"}, "due_at": 9, "on_timeout": "fail"},
        ],
    }


@pytest.mark.parametrize(
    "change",
    [{"name": "rejected"}, {"source": "user:bob"}, {"payload": b"q"}, {"number": 2}, {"resume_delay_ms": 1}],
)
def test_another_signal_has_another_fingerprint(change: dict[str, object]) -> None:
    assert dataclasses.replace(SIGNAL, **change).fingerprint() != SIGNAL.fingerprint()


def test_a_repeat_has_the_same_fingerprint_whenever_it_comes() -> None:
    repeat = dataclasses.replace(SIGNAL, idempotency_key="", idempotency_ttl_ms=9)

    assert repeat.fingerprint() == SIGNAL.fingerprint()


def test_a_stored_signal_is_read_from_its_header() -> None:
    header = {"number": 4, "name": "timeout", "source": "engine", "at": 1_790_000_000_000, "bytes": 0}

    assert StoredSignal.read(header, b"") == StoredSignal(
        4, "", "timeout", "", "engine", "", b"", 1_790_000_000_000
    )


def test_each_event_is_of_the_narrowest_family() -> None:
    assert family_of("completed") == "completion"
    assert family_of("claimed") == "lease"
    assert family_of("signal") == "signal"
    assert family_of("created") == "lifecycle"
    assert FAMILIES["completion"] <= FAMILIES["lease"]


def test_a_key_does_not_show_its_secret() -> None:
    assert "hidden" not in repr(Key("k1", b"hidden", 1, 0))
