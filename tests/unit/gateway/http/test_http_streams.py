"""Server-streaming methods over HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from ff_core.errors import EngineError, ErrorCode
from ff_gateway.http.server import CLOSING
from ff_gateway.http.stream import last_cursor
from flowfabric_api.execution.v1 import execution_pb2 as pb
from flowfabric_api.output.v1 import output_pb2
from flowfabric_api.subscription.v1 import subscription_pb2

TAIL = "/v1/executions/1-a/output/tail"
WATCH = "/v1/executions/1-a/watch"


def frames(*cursors):
    return output_pb2.TailOutputResponse(
        frames=[output_pb2.OutputFrame(cursor=cursor, data=b"x") for cursor in cursors]
    )


def closing(cursor):
    return output_pb2.TailOutputResponse(close=output_pb2.OutputClose(cursor=cursor, reason="completed"))


class Tail:
    """A stream that sends these messages, then fails, ends, or waits for ever; knows when it was closed."""

    def __init__(self, *messages, error=None, endless=False):
        self.messages, self.error, self.endless = messages, error, endless
        self.closed = asyncio.Event()

    async def __call__(self, _):
        try:
            for message in self.messages:
                yield message
            if self.endless:
                await asyncio.Event().wait()
            if self.error:
                raise self.error
        finally:
            self.closed.set()


def events(text):
    """The events of a stream as (id, event, data)."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
    return found


async def test_messages_are_events_whose_id_is_the_last_cursor(client, engine):
    engine.streams["TailOutput"] = Tail(frames("1-0", "2-0"), closing("3-0"))

    response = await client.get(TAIL)

    assert response.status == 200
    assert response.content_type == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    first, second, end = events(await response.text())
    assert first[:2] == ("2-0", "message")
    assert [frame["data"] for frame in first[2]["frames"]] == ["eA==", "eA=="]
    assert second[:2] == ("3-0", "message")
    assert second[2]["close"] == {"cursor": "3-0", "reason": "completed"}
    assert end == (None, "end", {})


async def test_messages_without_a_cursor_have_no_id(client, engine):
    message = pb.WatchExecutionResponse(execution=pb.Execution(execution_id="1-a"))
    engine.streams["WatchExecution"] = Tail(message)

    ((name, event, data), _) = events(await (await client.get(WATCH)).text())

    assert (name, event, data["execution"]["execution_id"]) == (None, "message", "1-a")


@pytest.mark.parametrize("cursor", ["", "a\nb", "a\rb", "a\0b"])
def test_a_cursor_that_no_event_id_can_be_is_left_out(cursor):
    assert last_cursor(frames(cursor)) == ""


async def test_those_who_accept_lines_get_one_json_message_a_line(client, engine):
    engine.streams["TailOutput"] = Tail(frames("1-0"), closing("2-0"))

    response = await client.get(TAIL, headers={"Accept": "application/x-ndjson"})

    assert response.content_type == "application/x-ndjson"
    first, second = [json.loads(line) for line in (await response.text()).splitlines()]
    assert first["frames"][0]["cursor"] == "1-0"
    assert second["close"]["cursor"] == "2-0"


OUTPUT = "/v1/executions/1-a/output"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, */*;q=0.1", "text/event-stream"),
        ("application/x-ndjson", "application/x-ndjson"),
    ],
)
async def test_the_route_of_output_is_a_stream_for_those_who_accept_one(client, engine, accept, content_type):
    engine.streams["TailOutput"] = Tail(frames("6-0"), closing("7-0"))

    response = await client.get(
        f"{OUTPUT}?after=1-0&classes=FRAME_CLASS_DURABLE", headers={"Accept": accept, "Last-Event-ID": "5-0"}
    )

    assert response.content_type == content_type
    assert engine.request == output_pb2.TailOutputRequest(execution_id="1-a", after="5-0", classes=[1])


@pytest.mark.parametrize("accept", ["", "*/*", "application/json"])
async def test_the_route_of_output_is_a_page_for_all_others(client, engine, accept):
    engine.answers["ReadOutput"] = output_pb2.ReadOutputResponse(next="9-0")

    response = await client.get(f"{OUTPUT}?after=1-0", headers={"Accept": accept, "Last-Event-ID": "5-0"})

    assert (response.content_type, (await response.json())["next"]) == ("application/json", "9-0")
    assert engine.request == output_pb2.ReadOutputRequest(execution_id="1-a", after="1-0")


async def test_the_cursor_of_a_subscription_is_the_id_of_its_events(client, engine):
    engine.streams["Subscribe"] = Tail(
        subscription_pb2.SubscribeResponse(cursor=subscription_pb2.Cursor(cursor="abc"))
    )

    response = await client.get("/v1/events?lane=main", headers={"Last-Event-ID": "xyz"})

    assert events(await response.text())[0][:2] == ("abc", "message")
    assert engine.request == subscription_pb2.SubscribeRequest(after="xyz", lane="main")


