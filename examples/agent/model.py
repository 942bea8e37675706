"""What an agent needs of a language model, and a model small enough to live here.

`Model` is what the agent sees. `LocalModel` answers from rules and always the same; `endpoint.py` has one
that asks any endpoint that speaks OpenAI's chat completions.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

from pydantic import BaseModel


class ToolCall(BaseModel):
    """A tool that the model wants run."""

    id: str
    name: str
    arguments: str
    """JSON."""


class Message(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    calls: list[ToolCall] = []
    """Of the assistant."""
    call_id: str = ""
    """Of a tool: which call it answers."""


class Tool(BaseModel):
    """A tool as the model is told of it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """A JSON schema."""


Chunk = str | ToolCall
"""A piece of text as it comes, or a whole call."""


class Model(Protocol):
    """A language model."""

    def stream(self, messages: Sequence[Message], tools: Sequence[Tool]) -> AsyncIterator[Chunk]:
        """The next message of the assistant, piece by piece."""


class LocalModel:
    """Packs mugs into boxes, and knows nothing else; the pause between words is for the eye."""

    def __init__(self, pause: float = 0.03) -> None:
        self._pause = pause

    async def stream(self, messages: Sequence[Message], tools: Sequence[Tool]) -> AsyncIterator[Chunk]:
        """Looks up what it lacks, both facts at once; then divides; then writes; then does as it is told."""
        found = results_of(messages)
        if calls := self._missing(messages, found):
            for call in calls:
                yield call
            return
        for word in re.findall(r"\S+\s*", self._text(messages, found)):
            await asyncio.sleep(self._pause)
            yield word

    def _missing(self, messages: Sequence[Message], found: dict[str, Any]) -> list[ToolCall]:
        number = len(messages)
        if "look_up_order" not in found:
            order = re.search(r"\d+", next(each.content for each in messages if each.role == "user"))
            return [
                tool_call(number, 1, "look_up_order", order=int(order[0]) if order else 0),
                tool_call(number, 2, "box_size", item="mug"),
            ]
        if "divide" not in found:
            numbers = {"total": found["look_up_order"]["mugs"], "by": found["box_size"]["holds"]}
            return [tool_call(number, 1, "divide", **numbers)]
        return []

    def _text(self, messages: Sequence[Message], found: dict[str, Any]) -> str:
        boxes, rest = found["divide"]["whole"], found["divide"]["rest"]
        holds, mugs = found["box_size"]["holds"], found["look_up_order"]["mugs"]
        needed = boxes + (rest > 0)
        text = f"The order has {mugs} mugs and a box holds {holds}, so you need {needed} boxes."
        reviews = [each for each in messages[2:] if each.role == "user"]
        if any("last" in review.content for review in reviews):
            text += f" The last one holds {rest or holds} mugs."
        return text


def results_of(messages: Sequence[Message]) -> dict[str, Any]:
    """What the tools have said, by tool."""
    names = {call.id: call.name for each in messages for call in each.calls}
    return {names[each.call_id]: json.loads(each.content) for each in messages if each.role == "tool"}


def tool_call(turn: int, place: int, name: str, **arguments: object) -> ToolCall:
    """A call; its id is the same whenever the model is asked the same."""
    return ToolCall(id=f"call-{turn}-{place}", name=name, arguments=json.dumps(arguments))
