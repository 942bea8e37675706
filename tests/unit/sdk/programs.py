"""Handlers made up at random, and one execution of such a handler, with crashes wherever they may be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from flowfabric import Backoff, Context, StepRetry, task
from flowfabric.testing import MemoryJournal
from flowfabric_api.suspension.v1 import suspension_pb2 as pb

STEP, FLAKY, VALUE, WAIT, ASK, SLEEP, NAP = LEAVES = (
    "step", "flaky", "value", "wait", "ask", "sleep", "nap",
)  # fmt: skip


@dataclass(frozen=True)
class Leaf:
    """One durable call."""

    kind: str


@dataclass(frozen=True)
class Branches:
    """Sequences side by side."""

    parts: tuple[Program, ...]
    how: str
    """both: until all have ended. first: until one has, and the others are cancelled. keep: the same, but the
    others go on. With the latter two the handler returns when the last one has ended by then."""


RETRY = StepRetry(max_attempts=9, backoff=Backoff(initial=60))

Program = tuple[Leaf | Branches, ...]


def programs(kinds: tuple[str, ...] = LEAVES, *, races: bool = True) -> st.SearchStrategy[Program]:
    """Sequences, which begin with a call: that gives their tasks an order."""
    leaf = st.builds(Leaf, st.sampled_from(kinds))

    def sequences(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Program]:
        return st.tuples(leaf, st.lists(inner, max_size=3)).map(lambda found: (found[0], *found[1]))

    def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        parts = st.lists(sequences(inner), min_size=2, max_size=3).map(tuple)
        if not races:
            return leaf | st.builds(Branches, parts, st.just("both"))
        waits = st.builds(Leaf, st.sampled_from((WAIT, ASK, SLEEP)))
        alone = st.lists(st.tuples(waits), min_size=2, max_size=3).map(tuple)
        return (
            leaf
            | st.builds(Branches, parts, st.sampled_from(("both", "first")))
            | st.builds(Branches, alone, st.just("keep"))
        )

    return sequences(st.recursive(leaf, branches, max_leaves=8))


class Handler:
    """One run of a program. What takes time takes another number of turns each time."""

    def __init__(self, context: Context, random: Random) -> None:
        self._context = context
        self._random = random

    async def run(self, program: Program, path: str = "") -> bool:
        """Whether the handler is to return."""
        for place, node in enumerate(program):
            name = f"{path}{place}"
            if isinstance(node, Leaf):
                await self._call(node.kind, f"n{name}")
            elif await self._branch(node, name):
                return True
        return False

    async def _branch(self, node: Branches, name: str) -> bool:
        parts = [self.run(part, f"{name}.{number}.") for number, part in enumerate(node.parts)]
        tasks = [asyncio.ensure_future(part) for part in parts]
        if node.how == "both":
            return any(await asyncio.gather(*tasks))
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if node.how == "first":
            for each in pending:
                each.cancel()
        return tasks[-1] in done or any(each.result() for each in done)

    def _call(self, kind: str, name: str) -> Awaitable[Any]:
        if kind == STEP:
            return self._context.step(name, self._work)
        if kind == FLAKY:
            retry = RETRY if int(name[-1]) % 2 else None
            return self._context.step(name, self._fail_often, retry=retry)
        if kind == VALUE:
            return self._context.random()
        if kind == WAIT:
            return self._context.wait_for(name)
        if kind == ASK:
            return self._ask(name)
        return self._context.sleep(60 if kind == SLEEP else self._random.choice((0.0, 0.001)))

    async def _ask(self, name: str) -> None:
        await self._context.wait_for(await self._context.waitpoint(name))

    async def _work(self) -> None:
        await some_time(self._random)

    async def _fail_often(self) -> None:
        await self._work()
        if self._random.random() < 0.3:
            raise ConnectionError


async def some_time(random: Random) -> None:
    """A number of turns of the loop."""
    for _ in range(random.choice((0, 1, 3, 9))):
        await asyncio.sleep(0)


class ProgramJournal(MemoryJournal):
    """Of a program, which may change; it takes some time to make a waitpoint, as an engine does."""

    program: Program
    random: Random

    async def create_waitpoint(self, request: pb.CreateWaitpointRequest) -> pb.Waitpoint:
        await some_time(self.random)
        return await super().create_waitpoint(request)


def execution(program: Program, random: Random) -> ProgramJournal:
    """A new execution of the program."""

    @task
    async def handler(context: Context) -> str:
        return "early" if await Handler(context, random).run(memory.program) else "late"

    memory = ProgramJournal(handler, short_wait=0.01)
    memory.program, memory.random = program, random
    return memory


async def endings(memory: MemoryJournal, random: Random) -> list[str]:
    """How its runs end, up to the first that is no crash, no suspension and no failure of a step."""
    found: list[str] = []
    while not found or found[-1] in ("suspended", "crashed", "ConnectionError"):
        crash = random.choice((None, None, 0, 1, 2, 3)) if len(found) < 30 else None
        run = await memory.run(crash_after=crash)
        found.append(run.ending if run.failure is None else run.failure.type)
        if run.waits:
            for wait in random.sample(run.waits, random.randint(1, len(run.waits))):
                memory.satisfy(wait)  # time is as good an end for those that wait for time
    return found