async def test_last_event_id_goes_before_the_after_of_the_query(client, engine):
    engine.streams["TailOutput"] = Tail(closing("9-0"))

    await client.get(f"{TAIL}?after=1-0&attempt=2", headers={"Last-Event-ID": "5-0"})

    assert engine.request == output_pb2.TailOutputRequest(execution_id="1-a", after="5-0", attempt=2)


async def test_last_event_id_is_ignored_where_the_request_has_no_after(client, engine):
    engine.streams["WatchExecution"] = Tail(pb.WatchExecutionResponse())

    assert (await client.get(WATCH, headers={"Last-Event-ID": "5-0"})).status == 200


async def test_a_watch_of_the_end_alone_is_asked_for_in_the_query(client, engine):
    engine.streams["WatchExecution"] = Tail(pb.WatchExecutionResponse())

    await client.get(f"{WATCH}?only_end=true")

    assert engine.request == pb.WatchExecutionRequest(execution_id="1-a", only_end=True)


async def test_an_error_before_the_first_message_has_its_status(client, engine):
    engine.streams["TailOutput"] = Tail(error=EngineError(ErrorCode.EXECUTION_NOT_FOUND))

    response = await client.get(TAIL)

    assert response.status == 404
    assert (await response.json())["kind"] == "EXECUTION_NOT_FOUND"


@pytest.mark.parametrize(
    ("error", "kind"),
    [(EngineError(ErrorCode.STORE_UNAVAILABLE), "STORE_UNAVAILABLE"), (RuntimeError("secret"), "INTERNAL")],
)
async def test_a_later_error_travels_in_the_stream_and_ends_it(client, engine, error, kind):
    engine.streams["TailOutput"] = Tail(frames("1-0"), error=error)
    as_events = await (await client.get(TAIL)).text()
    as_lines = await (await client.get(TAIL, headers={"Accept": "application/x-ndjson"})).text()

    _, (name, event, data) = events(as_events)
    assert (name, event, data["kind"]) == (None, "error", kind)
    assert json.loads(as_lines.splitlines()[-1]) == data
    assert "secret" not in as_events + as_lines


async def test_a_stream_that_has_nothing_to_say_is_204_so_that_a_browser_stops_asking(client, engine):
    engine.streams["TailOutput"] = Tail()

    assert (await client.get(TAIL)).status == 204


async def test_a_silent_stream_answers_and_sends_heartbeats_and_loses_no_message(connect, engine):
    release = asyncio.Event()

    async def late(_):
        await release.wait()
        yield frames("1-0")

    engine.streams["TailOutput"] = late
    client = await connect(opening_s=0.001, heartbeat_s=0.001)

    response = await client.get(TAIL)
    assert response.status == 200
    for _ in range(3):
        assert await response.content.readuntil(b"\n\n") == b": heartbeat\n\n"
    release.set()
    rest = (await response.text()).replace(": heartbeat\n\n", "")
    assert [each[:2] for each in events(rest)] == [("1-0", "message"), (None, "end")]


async def test_a_silent_stream_of_lines_has_no_blank_ones(connect, engine):
    release = asyncio.Event()

    async def late(_):
        yield frames("1-0")
        await release.wait()
        yield frames("2-0")

    engine.streams["TailOutput"] = late
    client = await connect(heartbeat_s=0.001)

    response = await client.get(TAIL, headers={"Accept": "application/x-ndjson"})
    first = await response.content.readline()
    release.set()
    assert [json.loads(line)["frames"][0]["cursor"] for line in (first, await response.content.read())] == [
        "1-0",
        "2-0",
    ]


@pytest.mark.parametrize("said", [(), (frames("1-0"),)])
async def test_a_client_that_goes_away_ends_the_stream_of_the_engine(connect, engine, said):
    tail = engine.streams["TailOutput"] = Tail(*said, endless=True)
    client = await connect(opening_s=0.001)

    response = await client.get(TAIL)
    assert response.status == 200
    response.close()

    await tail.closed.wait()


async def test_a_closing_gateway_cuts_its_streams_without_saying_that_they_are_over(client, engine):
    tail = engine.streams["TailOutput"] = Tail(frames("1-0"), endless=True)
    response = await client.get(TAIL)
    first = await response.content.readuntil(b"\n\n")

    client.app[CLOSING].set()

    assert events(first.decode())[0][0] == "1-0"
    assert await response.content.read() == b""
    assert tail.closed.is_set()


async def test_a_closing_gateway_sends_new_streams_elsewhere(connect, engine):
    engine.streams["TailOutput"] = Tail(endless=True)
    client = await connect(opening_s=60)
    client.app[CLOSING].set()

    response = await client.get(TAIL)

    assert response.status == 503
    assert (await response.json())["kind"] == "SHUTTING_DOWN"
