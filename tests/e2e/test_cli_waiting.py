"""The shell and work that waits: each command against the real engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from typer.testing import CliRunner, Result

from flowfabric import Client, Context, FrameClass, State, Waitpoint, task
from flowfabric._stack import Stack
from flowfabric.cli.app import app
from tests.e2e.conftest import StartWorker
from tests.e2e.waiting import until_state

LONG = timedelta(hours=1)

Shell = Callable[..., Awaitable[Result]]


@pytest.fixture
def shell(flowfabric_stack: Stack, namespace: str) -> Shell:
    """Runs a command in the test's namespace, beside the worker in this process."""
    environment = {"FF_ADDR": flowfabric_stack.address, "FF_NAMESPACE": namespace, "COLUMNS": "250"}

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)

    return run


@pytest.fixture
async def ordered(client: Client, start_worker: StartWorker) -> tuple[str, Waitpoint]:
    """An execution that waits at "payment", and its waitpoint."""
    told: asyncio.Queue[Waitpoint] = asyncio.Queue()

    @task
    async def order(context: Context) -> str:
        await context.step("pick", str.upper, "mug")
        waitpoint = await context.waitpoint("payment", recipient="ann")
        if context.resumption is None:
            await told.put(waitpoint)
        signal = (await context.wait_for(waitpoint, timeout=LONG)).signal
        return f"{signal.name} {signal.payload.decode()} {signal.correlation_id}".strip()

    await start_worker(order)
    execution_id = (await client.submit(order)).execution_id
    await until_state(client, execution_id, State.SUSPENDED)
    return execution_id, await told.get()


async def test_a_signal_goes_by_id_and_token(shell: Shell, ordered: tuple[str, Waitpoint]) -> None:
    execution_id, waitpoint = ordered
    token = ("--waitpoint-token", waitpoint.token)

    wrong = await shell("signal", waitpoint.waitpoint_id, "paid", "--waitpoint-token", "w1.k1.none")
    sent = await shell(
        "signal", waitpoint.waitpoint_id, "paid", *token, "--raw", "5", "--correlation-id", "c7"
    )
    again = await shell(
        "signal", waitpoint.waitpoint_id, "paid", *token, "--raw", "5", "--correlation-id", "c7"
    )

    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("TOKEN_INVALID: ")
    assert "`flowfabric approve` needs none" in wrong.stderr
    assert (sent.exit_code, sent.stdout) == (0, "signal 1 resumed: the work goes on\n")
    assert again.stdout == "signal 1 resumed: the work goes on (an earlier delivery)\n"
    assert (await shell("result", execution_id)).stdout == '"paid 5 c7"'


@pytest.mark.parametrize(("command", "said"), [("approve", "approved"), ("reject", "rejected")])
async def test_a_decision_goes_by_name(
    shell: Shell, ordered: tuple[str, Waitpoint], command: str, said: str
) -> None:
    execution_id, _ = ordered

    unknown = await shell(command, execution_id, "nothing")
    decided = await shell(command, execution_id, "payment", "--input", '{"by": 1}', "--json")

    assert unknown.exit_code == 1
    assert unknown.stderr.startswith("WAITPOINT_NOT_FOUND: ")
    assert json.loads(decided.stdout) == {"number": 1, "effect": "resumed", "duplicate": False}
    assert json.loads((await shell("result", execution_id)).stdout) == f'{said} {{"by": 1}}'


async def test_what_waits_is_shown(shell: Shell, ordered: tuple[str, Waitpoint]) -> None:
    execution_id, waitpoint = ordered

    table = (await shell("waitpoints", execution_id)).stdout.splitlines()
    [line] = (await shell("waitpoints", execution_id, "--json")).stdout.splitlines()
    shown = (await shell("get", execution_id)).stdout
    listed = (await shell("list", "--state", "suspended")).stdout

    assert table[0].split() == ["NAME", "STATE", "USE", "RECIPIENT", "SIGNALS", "EXPIRES", "WAITPOINT"]
    assert table[1].split()[:5] == ["payment", "bound", "single", "ann", "0"]
    assert table[1].endswith(waitpoint.waitpoint_id)
    found = json.loads(line)
    assert (found["name"], found["waitpoint_id"]) == ("payment", waitpoint.waitpoint_id)
    assert "token" not in line
    assert "payment: any signal at payment, until 20" in shown
    for step in ("1 pick done", "2 payment done waitpoint", "3 payment waiting wait"):
        assert step in shown
    assert execution_id in listed


