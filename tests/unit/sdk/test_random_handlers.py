"""Handlers made up at random: those that have not changed are never refused, those cut short always."""

from __future__ import annotations

import asyncio
from random import Random

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from .programs import LEAVES, NAP, Leaf, Program, endings, execution, programs

FEW = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
KNOWN = tuple(kind for kind in LEAVES if kind != NAP)
"""Calls whose end is recorded."""


def ignore_branches_left() -> None:
    """Nobody hears what becomes of branches that were cancelled or whose worker has crashed."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)


@FEW
@given(programs(), st.integers(0, 1 << 30))
def test_a_handler_that_has_not_changed_never_hears_of_a_mismatch(program: Program, seed: int) -> None:
    async def run() -> None:
        ignore_branches_left()
        random = Random(seed)
        memory = execution(program, random)
        for _ in range(3):  # and then again, with all that is recorded
            assert (await endings(memory, random))[-1] == "completed"

    asyncio.run(run())


@FEW
@given(programs(KNOWN, races=False), st.integers(0, 1 << 30), st.integers(0, 9))
def test_a_handler_that_was_cut_short_always_does(program: Program, seed: int, left: int) -> None:
    assume(any(isinstance(node, Leaf) for node in program[left:]))

    async def run() -> None:
        ignore_branches_left()
        random = Random(seed)
        memory = execution(program, random)
        assert (await endings(memory, random))[-1] == "completed"
        memory.program = program[:left]
        assert (await endings(memory, random))[-1] == "STEP_MISMATCH"

    asyncio.run(run())
