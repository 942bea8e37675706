"""Executions that take steps, wait for two signals and rest, and who sends them these, whatever dies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

from flowfabric import Delivery, EngineError, SignalEffect, State
from tests.e2e.history import Run, Shown, read_events
from tests.e2e.load import PATIENCE_S, Load
from tests.e2e.waiting import eventually

STEP_S = 0.05
TIMES = 3  # each signal is sent at once; later it is sent once more

JOURNAL = [
    ("step", "order"),
    ("waitpoint", "go"),
    ("step", "send"),
    ("wait", "go"),
    ("step", "pack"),
    ("sleep", "sleep"),
    ("step", "ship"),
]

#: What is left in Valkey when all has ended: of executions that are kept, of partitions, and of submissions.
LEFT = {
    *("execution", "payload", "result", "history", "output", "suspension", "waitpoints", "signals"),
    *("deliveries", "delivery_expiry", "journal", "journal_data", "steps"),
    *("executions", "completed", "lanes", "events", "idempotency"),
}

ENOUGH = [{SignalEffect.BUFFERED}, {SignalEffect.BUFFERED, SignalEffect.RESUMED}]
ENOUGH.append({SignalEffect.COUNTED, SignalEffect.RESUMED})


class Errands:
    """A load of errands; couriers answer their letters as soon as these are written."""

    def __init__(self, load: Load, couriers: asyncio.TaskGroup) -> None:
        self._load = load
        self._couriers = couriers
        self._rounds: list[asyncio.Task[None]] = []
        self._answers: dict[str, tuple[list[Delivery], list[Delivery]]] = {}

    async def submit(self, count: int) -> None:
        """Submits more, and has them answered."""
        ids = await self._load.submit(count, STEP_S, kind="errand")
        self._answers |= {each: ([], []) for each in ids}
        self._rounds.append(self._couriers.create_task(self._answer(ids)))

    async def check(self) -> None:
        """Finishes, and asserts every promise for every execution, signal and step."""
        await asyncio.gather(*self._rounds)
        self._rounds.clear()
        await self._load.check(check_errand)
        events = read_events(self._load.valkey.call)
        for execution_id, answers in self._answers.items():
            await self._send(execution_id)
            sent = [event.detail for event in events[execution_id] if event.name == "signal"]
            check_signals(execution_id, answers, sent)
            await self._check_waits(execution_id)
        self._check_keys()

    async def _answer(self, ids: Sequence[str]) -> None:
        for execution_id in ids:

            async def is_written(execution_id: str = execution_id) -> bool:
                return len(self._load.letter(execution_id)) == 2

            await eventually(is_written, PATIENCE_S)
            await asyncio.gather(*(self._send(execution_id) for _ in range(TIMES)))

    async def _send(self, execution_id: str) -> None:
        """Sends both signals, one by token and one by name, under the keys they always have."""
        client, text = self._load.client, self._load.texts[execution_id]
        place, token = self._load.letter(execution_id)
        paid, approved = self._answers[execution_id]
        paid.append(
            await insist(lambda: client.signal(place, "paid", text, token=token, idempotency_key="once"))
        )
        approved.append(
            await insist(lambda: client.approve(execution_id, "go", text, idempotency_key="once"))
        )

    async def _check_waits(self, execution_id: str) -> None:
        """All is closed, and each signal and its delivery is kept as long as it has to be."""
        suspension = await self._load.client.suspension(execution_id)
        assert suspension is not None
        ways = (
            ("closed", "timeout", 2),
            ("closed", "signal", 1),
        )  # a frozen worker may sleep through by itself
        assert (suspension.state, suspension.ending, suspension.number) in ways, suspension
        waitpoints = await self._load.client.waitpoints(execution_id, include_closed=True)
        assert [(each.name, each.state) for each in waitpoints] == [("go", "closed")]

        def ask(command: str, family: str) -> object:
            partition = execution_id.partition("-")[0]
            return self._load.valkey.call(command, f"ff:{{p:{partition}}}:{family}:{execution_id}")

        assert (ask("HLEN", "deliveries"), ask("ZCARD", "delivery_expiry")) == (2, 2), execution_id
        kept = [json.loads(text.split(b"\n")[0]) for text in ask("HVALS", "signals")]  # type: ignore[attr-defined]
        numbers = [3] if suspension.number == 2 else [1, 2]
        assert sorted(each["number"] for each in kept) == numbers, execution_id

    def _check_keys(self) -> None:
        keys: list[bytes] = self._load.valkey.call("KEYS", "ff:{p:*")  # type: ignore[assignment]
        left = {key.decode().split(":")[3] for key in keys}
        assert left <= LEFT, left - LEFT


async def insist(send: Callable[[], Awaitable[Delivery]]) -> Delivery:
    """The answer to a signal, asked for until there is one."""

    async def answer() -> Delivery | None:
        try:
            return await send()
        except EngineError as error:
            if not error.retryable:
                raise
            return None

    delivery = await eventually(answer, PATIENCE_S)
    assert delivery is not None
    return delivery


def check_errand(text: str, runs: Sequence[Run], shown: Shown) -> None:
    """The right result, a whole journal, and each step done once or known to be uncertain."""
    execution = shown.execution
    story = f"{execution} {runs}"
    steps = [step.name for step in execution.steps if step.kind == "step"]
    results = [f"{name} {text}" for name in (*steps, "approved", "paid")]
    assert execution.state is State.COMPLETED, story
    assert shown.result == ", ".join(results), story
    assert execution.failed_attempts == 0, story
    assert [(step.kind, step.name) for step in execution.steps] == JOURNAL, story
    assert execution.steps_total == len(JOURNAL), story
    assert {step.state for step in execution.steps} == {"done"}, story
    assert all(len(run.steps) == len(set(run.steps)) for run in runs), story
    for step in execution.steps:
        times = sum(step.name in run.steps for run in runs)
        assert step.kind != "step" or times == 1 or (times > 1 and step.uncertain), f"{step.name}: {story}"


def check_signals(execution_id: str, answers: Sequence[Sequence[Delivery]], sent: Sequence[str]) -> None:
    """Each signal arrived once, whoever was told so how often, and together they were enough."""
    story = f"{execution_id}: {answers} {sent}"
    first = []
    for own in answers:
        assert len(own) > TIMES, story
        assert len({(answer.number, answer.effect) for answer in own}) == 1, story
        assert sum(not answer.duplicate for answer in own) <= 1, story
        first.append(own[0])
    assert {answer.number for answer in first} == {1, 2}, story
    assert {answer.effect for answer in first} in ENOUGH, story
    told = sorted(f"{answer.number} go {answer.effect.value}" for answer in first)
    assert sorted(line.rpartition(" ")[0] for line in sent) == told, story