async def test_an_operator_resumes_once(shell: Shell, ordered: tuple[str, Waitpoint]) -> None:
    execution_id, _ = ordered

    resumed = await shell("resume", execution_id, "--reason", "seen it")
    again = await shell("resume", execution_id)

    assert resumed.stdout == f"{execution_id} waiting\n"
    assert again.exit_code == 1
    assert again.stderr.startswith(("EXECUTION_NOT_SUSPENDED: ", "EXECUTION_TERMINAL: "))


async def test_a_replay_keeps_what_it_is_told_to(
    client: Client, shell: Shell, ordered: tuple[str, Waitpoint]
) -> None:
    execution_id, _ = ordered
    await shell("approve", execution_id, "payment")
    await client.result(execution_id)

    unknown = await shell("replay", execution_id, "--through", "nothing")
    kept = await shell("replay", execution_id, "--keep")

    assert unknown.exit_code == 1
    assert unknown.stderr.startswith("STEP_NOT_FOUND: ")
    assert kept.stdout == f"{execution_id} waiting\n"
    assert await client.result(execution_id, str) == "approved"


async def test_events_are_printed_and_gone_on_with(
    client: Client, shell: Shell, ordered: tuple[str, Waitpoint]
) -> None:
    execution_id, _ = ordered

    first = await shell("events", "--once", "--json")
    cursor = first.stderr.removeprefix("to go on: --after ").strip()
    await shell("approve", execution_id, "payment")
    await client.result(execution_id)
    rest = await shell("events", "--once", "--after", cursor, "--family", "completion")

    lines = [json.loads(line) for line in first.stdout.splitlines()]
    assert [line["name"] for line in lines][:2] == ["created", "claimed"]
    assert lines[-1]["name"] == "suspended"
    assert {line["execution_id"] for line in lines} == {execution_id}
    assert all(line["cursor"] for line in lines[-1:])
    [line] = rest.stdout.splitlines()
    assert execution_id in line
    assert "completed" in line


async def test_keys_are_listed_and_rotated(shell: Shell) -> None:
    rotated = await shell("keys", "rotate", "--grace", "1h", "--json")
    new = json.loads(rotated.stdout)

    table = (await shell("keys", "list")).stdout.splitlines()
    again = await shell("keys", "rotate", new["kid"])

    assert new["changed"] is True
    assert table[0].split() == ["KEY", "STATE", "CREATED", "EXPIRES"]
    assert table[1].split()[:2] == [new["kid"], "current"]
    assert any(line.startswith(new["previous_kid"]) and "good until it expires" in line for line in table)
    assert again.stdout == f"{new['kid']} is the current key already\n"


async def test_output_is_read_by_class(client: Client, shell: Shell, start_worker: StartWorker) -> None:
    @task
    async def report(context: Context) -> None:
        await context.emit("kept", cls=FrameClass.DURABLE)
        await context.emit("gone soon", cls=FrameClass.BEST_EFFORT)
        await context.summary({"done": 1})

    await start_worker(report)
    silent = (await client.submit("nobody")).execution_id
    execution_id = (await client.submit(report)).execution_id
    await client.result(execution_id)

    assert (await shell("tail", execution_id, "--class", "durable")).stdout == "kept\n"
    assert (await shell("tail", execution_id, "--class", "best_effort")).stdout == "gone soon\n"
    assert json.loads((await shell("summary", execution_id)).stdout) == {"done": 1}
    found = json.loads((await shell("summary", execution_id, "--json")).stdout)
    assert (found["document"], found["version"]) == ({"done": 1}, 1)
    assert (await shell("summary", silent)).stderr.startswith("NO_SUMMARY: ")
