"""kill -9 of the worker, and of the gateway, between every two lines of a handler with steps.

Each step runs once, or is recorded as uncertain and runs again; none is lost, and no value changes. One that
may not run twice does not.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from flowfabric import Client, EngineError, Execution, Policy, State
from flowfabric._child import ChildProcess
from tests.e2e.load import PATIENCE_S, SHORT_LEASES, Load, open_load
from tests.e2e.waiting import eventually, until_state, until_terminal

pytestmark = pytest.mark.timeout(240)

PROGRAM = Path(__file__).parent / "programs" / "stepped_work.py"
KIND = "stepped_work"
STEPS = ("a", "b", "c", "d")
LINES = (
    "start",
    "has a value",
    "begins a",
    "ends a",
    "after a",
    "begins b",
    "ends c",
    "after b and c",
    "woken",
    "resumed",
    "ends d",
    "ends e",
    "end",
)
#: Leases that outlive a restart of the gateway, mostly.
LONG_LEASES = {"FF_LEASE_TTL_MS": "8000"}

RESULT = ["did a", "did b", "did c", "approved", "did d"]
UNKNOWN = "nobody knows"


class Crew:
    """Workers of one load, each with a lane of its own, started again whenever they die."""

    def __init__(self, load: Load, home: Path) -> None:
        self.load = load
        self.home = home
        self._keepers: list[asyncio.Task[None]] = []
        self.deaths = 0

    def hire(self, lane: str) -> None:
        """Keeps a worker at work."""
        env = os.environ | {
            "FF_ADDR": self.load.stack.address,
            "NAMESPACE": self.load.client.namespace,
            "LANE": lane,
            "HOME_OF_TEST": str(self.home),
        }
        child = ChildProcess(lane, [sys.executable, str(PROGRAM)], env)
        self._keepers.append(asyncio.create_task(self._keep(child)))

    async def _keep(self, child: ChildProcess) -> None:
        try:
            while True:
                await child.start()
                assert await child.wait() == -signal.SIGKILL, child.lines
                self.deaths += 1
        finally:
            child.kill()

    async def dismiss(self) -> None:
        """Ends them all."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.wait(self._keepers)

    def check_keepers(self) -> None:
        """Raises what a worker died of, if it was not the test."""
        for keeper in self._keepers:
            if keeper.done():
                keeper.result()

    def effects(self, execution_id: str) -> Counter[str]:
        """How often each step took effect; its value was the same each time."""
        lines = map(json.loads, (self.home / "effects").read_text().splitlines())
        mine = [line for line in lines if line["execution"] == execution_id]
        assert len({line["value"] for line in mine}) == 1, mine
        return Counter(line["name"] for line in mine)


@asynccontextmanager
async def open_crew(home: Path, env: Mapping[str, str] = SHORT_LEASES) -> AsyncIterator[Crew]:
    """A stack, and workers for it."""
    async with open_load(home, env=env) as load:
        crew = Crew(load, home)
        try:
            yield crew
        finally:
            await crew.dismiss()


async def approve(client: Client, execution_id: str) -> None:
    """Approves once the execution waits for that, whatever dies meanwhile."""

    async def is_approved() -> bool:
        try:
            await client.approve(execution_id, "go", idempotency_key="once")
        except EngineError:
            return False
        return True

    await eventually(is_approved, PATIENCE_S)


def check_once_or_uncertain(execution: Execution, effects: Counter[str]) -> set[str]:
    """Asserts the promise for each step; gives those that took effect more than once."""
    assert effects.pop("e", 0) <= 1
    assert set(effects) == set(STEPS)
    shown = {step.name: step for step in execution.steps if step.name in STEPS}
    repeated = {name for name, times in effects.items() if times > 1}
    assert all(shown[name].uncertain for name in repeated), (effects, shown)
    assert {(step.state, step.runs) for step in shown.values()} == {("done", 1)}
    return repeated


async def test_a_worker_killed_at_any_line_loses_no_step_and_repeats_none_unnoticed(tmp_path: Path) -> None:
    async with open_crew(tmp_path) as crew:
        client = crew.load.client
        ids: dict[str, str] = {}
        for number, line in enumerate(LINES):
            crew.hire(f"lane-{number}")
            submission = await client.submit(KIND, {"dies_at": line}, lane=f"lane-{number}")
            ids[line] = submission.execution_id

        async def finish(line: str) -> None:
            await approve(client, ids[line])
            execution = await until_terminal(client, ids[line], PATIENCE_S)
            *done, payment = await client.result(ids[line], list)
            assert (done, payment in ("did e", UNKNOWN)) == (RESULT, True)
            assert execution.failed_attempts == 0
            assert execution.reclaims >= 1
            repeated = check_once_or_uncertain(execution, crew.effects(ids[line]))
            if execution.reclaims > 1:
                return  # a slow machine has let another lease run out
            if not line.startswith(("begins", "ends")):
                assert repeated == set(), line
            if line in ("ends a", "ends d"):
                assert repeated == {line[-1]}
            assert (payment == UNKNOWN) == (line == "ends e")

        await asyncio.gather(*(finish(line) for line in LINES))
        assert crew.deaths == len(LINES)
        crew.check_keepers()


async def test_a_gateway_killed_at_any_line_loses_no_step_and_repeats_none_unnoticed(tmp_path: Path) -> None:
    async with open_crew(tmp_path, LONG_LEASES) as crew:
        client, gateway = crew.load.client, crew.load.stack.processes["gateway-0"]
        crew.hire("default")
        submission = await client.submit(KIND, {"waits_at": LINES}, policy=Policy(max_reclaims=100))
        execution_id = submission.execution_id

        async def replace_gateway() -> None:
            gateway.kill()
            assert await gateway.wait() == -signal.SIGKILL
            await gateway.start()

        for line in LINES:
            mark = tmp_path / f"{execution_id}.{line}"

            async def is_there(mark: Path = mark) -> bool:
                return mark.exists()  # noqa: ASYNC240 - nothing else runs here

            if line == "resumed":
                await until_state(client, execution_id, State.SUSPENDED)
                await replace_gateway()
                await approve(client, execution_id)
            await eventually(is_there, PATIENCE_S)
            await replace_gateway()
            mark.with_suffix(f"{mark.suffix}-done").touch()

        execution = await until_terminal(client, execution_id, PATIENCE_S)
        *done, payment = await client.result(execution_id, list)
        assert (done, payment in ("did e", UNKNOWN)) == (RESULT, True)
        assert execution.failed_attempts == 0
        check_once_or_uncertain(execution, crew.effects(execution_id))
        assert crew.deaths == 0
        crew.check_keepers()
