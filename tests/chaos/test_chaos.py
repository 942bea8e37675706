"""Rounds of load under a random, seeded schedule of harm; after each round every promise is checked.

FF_TEST_CHAOS_SECONDS says how long (default 30), FF_TEST_CHAOS_SEED repeats a schedule. The schedule is
the same for a seed; what it meets is not, so a failure may need some tries to be seen again.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from tests.chaos.errands import Errands
from tests.chaos.monkey import WORKERS, Monkey
from tests.e2e.load import Load, open_load

SECONDS = float(os.environ.get("FF_TEST_CHAOS_SECONDS", "30"))
SEED = int(os.environ.get("FF_TEST_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
STRIKES = 4

pytestmark = [pytest.mark.timeout(SECONDS + 600), pytest.mark.processes]


class Work(Protocol):
    """What goes on while things die."""

    async def submit(self, count: int, /) -> object:
        """Submits more."""

    async def check(self) -> object:
        """Waits until all has ended, and asserts what was promised."""


async def withstand(
    home: Path, first: int, more: int, work_of: Callable[[Load, asyncio.TaskGroup], Work]
) -> None:
    """Rounds of `first` executions and then, before each strike, `more`."""
    end = time.monotonic() + SECONDS
    async with (
        open_load(
            home, gateways=2, schedulers=2, scanners=2, valkey_options=("--appendfsync", "always")
        ) as load,
        asyncio.TaskGroup() as group,
    ):
        monkey, work = Monkey(load, SEED), work_of(load, group)
        try:
            await load.start_workers(WORKERS)
            while time.monotonic() < end:
                monkey.log.append("a new round")
                await work.submit(first)
                for _ in range(STRIKES):
                    await work.submit(more)
                    await monkey.strike()
                await work.check()
        except BaseException as error:
            error.add_note(f"FF_TEST_CHAOS_SEED={SEED}: " + ", ".join(monkey.log))
            raise


async def test_no_promise_is_broken_whatever_dies(tmp_path: Path) -> None:
    await withstand(tmp_path, 200, 25, lambda load, _: load)


async def test_no_signal_and_no_step_is_lost_whatever_dies(tmp_path: Path) -> None:
    await withstand(tmp_path, 60, 10, Errands)
