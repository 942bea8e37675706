"""StreamOutput: what is wrong with one lease is told of that lease, and the stream goes on."""

from __future__ import annotations

import grpc.aio
import pytest

from flowfabric_api.execution.v1 import execution_pb2 as ex
from flowfabric_api.output.v1 import output_pb2 as out
from flowfabric_api.worker.v1 import worker_pb2 as wk

from .door import Door, Refused, reason_of
from .worker_stream import claimed

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRANGE = b"0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b:1:1:abc0"


def frames(*numbers: int, data: bytes = b"x") -> list[wk.Frame]:
    return [wk.Frame(number=number, kind=out.FRAME_KIND_STDOUT, data=data) for number in numbers]


async def held(door: Door) -> bytes:
    """The lease of a new execution."""
    spec = ex.ExecutionSpec(kind="k", lane="output")
    await door.ask(ex.CreateExecutionRequest(spec=spec), "CreateExecution")
    return (await claimed(door, "output")).lease


async def test_errors_stay_with_their_lease(door: Door) -> None:
    mine, ended = await held(door), await held(door)
    await door.ask(wk.CompleteRequest(lease=ended), "Complete")
    sent = [
        (mine, frames(1, 2)),
        (STRANGE, frames(1)),
        (b"nonsense", frames(1)),
        (ended, frames(1)),
        (mine, frames(0)),
        (mine, frames(3, 5)),
        (mine, frames(3, data=b"x" * 65_537)),
        (mine, frames(9)),
        (mine, frames(2, 3)),
        (mine, []),
    ]

    call = door.workers.StreamOutput(
        iter([wk.StreamOutputRequest(lease=lease, frames=some) for lease, some in sent])
    )
    answers = [answer async for answer in call]

    told = [reason_of(one.error) if one.HasField("error") else one.acked_through for one in answers]
    assert told == [
        2, "EXECUTION_NOT_FOUND", "INVALID_ARGUMENT", "OUTPUT_CLOSED", "INVALID_ARGUMENT", "INVALID_ARGUMENT",
        "PAYLOAD_TOO_LARGE", "OUTPUT_GAP", 3, 3,
    ]  # fmt: skip
    assert [one.lease for one in answers] == [lease for lease, _ in sent]
    await door.ask(wk.CompleteRequest(lease=mine), "Complete")


async def test_a_stream_stores_the_frames_before_a_bad_one_and_a_single_call_none(door: Door) -> None:
    lease = await held(door)
    bad = wk.Frame(kind=out.FRAME_KIND_SUMMARY, data=b'{"speed":NaN}')

    def around(number: int) -> list[wk.Frame]:
        bad.number = number
        return [*frames(number - 1), bad, *frames(number + 1)]

    call = door.workers.StreamOutput(iter([wk.StreamOutputRequest(lease=lease, frames=around(2))]))
    [answer] = [answer async for answer in call]
    with pytest.raises(Refused, match="INVALID_ARGUMENT"):
        await door.ask(wk.AppendOutputRequest(lease=lease, frames=around(3)), "AppendOutput")

    assert (answer.acked_through, reason_of(answer.error)) == (1, "INVALID_ARGUMENT")
    execution_id = lease.split(b":")[0].decode()
    [page] = await door.ask(out.ReadOutputRequest(execution_id=execution_id), "ReadOutput")
    assert [frame.number for frame in page.frames] == [1]
    await door.ask(wk.CompleteRequest(lease=lease), "Complete")


async def test_a_gap_says_from_where_to_go_on(door: Door) -> None:
    lease = await held(door)

    call = door.workers.StreamOutput(
        iter([wk.StreamOutputRequest(lease=lease, frames=frames(*some)) for some in ([1], [4], [2])])
    )
    answers = [answer async for answer in call]

    assert [one.acked_through for one in answers] == [1, 1, 2]
    assert reason_of(answers[1].error) == "OUTPUT_GAP"
    await door.ask(wk.CompleteRequest(lease=lease), "Complete")


async def test_frames_of_the_largest_size_pass(door: Door) -> None:
    lease = await held(door)

    call = door.workers.StreamOutput(
        iter([wk.StreamOutputRequest(lease=lease, frames=frames(1, 2, 3, data=b"\x00" * 65_536))])
    )
    [answer] = [answer async for answer in call]

    assert answer.acked_through == 3
    execution_id = lease.split(b":")[0].decode()
    [page] = await door.ask(out.ReadOutputRequest(execution_id=execution_id), "ReadOutput")
    assert [frame.data for frame in page.frames] == [b"\x00" * 65_536] * 3
    await door.ask(wk.CompleteRequest(lease=lease), "Complete")


