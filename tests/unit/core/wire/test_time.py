"""Milliseconds and protobuf's times, both ways."""

from __future__ import annotations

import contextlib

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from ff_core.errors import EngineError, ErrorCode
from ff_core.wire.time import duration, point, point_ms, span_ms, timestamp

CENTURY_MS = 100 * 365 * 86_400_000


@given(st.integers(0, 253_402_300_799_999))
def test_a_point_in_time_is_read_back(ms: int) -> None:
    assert point_ms(point(ms), "at") == ms


@given(st.integers(0, CENTURY_MS))
def test_a_span_is_read_back(ms: int) -> None:
    assert span_ms(duration(ms), "for") == ms


def test_zero_is_never() -> None:
    assert timestamp(0) is None
    assert timestamp(1) == Timestamp(nanos=1_000_000)


@pytest.mark.parametrize(
    "value",
    [
        Timestamp(seconds=-1),
        Timestamp(seconds=253_402_300_800),
        Timestamp(nanos=-1),
        Timestamp(nanos=1_000_000_000),
        Timestamp(seconds=2**63 - 1, nanos=2**31 - 1),
        Timestamp(seconds=-(2**63), nanos=-(2**31)),
    ],
    ids=str,
)
def test_a_point_outside_the_calendar_is_refused(value: Timestamp) -> None:
    with pytest.raises(EngineError) as refused:
        point_ms(value, "spec.start_time")

    assert (refused.value.code, refused.value.field) == (ErrorCode.INVALID_ARGUMENT, "spec.start_time")


@pytest.mark.parametrize(
    "value",
    [
        Duration(seconds=-1),
        Duration(nanos=-1_000_000),
        Duration(seconds=1 << 40),
        Duration(seconds=2**63 - 1, nanos=2**31 - 1),
        Duration(seconds=-(2**63), nanos=-(2**31)),
    ],
    ids=str,
)
def test_a_span_outside_its_bounds_is_refused(value: Duration) -> None:
    with pytest.raises(EngineError) as refused:
        span_ms(value, "grace")

    assert (refused.value.code, refused.value.field) == (ErrorCode.INVALID_ARGUMENT, "grace")


def test_bounds_are_allowed() -> None:
    assert span_ms(duration(5), "for", least=5, most=5) == 5

    with pytest.raises(EngineError, match="4 ms; allowed are 5 to 6 ms"):
        span_ms(duration(4), "for", least=5, most=6)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_no_numbers_break_the_reading(seconds: int, nanos: int) -> None:
    with contextlib.suppress(EngineError):
        assert point_ms(Timestamp(seconds=seconds, nanos=nanos), "at") >= 0
    with contextlib.suppress(EngineError):
        assert span_ms(Duration(seconds=seconds, nanos=nanos), "for") >= 0
