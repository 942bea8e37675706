"""Frames are checked before they reach the rules, and changes of the summary get one spelling."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ff_core.errors import EngineError
from ff_core.output import FrameClass, NewFrame, Summary
from ff_core.wire import output as wire
from flowfabric_api.output.v1 import output_pb2
from flowfabric_api.worker.v1 import worker_pb2 as pb


def checked(messages: list[pb.Frame], limit: int) -> list[NewFrame]:
    found, error = wire.frames(messages, limit)
    if error is not None:
        raise error
    return found


PATCH, REPLACE = output_pb2.FRAME_KIND_SUMMARY, output_pb2.FRAME_KIND_SUMMARY_REPLACE


def refusal(error: pytest.ExceptionInfo[EngineError]) -> tuple[str, str]:
    return error.value.code.name, error.value.field


@pytest.mark.parametrize("numbers", [[0], [-1], [1, 1], [1, 3], [2, 1]])
def test_frames_that_do_not_count_up_are_refused(numbers: list[int]) -> None:
    with pytest.raises(EngineError) as refused:
        checked([pb.Frame(number=number) for number in numbers], 10)

    assert refusal(refused) == ("INVALID_ARGUMENT", "frames.number")


def test_a_frame_over_the_limit_is_refused() -> None:
    assert checked([pb.Frame(number=5, data=b"x" * 10)], 10)[0].data == b"x" * 10

    with pytest.raises(EngineError) as refused:
        checked([pb.Frame(number=1, data=b"x" * 11)], 10)

    assert refusal(refused) == ("PAYLOAD_TOO_LARGE", "frames.data")


def test_the_frames_before_a_bad_one_are_good() -> None:
    bad = pb.Frame(number=3, kind=PATCH, data=b'{"a":NaN}')

    good, error = wire.frames([pb.Frame(number=1), pb.Frame(number=2), bad, pb.Frame(number=4)], 100)

    assert [one.number for one in good] == [1, 2]
    assert error is not None
    assert error.field == "frames.data"


def frame(**fields: Any) -> NewFrame:
    [found] = checked([pb.Frame(number=1, **fields)], 100_000)
    return found


def test_a_frame_without_a_class_is_durable_and_a_change_of_the_summary_is_its_own() -> None:
    assert frame().frame_class is FrameClass.DURABLE
    assert frame(frame_class=3).frame_class is FrameClass.BEST_EFFORT
    assert frame(kind=PATCH, data=b"{}").frame_class is FrameClass.SUMMARY
    assert frame(frame_class=2, data=b"{}").kind == PATCH


def patch(data: str, *null_paths: str) -> bytes:
    return frame(kind=PATCH, data=data.encode(), null_paths=null_paths).data


def test_a_patch_is_spelt_in_one_way() -> None:
    assert patch(' {"a" : [ ], "\\u0062":1e2, "c":"\\u00e9\\n", "d":12345678901234567890 } ') == (
        '{"a":[],"b":100.0,"c":"é\\n","d":12345678901234567890}'.encode()
    )
    assert patch('{"a":1,"a":2}') == b'{"a":2}'


def test_paths_set_to_null_what_a_patch_would_remove() -> None:
    assert patch('{"a":{"b":1}}', "/a/c", "/x/y~1z/~0") == b'{"a":{"b":1,"c":NaN},"x":{"y/z":{"~":NaN}}}'


@pytest.mark.parametrize(
    "data",
    [
        "", "[]", "1", "null", "{", '{"a":NaN}', '{"a":Infinity}', '{"a":1e999}', '{"a":"\\ud800"}',
        '{"a":' * 16 + "{}" + "}" * 16, "[" * 50_000,
        '{"a":' * 5000 + "1" + "}" * 5000, '{"a":' + "9" * 5000 + "}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [PATCH, REPLACE])
def test_what_is_no_json_object_of_bounded_depth_is_no_change(data: str, kind: int) -> None:
    with pytest.raises(EngineError) as refused:
        frame(kind=kind, data=data.encode())

    assert refusal(refused) == ("INVALID_ARGUMENT", "frames.data")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": PATCH, "frame_class": 1}, "frames.frame_class"),
        ({"kind": PATCH, "frame_class": 3}, "frames.frame_class"),
        ({"kind": 1, "frame_class": 2}, "frames.kind"),
        ({"kind": 1, "frame_class": 9}, "frames.frame_class"),
        ({"kind": 1, "null_paths": ["/a"]}, "frames.null_paths"),
        ({"kind": REPLACE, "data": b"{}", "null_paths": ["/a"]}, "frames.null_paths"),
        ({"kind": PATCH, "data": b"{}", "null_paths": ["a"]}, "frames.null_paths"),
        ({"kind": PATCH, "data": b"{}", "null_paths": [""]}, "frames.null_paths"),
        ({"kind": PATCH, "data": b"{}", "null_paths": ["/a"] * 33}, "frames.null_paths"),
        ({"kind": PATCH, "data": b'{"a":[{}]}', "null_paths": ["/a/0"]}, "frames.null_paths"),
    ],
)
def test_frames_that_contradict_themselves_are_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(EngineError) as refused:
        frame(**fields)

    assert refusal(refused) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((-1, [], []), "attempt"),
        ((0, [0], []), "classes"),
        ((0, [4], []), "classes"),
        ((0, [], [7]), "kinds"),
    ],
)
def test_a_reader_that_asks_for_what_is_not_is_refused(arguments: Any, field: str) -> None:
    with pytest.raises(EngineError) as refused:
        wire.wanted(*arguments)

    assert refusal(refused) == ("INVALID_ARGUMENT", field)


def test_a_summary_is_shown_with_its_version_and_no_summary_has_none() -> None:
    message = wire.summary_message(Summary(b"{}", 3, "1700000000000-1", 1_700_000_000_000))

    assert (json.loads(message.document), message.version, message.cursor) == ({}, 3, "1700000000000-1")
    assert message.update_time.ToMilliseconds() == 1_700_000_000_000
    assert wire.summary_message(None) == output_pb2.Summary()
