"""The shows, each as its README says to run it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from examples.agent.endpoint import OpenAiModel
from examples.agent.model import LocalModel, Message, Tool, ToolCall
from examples.agent.run import EXPECTED
from examples.stage import PROJECT


def run(module: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A show, to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, *options], cwd=PROJECT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("examples.approval.run", (), ["approves again: repeated", "ben       approves: resumed"]),
        ("examples.approval.run", ("--reject",), ["ben       rejects: resumed"]),
        ("examples.callback.run", (), ["calls a URL of their own: 403", "'duplicate': True"]),
        ("examples.agent.run", (), ["thought 3", EXPECTED]),
    ],
)
def test_a_show_ends_well(module: str, options: tuple[str, ...], said: list[str]) -> None:
    outcome = run(module, *options)

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "all is well" in outcome.stdout
    assert "worker-1  killed" in outcome.stdout
    for each in said:
        assert each in outcome.stdout


def tools_of(body: dict[str, Any]) -> list[Tool]:
    return [Tool(**tool["function"]) for tool in body["tools"]]


def message_of(message: dict[str, Any]) -> Message:
    calls = [ToolCall(id=each["id"], **each["function"]) for each in message.get("tool_calls", ())]
    return Message(
        role=message["role"],
        content=message["content"],
        calls=calls,
        call_id=message.get("tool_call_id", ""),
    )


async def complete(request: web.Request) -> web.StreamResponse:
    """Chat completions as OpenAI streams them, by the small model; calls come in two pieces."""
    body = await request.json()
    assert body["stream"] is True
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)

    async def send(delta: dict[str, Any]) -> None:
        data = json.dumps({"choices": [{"index": 0, "delta": delta}]})
        await response.write(f"data: {data}\n\n".encode())

    await send({"role": "assistant", "content": None})
    index = 0
    messages = [message_of(each) for each in body["messages"]]
    async for chunk in LocalModel(pause=0).stream(messages, tools_of(body)):
        if isinstance(chunk, str):
            await send({"content": chunk})
            continue
        function = {"name": chunk.name, "arguments": chunk.arguments[:3]}
        await send(
            {"tool_calls": [{"index": index, "id": chunk.id, "type": "function", "function": function}]}
        )
        await send({"tool_calls": [{"index": index, "function": {"arguments": chunk.arguments[3:]}}]})
        index += 1
    await response.write(b"data: [DONE]\n\n")
    return response


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[str]:
    """Base URL of an endpoint that speaks OpenAI's chat completions."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}/v1"
    await runner.cleanup()


async def test_the_agent_can_ask_an_endpoint_instead(endpoint: str) -> None:
    outcome = await asyncio.to_thread(run, "examples.agent.run", "--base-url", endpoint, "--model", "small")

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert EXPECTED in outcome.stdout


async def test_calls_come_in_pieces_and_words_as_they_come(endpoint: str) -> None:
    model = OpenAiModel(endpoint, "small", key="secret")
    question = [
        Message(role="system", content="help"),
        Message(role="user", content="How many boxes for order 1042?"),
    ]

    calls = [chunk async for chunk in model.stream(question, [])]

    assert calls == [
        ToolCall(id="call-2-1", name="look_up_order", arguments='{"order": 1042}'),
        ToolCall(id="call-2-2", name="box_size", arguments='{"item": "mug"}'),
    ]
    facts = [
        Message(role="assistant", calls=[call for call in calls if isinstance(call, ToolCall)]),
        Message(role="tool", content='{"mugs": 57}', call_id="call-2-1"),
        Message(role="tool", content='{"holds": 12}', call_id="call-2-2"),
        Message(role="assistant", calls=[ToolCall(id="d", name="divide", arguments="{}")]),
        Message(role="tool", content='{"whole": 4, "rest": 9}', call_id="d"),
    ]
    words = [chunk async for chunk in model.stream(question + facts, [])]
    assert "".join(map(str, words)) == EXPECTED.partition(" The last")[0]
    assert len(words) > 10