async def test_a_range_of_frames_is_read(door: Door) -> None:
    lease = await held(door)
    execution_id = lease.split(b":")[0].decode()
    await door.ask(wk.AppendOutputRequest(lease=lease, frames=frames(*range(1, 13))), "AppendOutput")
    await door.ask(wk.CompleteRequest(lease=lease), "Complete")
    [whole] = await door.ask(out.ReadOutputRequest(execution_id=execution_id), "ReadOutput")
    cursors = [frame.cursor for frame in whole.frames]

    async def read(after: str, until: str, page_size: int = 0) -> out.ReadOutputResponse:
        request = out.ReadOutputRequest(
            execution_id=execution_id, after=after, until=until, page_size=page_size
        )
        [page] = await door.ask(request, "ReadOutput")
        assert isinstance(page, out.ReadOutputResponse)
        return page

    page = await read(cursors[1], cursors[10])
    assert [frame.number for frame in page.frames] == list(range(3, 12))
    assert (page.next, page.HasField("close")) == (cursors[10], False)
    assert [frame.number for frame in (await read("", cursors[10], page_size=2)).frames] == [1, 2]
    beyond = await read(cursors[10], cursors[10])
    assert (list(beyond.frames), beyond.next) == ([], cursors[10])
    assert (await read(cursors[10], whole.close.cursor)).close.reason == "completed"


async def test_bytes_that_are_no_message_end_only_that_stream(door: Door) -> None:
    lease = await held(door)
    raw = door.raw("StreamOutput")

    with pytest.raises(grpc.aio.AioRpcError):
        async for _ in raw(iter([b"\xff\xff\xff\xff"])):
            pass

    call = door.workers.StreamOutput(iter([wk.StreamOutputRequest(lease=lease, frames=frames(1))]))
    assert [answer.acked_through async for answer in call] == [1]
    await door.ask(wk.CompleteRequest(lease=lease), "Complete")


async def test_a_page_is_empty_only_where_nothing_follows(door: Door) -> None:
    lease = await held(door)
    execution_id = lease.split(b":")[0].decode()
    await door.ask(wk.AppendOutputRequest(lease=lease, frames=frames(*range(1, 1201))), "AppendOutput")
    rare = wk.Frame(number=1201, kind=out.FRAME_KIND_STDERR, data=b"rare")
    await door.ask(wk.AppendOutputRequest(lease=lease, frames=[rare]), "AppendOutput")

    [page] = await door.ask(
        out.ReadOutputRequest(execution_id=execution_id, kinds=[out.FRAME_KIND_STDERR]), "ReadOutput"
    )
    [rest] = await door.ask(
        out.ReadOutputRequest(execution_id=execution_id, kinds=[out.FRAME_KIND_STDERR], after=page.next),
        "ReadOutput",
    )
    await door.ask(wk.CompleteRequest(lease=lease), "Complete")
    tail = await door.ask(
        out.TailOutputRequest(execution_id=execution_id, kinds=[out.FRAME_KIND_STDERR]), "TailOutput"
    )

    assert [frame.data for frame in page.frames] == [b"rare"]
    assert (list(rest.frames), rest.next) == ([], page.next)
    assert [[frame.data for frame in message.frames] for message in tail] == [[b"rare"]]
    assert tail[-1].close.reason == "completed"


async def test_a_summary_is_read_over_both_doors(door: Door) -> None:
    lease = await held(door)
    execution_id = lease.split(b":")[0].decode()
    asked = out.GetSummaryRequest(execution_id=execution_id)
    [none] = await door.ask(asked, "GetSummary")
    patch = wk.Frame(number=1, kind=out.FRAME_KIND_SUMMARY, data=b'{"a":[],"b":1}', null_paths=["/c"])

    await door.ask(wk.AppendOutputRequest(lease=lease, frames=[patch]), "AppendOutput")

    [summary] = await door.ask(asked, "GetSummary")
    status, body = await door.fetch(asked, "GetSummary")
    assert none == out.Summary()
    assert (summary.document, summary.version) == (b'{"a":[],"b":1,"c":null}', 1)
    assert (status, body["version"], body["cursor"]) == (200, "1", summary.cursor)
    await door.ask(wk.CompleteRequest(lease=lease), "Complete")


async def test_frames_stay_in_order_while_connections_to_the_store_break(door: Door) -> None:
    lease = await held(door)
    call = door.workers.StreamOutput()
    answers = []

    for first in range(1, 401, 40):
        for number in range(first, first + 40):
            await call.write(wk.StreamOutputRequest(lease=lease, frames=frames(number)))
            if number % 10 == 0:  # with others under way behind it
                door.valkey.call("CLIENT", "KILL", "TYPE", "normal")
        answers += [await call.read() for _ in range(40)]
    await call.done_writing()

    assert [reason_of(one.error) for one in answers if one.HasField("error")] == []
    assert answers[-1].acked_through == 400
    await door.ask(wk.CompleteRequest(lease=lease), "Complete")
