"""An agent: it thinks, uses tools, and shows its answer to a person until that person is content.

Every thought and every use of a tool is a step, so a worker may die at any moment and the next one neither
asks the model again nor runs a tool again. What the model says is streamed to whoever watches.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from functools import partial

from pydantic import BaseModel

from examples.agent.endpoint import OpenAiModel
from examples.agent.model import LocalModel, Message, Model
from examples.agent.tools import TOOLS, run_tool
from flowfabric import Context, FrameClass, FrameKind, task

MOST_THOUGHTS = 12
REVIEW_PATIENCE = timedelta(days=1)
RULES = "You help to pack orders. Use the tools for every fact and every sum."


class Question(BaseModel):
    """What is asked."""

    text: str
    ledger: str
    """File with a line for every use of a tool."""


class Answer(BaseModel):
    """What the reviewer was content with."""

    text: str
    thoughts: int
    reviews: int


def choose_model() -> Model:
    """The model of this worker: an endpoint when AGENT_BASE_URL says where, else the small one."""
    if base_url := os.environ.get("AGENT_BASE_URL"):
        name = os.environ.get("AGENT_MODEL", "gpt-4o-mini")
        return OpenAiModel(base_url, name, os.environ.get("OPENAI_API_KEY", ""))
    return LocalModel()


@task
async def answer(question: Question, context: Context) -> Answer:
    """Thinks until there is an answer, asks for a review, and thinks on if that is not content."""
    model = choose_model()
    messages = [Message(role="system", content=RULES), Message(role="user", content=question.text)]
    reviews = 0
    for thought in range(1, MOST_THOUGHTS + 1):
        reply = await context.step("think", partial(think, model, context), thought, messages)
        messages.append(reply)
        if reply.calls:
            uses = (context.step(call.name, run_tool, question.ledger, call) for call in reply.calls)
            messages += await asyncio.gather(*uses)
            continue
        reviews += 1
        review = await context.wait_for(
            "review", timeout=REVIEW_PATIENCE, reason="waiting_for_operator_review"
        )
        if review.signal.name == "approved":
            await context.emit(reply.content, FrameKind.RESULT)
            return Answer(text=reply.content, thoughts=thought, reviews=reviews)
        messages.append(Message(role="user", content=review.value(str)))
    raise RuntimeError(f"no answer after {MOST_THOUGHTS} thoughts")


async def think(model: Model, context: Context, thought: int, messages: list[Message]) -> Message:
    """One message of the model, streamed while it comes; says in the summary what it is about."""
    await context.summary({"thought": thought, "doing": "thinking"})
    reply = Message(role="assistant")
    async for chunk in model.stream(messages, TOOLS):
        if isinstance(chunk, str):
            reply.content += chunk
            await context.emit(chunk, FrameKind.STDOUT, cls=FrameClass.BEST_EFFORT)
        else:
            reply.calls.append(chunk)
    doing = ", ".join(call.name for call in reply.calls) or "waiting for a review"
    await context.summary({"doing": doing, "draft": reply.content})
    return reply
