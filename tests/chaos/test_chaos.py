"""Rounds of load under a random, seeded schedule of harm; after each round every promise is checked.

FF_TEST_CHAOS_SECONDS says how long (default 30), FF_TEST_CHAOS_SEED repeats a schedule. The schedule is
the same for a seed; what it meets is not, so a failure may need some tries to be seen again.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.chaos.monkey import WORKERS, Monkey
from tests.e2e.load import open_load

SECONDS = float(os.environ.get("FF_TEST_CHAOS_SECONDS", "30"))
SEED = int(os.environ.get("FF_TEST_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
STRIKES = 4


@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.processes
async def test_no_promise_is_broken_whatever_dies(tmp_path: Path) -> None:
    end = time.monotonic() + SECONDS
    async with open_load(
        tmp_path, gateways=2, schedulers=2, scanners=2, valkey_options=("--appendfsync", "always")
    ) as load:
        monkey = Monkey(load, SEED)
        try:
            await load.start_workers(WORKERS)
            while time.monotonic() < end:
                monkey.log.append("a new round")
                await load.submit(200)
                for _ in range(STRIKES):
                    await load.submit(25)
                    await monkey.strike()
                await load.check()
        except BaseException as error:
            error.add_note(f"FF_TEST_CHAOS_SEED={SEED}: " + ", ".join(monkey.log))
            raise
