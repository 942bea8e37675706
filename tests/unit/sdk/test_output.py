"""The output of one lease: numbers, window, acknowledgements, repeats."""

from __future__ import annotations

import asyncio

import pytest

from flowfabric._errors import LeaseLost
from flowfabric._execution import FrameClass
from flowfabric._frame import NULL, Frame, summary_frame
from flowfabric._output import MESSAGE_BYTES, WINDOW_BYTES, WINDOW_FRAMES, Output


def numbers(output: Output) -> list[int]:
    request = output.take()
    return [] if request is None else [each.number for each in request.frames]


def frame(data: bytes) -> Frame:
    return Frame(3, data)


@pytest.fixture
def output() -> Output:
    return Output(b"L", lambda output: None)


async def test_frames_count_from_one_and_go_out_together(output: Output) -> None:
    for data in (b"a", b"b", b"c"):
        await output.emit(frame(data))

    request = output.take()

    assert request is not None
    assert request.lease == b"L"
    assert [(f.number, f.kind, f.data) for f in request.frames] == [(1, 3, b"a"), (2, 3, b"b"), (3, 3, b"c")]
    assert output.take() is None


async def test_a_message_is_bounded(output: Output) -> None:
    for _ in range(3):
        await output.emit(frame(bytes(MESSAGE_BYTES // 2)))

    assert [numbers(output), numbers(output), numbers(output)] == [[1, 2], [3], []]


async def test_acknowledged_frames_are_not_sent_again(output: Output) -> None:
    for _ in range(4):
        await output.emit(frame(b"x"))
    numbers(output)

    output.acknowledge(2)
    output.rewind()

    assert numbers(output) == [3, 4]


async def test_a_gap_before_what_was_acknowledged_cannot_be_closed(output: Output) -> None:
    await output.emit(frame(b"1"))
    await output.emit(frame(b"2"))
    output.take()

    assert output.can_resume_after(0)
    output.acknowledge(1)
    assert not output.can_resume_after(0)
    assert output.can_resume_after(1)


async def test_emit_waits_while_too_many_frames_are_under_way(output: Output) -> None:
    for _ in range(WINDOW_FRAMES):
        await output.emit(frame(b"x"))
    one_more = asyncio.ensure_future(output.emit(frame(b"x")))
    await asyncio.sleep(0)
    assert not one_more.done()

    output.acknowledge(1)
    await one_more


async def test_emit_waits_while_too_many_bytes_are_under_way(output: Output) -> None:
    await output.emit(frame(bytes(WINDOW_BYTES)))
    one_more = asyncio.ensure_future(output.emit(frame(b"x")))
    await asyncio.sleep(0)
    assert not one_more.done()

    output.acknowledge(1)
    await one_more


async def test_a_cancelled_emit_harms_no_other(output: Output) -> None:
    await output.emit(frame(bytes(WINDOW_BYTES)))
    given_up, patient = (asyncio.ensure_future(output.emit(frame(b"x"))) for _ in range(2))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait({given_up})

    output.acknowledge(1)
    await patient

    assert numbers(output) == [2]


async def test_flush_waits_for_the_last_acknowledgement(output: Output) -> None:
    await output.emit(frame(b"a"))
    await output.emit(frame(b"b"))
    flush = asyncio.ensure_future(output.flush())
    output.acknowledge(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not flush.done()

    output.acknowledge(2)
    await flush


async def test_a_failed_output_lets_everybody_go_and_takes_no_more(output: Output) -> None:
    await output.emit(frame(bytes(WINDOW_BYTES)))
    waiting = asyncio.ensure_future(output.emit(frame(b"x")))
    flush = asyncio.ensure_future(output.flush())
    await asyncio.sleep(0)

    output.fail(LeaseLost("LEASE_STALE", "gone"))

    with pytest.raises(LeaseLost):
        await waiting
    await flush  # the one who waited was told
    with pytest.raises(LeaseLost):
        await output.emit(frame(b"x"))
    assert output.take() is None


async def test_a_rewind_with_nothing_left_sends_nothing(output: Output) -> None:
    await output.emit(frame(b"a"))
    numbers(output)
    output.acknowledge(1)

    output.rewind()

    assert numbers(output) == []


async def test_an_acknowledgement_from_before_a_break_may_come_ahead_of_the_resending(output: Output) -> None:
    for _ in range(3):
        await output.emit(frame(b"x"))
    numbers(output)
    output.rewind()

    output.acknowledge(2)

    assert numbers(output) == [3]


async def test_a_frame_says_its_class(output: Output) -> None:
    await output.emit(Frame(3, b"a"))
    await output.emit(Frame(3, b"b", FrameClass.BEST_EFFORT))
    await output.emit(summary_frame({"a": NULL}))

    request = output.take()

    assert request is not None
    assert [each.frame_class for each in request.frames] == [1, 3, 2]
    assert [each.kind for each in request.frames] == [3, 3, 5]
    assert list(request.frames[2].null_paths) == ["/a"]


async def test_patches_that_wait_become_one_without_a_gap_in_the_numbers(output: Output) -> None:
    await output.emit(summary_frame({"a": 1}))
    await output.emit(frame(b"x"))
    await output.emit(summary_frame({"b": 2}))

    request = output.take()

    assert request is not None
    assert [(each.number, each.data) for each in request.frames] == [(1, b"x"), (2, b'{"a":1,"b":2}')]


async def test_a_patch_that_was_sent_is_sent_again_as_it_was(output: Output) -> None:
    await output.emit(summary_frame({"a": 1}))
    output.take()
    output.rewind()
    await output.emit(summary_frame({"b": 2}))
    await output.emit(summary_frame({"c": 3}))

    request = output.take()

    assert request is not None
    assert [(each.number, each.data) for each in request.frames] == [(1, b'{"a":1}'), (2, b'{"b":2,"c":3}')]


async def test_a_flood_of_patches_needs_one_place_in_the_window(output: Output) -> None:
    for number in range(5 * WINDOW_FRAMES):
        await output.emit(summary_frame({"done": number}))

    assert numbers(output) == [1]
