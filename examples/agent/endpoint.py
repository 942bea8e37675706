"""A model behind an endpoint that speaks OpenAI's chat completions, with nothing but the standard library."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from examples.agent.model import Chunk, Message, Tool, ToolCall

ANSWER_TIMEOUT_S = 120


class OpenAiModel:
    """A model of such an endpoint; `base_url` ends with /v1."""

    def __init__(self, base_url: str, name: str, key: str = "") -> None:
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._name = name
        self._key = key

    async def stream(self, messages: Sequence[Message], tools: Sequence[Tool]) -> AsyncIterator[Chunk]:
        """The next message; text as it comes, calls when they are whole."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()

        def read() -> None:
            try:
                for chunk in self._read(request_of(self._name, messages, tools)):
                    loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            finally:
                loop.call_soon_threadsafe(chunks.put_nowait, None)

        reading = asyncio.create_task(asyncio.to_thread(read))
        while (chunk := await chunks.get()) is not None:
            yield chunk
        await reading

    def _read(self, body: dict[str, Any]) -> Iterator[Chunk]:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        calls: dict[int, ToolCall] = {}
        with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
            for delta in deltas(answer):
                if delta.get("content"):
                    yield delta["content"]
                for part in delta.get("tool_calls") or ():
                    call = calls.setdefault(part["index"], ToolCall(id="", name="", arguments=""))
                    call.id += part.get("id") or ""
                    call.name += part["function"].get("name") or ""
                    call.arguments += part["function"].get("arguments") or ""
        yield from calls.values()


def deltas(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """What each event of the answer adds to the message."""
    for line in lines:
        field, _, data = line.decode().strip().partition(":")
        if field != "data" or data.strip() == "[DONE]":
            continue
        for choice in json.loads(data).get("choices", ()):
            yield choice.get("delta") or {}


def request_of(model: str, messages: Sequence[Message], tools: Sequence[Tool]) -> dict[str, Any]:
    """The body of the request."""
    return {
        "model": model,
        "stream": True,
        "messages": [message_of(message) for message in messages],
        "tools": [{"type": "function", "function": tool.model_dump()} for tool in tools],
    }


def message_of(message: Message) -> dict[str, Any]:
    """A message as the endpoint takes it."""
    found: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        found["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    if message.call_id:
        found["tool_call_id"] = message.call_id
    return found
