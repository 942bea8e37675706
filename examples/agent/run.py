"""An agent answers a question; its worker dies half-way, and a person sends the first answer back.

    python -m examples.agent.run
    python -m examples.agent.run --base-url http://localhost:11434/v1 --model llama3.2

Without --base-url the model is a small one that lives in this example. With it, any endpoint that speaks
OpenAI's chat completions will do (OPENAI_API_KEY is sent when it is set); then only that an answer came
is checked, not what it says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from rich.text import Text

from examples.agent.tasks import Answer, Question, answer
from examples.stage import Stage, perform
from flowfabric import Client, FrameClass, FrameKind, State

ORDER = 1042
QUESTION = f"How many boxes do I need to ship order {ORDER}?"
COMPLAINT = "Also say how many mugs are in the last box."
EXPECTED = "The order has 57 mugs and a box holds 12, so you need 5 boxes. The last one holds 9 mugs."
USES = ['look_up_order {"order": 1042}', 'box_size {"item": "mug"}', 'divide {"total": 57, "by": 12}']


class Listener:
    """Prints what the model says while it says it, and remembers it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._line = ""
        self.words: list[str] = []
        self.results: list[str] = []

    async def listen(self, client: Client, execution_id: str) -> None:
        """Follows the output to its end."""
        async with aclosing(client.tail(execution_id)) as frames:
            async for frame in frames:
                if frame.frame_class is FrameClass.BEST_EFFORT:
                    self.words.append(frame.data.decode())
                    self._line += frame.data.decode()
                elif frame.kind is FrameKind.RESULT:
                    self.results.append(frame.data.decode())
                elif frame.frame_class is FrameClass.SUMMARY:
                    self._tell(json.loads(frame.data))
        self._flush()

    def _tell(self, state: dict[str, object]) -> None:
        self._flush()
        self._stage.say("agent", Text(f"thought {state['thought']}: {state['doing']}", "cyan"))

    def _flush(self) -> None:
        if self._line:
            self._stage.say("model", Text(self._line, "italic"))
            self._line = ""


async def show(ledger: Path, base_url: str, model: str) -> Stage:
    """Asks, kills, reviews twice, and checks the answer."""
    env = {"AGENT_BASE_URL": base_url, "AGENT_MODEL": model} if base_url else {}
    async with Stage("agent", "examples.agent.tasks:answer", env) as stage:
        client = await stage.client()
        first = await stage.worker("worker-1")
        question = Question(text=QUESTION, ledger=str(ledger))
        execution_id = (await client.submit(answer, question)).execution_id
        stage.say("client", QUESTION)
        listener = Listener(stage)
        listening = asyncio.create_task(listener.listen(client, execution_id))

        draft = await stage.until(client, execution_id, State.SUSPENDED)
        await stage.kill(first)
        await stage.worker("worker-2")
        stage.say("reviewer", COMPLAINT)
        await client.reject(execution_id, "review", COMPLAINT)
        assert draft.suspension is not None
        again = draft.suspension.number + 1
        await stage.until(client, execution_id, State.SUSPENDED, number=again)
        stage.say("reviewer", "approves")
        await client.approve(execution_id, "review")

        final = await client.result(execution_id, Answer)
        await listening
        stage.say("client", Text(final.text, "bold"))
        stage.show_steps(await client.get(execution_id))
        judge(stage, final, listener, ledger, is_local=not base_url)
        return stage


def judge(stage: Stage, final: Answer, listener: Listener, ledger: Path, *, is_local: bool) -> None:
    """Compares the answer with what was said and done on the way to it."""
    stage.check(listener.results == [final.text], f"the durable answers are {listener.results}")
    said = "".join(listener.words)
    stage.check(said.endswith(final.text), f"what was streamed ends with {said[-200:]!r}")
    stage.check(final.reviews == 2, f"there were {final.reviews} reviews")
    uses = ledger.read_text().splitlines() if ledger.exists() else []
    stage.check(len(uses) == len(set(uses)), f"a tool ran twice: {uses}")
    if is_local:
        stage.check(final.text == EXPECTED, f"the answer is {final.text!r}, not {EXPECTED!r}")
        stage.check(sorted(uses) == sorted(USES), f"the tools that ran are {uses}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the show; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m examples.agent.run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--base-url", default="", help="an endpoint, up to and with /v1")
    parser.add_argument("--model", default="gpt-4o-mini", help="the model to ask for there")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return perform(show(Path(folder, "ledger"), options.base_url, options.model))


if __name__ == "__main__":
    sys.exit(main())
