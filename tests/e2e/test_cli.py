"""Each command against the real engine, with a worker process started as people start one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flowfabric import Client, State
from flowfabric._stack import Stack
from flowfabric._valkey import wait_until
from flowfabric.cli.app import app

pytestmark = pytest.mark.processes

NAMESPACE = "cli-test"
WORKER_ID = "cli-worker"

TASKS = """
from flowfabric import Context, FrameKind, task

@task
async def greet(name: str, context: Context) -> str:
    await context.emit(f"hello {name}\\n", FrameKind.STDOUT)
    await context.emit({"name": name})
    await context.emit(b"\\xff\\x00")
    await context.progress(50, "greeting")
    return f"hello {name}"

@task
def echo(data: bytes) -> bytes:
    return data

@task
def boom(data: bytes) -> None:
    raise ValueError("no good")

@task
async def hold(context: Context) -> None:
    await context.cancelled.wait()

tasks = [greet, echo, boom, hold]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a module of tasks."""
    directory = tmp_path_factory.mktemp("shop")
    (directory / "shop_of_e2e.py").write_text(TASKS)
    return directory


@pytest.fixture(scope="module")
def environment(flowfabric_stack: Stack) -> dict[str, str]:
    """What a shell would have set."""
    return {"FF_ADDR": flowfabric_stack.address, "FF_NAMESPACE": NAMESPACE, "COLUMNS": "250"}


@pytest.fixture(scope="module")
def worker(shop: Path, environment: dict[str, str]) -> Iterator[None]:
    """A worker process that the engine knows; at the end it drains and ends with 0."""
    command = [sys.executable, "-m", "flowfabric", "worker", "shop_of_e2e:tasks"]
    options = ["--slots", "4", "--id", WORKER_ID, "--capability", "typing"]
    with subprocess.Popen(command + options, cwd=shop, env=os.environ | environment) as process:
        wait_until(lambda: WORKER_ID.encode() in Cli(environment).ok("workers"), 60, lambda: "no worker")
        yield
        process.terminate()
        assert process.wait() == 0


@pytest.fixture
def cli(worker: None, environment: dict[str, str]) -> Cli:
    """The command line, beside a worker."""
    return Cli(environment)


class Cli:
    """Runs commands in this process."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def run(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Any outcome."""
        return CliRunner().invoke(app, arguments, env=self.environment, input=stdin)

    def ok(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """What a command that went well printed."""
        outcome = self.run(*arguments, stdin=stdin)
        assert outcome.exit_code == 0, outcome.stderr
        return outcome.stdout_bytes

    def json(self, *arguments: str) -> Any:
        """The document of a command."""
        return json.loads(self.ok(*arguments, "--json"))

    def lines(self, *arguments: str) -> list[Any]:
        """The documents of a command that prints a line each."""
        return [json.loads(line) for line in self.ok(*arguments, "--json").splitlines()]

    def refused(self, *arguments: str) -> str:
        """The one line of a command that went wrong."""
        outcome = self.run(*arguments)
        assert outcome.exit_code == 1
        assert outcome.stderr.count("\n") == 1
        return outcome.stderr

    def submit(self, *arguments: str) -> str:
        """The id of a submitted execution."""
        return self.ok("submit", *arguments).decode().strip()

    def wait_until_held(self, execution_id: str) -> None:
        """Returns when a worker has its lease."""

        async def watch() -> None:
            async with (
                Client(self.environment["FF_ADDR"], namespace=NAMESPACE) as client,
                aclosing(client.watch(execution_id)) as changes,
            ):
                async for execution in changes:
                    if execution.state is State.ACTIVE:
                        return

        asyncio.run(watch())


def test_submit_waits_for_the_result_and_prints_its_bytes_alone(cli: Cli) -> None:
    outcome = cli.run("submit", "greet", "--input", '"Ada"', "--wait")

    assert outcome.exit_code == 0
    assert outcome.stdout == '"hello Ada"'
    assert re.fullmatch(r"[0-9]+-[0-9a-f-]{36}\n", outcome.stderr)


def test_submit_and_wait_as_one_document(cli: Cli) -> None:
    outcome = cli.run("submit", "greet", "--input", '"Ada"', "--tag", "a.b=c", "--wait", "--json")

    found = json.loads(outcome.stdout)
    assert found["state"] == "completed"
    assert found["tags"] == {"a.b": "c"}
    assert found["result"] == '"hello Ada"'


def test_an_idempotency_key_returns_the_first_execution(cli: Cli) -> None:
    first = cli.json("submit", "echo", "--raw", "x", "--idempotency-key", "once")
    again = cli.json("submit", "echo", "--raw", "x", "--idempotency-key", "once")

    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert first["execution_id"] == again["execution_id"]
    assert cli.refused("submit", "echo", "--raw", "y", "--idempotency-key", "once").startswith(
        "IDEMPOTENCY_CONFLICT: "
    )


def test_options_of_submit_reach_the_engine(cli: Cli) -> None:
    execution_id = cli.submit(
        "echo", "--lane", "slow", "--priority", "7", "--require", "gpu", "--delay", "1h", "--deadline", "2h",
        "--max-attempts", "3", "--attempt-timeout", "5m",
    )  # fmt: skip

    found = cli.json("get", execution_id)
    assert found["state"] == "delayed"
    assert (found["lane"], found["priority"], found["requires"]) == ("slow", 7, ["gpu"])
    assert (found["policy"]["max_attempts"], found["policy"]["attempt_timeout"]) == (3, 300)
    assert found["deadline"] == 7200
    assert b"until 20" in cli.ok("list", "--lane", "slow", "--state", "delayed")


def test_bytes_go_in_by_stdin_and_out_by_stdout_and_file(cli: Cli, tmp_path: Path) -> None:
    data = bytes(range(256))
    execution_id = cli.ok("submit", "echo", "--input-file", "-", stdin=data).decode().strip()

    assert cli.ok("result", execution_id) == data
    assert cli.ok("result", execution_id, "--output", str(tmp_path / "out")) == b""
    assert (tmp_path / "out").read_bytes() == data
    assert cli.json("result", execution_id)["result_base64"].startswith("AAECAw")
    assert cli.refused("result", execution_id, "--output", str(tmp_path)).startswith("NOT_WRITTEN: ")


def test_get_for_people_and_programs(cli: Cli) -> None:
    execution_id = cli.submit("greet", "--input", '"Ada"', "--tag", "a.b=c")
    cli.ok("result", execution_id)

    text = cli.ok("get", execution_id, "--payload").decode()
    assert re.search(r"state +completed", text)
    assert re.search(r"progress +50% greeting", text)
    assert re.search(r"output +3 frames", text)
    assert text.endswith('"Ada"')
    assert cli.json("get", execution_id, "--payload")["payload"] == '"Ada"'
    assert "payload" not in cli.json("get", execution_id)


def test_list_filters_and_says_when_there_is_more(cli: Cli) -> None:
    ids = [cli.submit("echo", "--lane", "nowhere", "--tag", "list.test=1") for _ in range(3)]
    other = cli.submit("greet", "--lane", "nowhere", "--tag", "list.test=2")

    listed = [each["execution_id"] for each in cli.lines("list", "--tag", "list.test=1")]
    assert listed == ids[::-1]
    assert [each["execution_id"] for each in cli.lines("list", "--lane", "nowhere", "--kind", "greet")] == [
        other
    ]
    assert len(cli.lines("list", "--lane", "nowhere", "--all")) == 4
    cut = cli.run("list", "--lane", "nowhere", "--state", "waiting", "--limit", "2")
    assert cut.stdout.count("\n") == 3
    assert "waiting_for_capable_worker" in cut.stdout
    assert cut.stderr == "there are more than 2; --limit or --all shows them\n"


def test_tail_prints_text_as_it_is_and_notes_what_is_none(cli: Cli) -> None:
    execution_id = cli.submit("greet", "--input", '"Ada"')

    assert cli.ok("tail", execution_id) == b'hello Ada\n{"name":"Ada"}\n[2 bytes: ff00]\n'
    frames = cli.lines("tail", execution_id, "--attempt", "1")
    assert [(each["number"], each["kind"]) for each in frames] == [(1, "stdout"), (2, "event"), (3, "event")]
    assert cli.lines("tail", execution_id, "--after", frames[1]["cursor"]) == frames[2:]
    assert cli.lines("tail", execution_id, "--after", frames[2]["cursor"]) == []


def test_watch_ends_with_the_execution(cli: Cli) -> None:
    execution_id = cli.submit("greet", "--input", '"Ada"')

    assert cli.lines("watch", execution_id)[-1]["state"] == "completed"
    assert cli.ok("watch", execution_id) == b"completed  attempt 1\n"


def test_a_failed_execution_says_why_and_can_be_replayed(cli: Cli) -> None:
    outcome = cli.run("submit", "boom", "--max-attempts", "1", "--wait")
    execution_id, complaint = outcome.stderr.splitlines()

    assert complaint == "FAILED: ValueError: no good"
    assert outcome.exit_code == 1
    assert b"ValueError: no good" in cli.ok("list", "--state", "failed")
    assert cli.refused("result", execution_id) == "FAILED: ValueError: no good\n"
    assert cli.refused("priority", execution_id, "1").startswith("EXECUTION_TERMINAL: ")
    assert cli.json("replay", execution_id) == {"execution_id": execution_id, "state": "waiting"}
    assert cli.refused("result", execution_id) == "FAILED: ValueError: no good\n"
    assert cli.ok("replay", execution_id) == f"{execution_id} waiting\n".encode()


def test_cancel_takes_many_and_tells_of_each(cli: Cli) -> None:
    ids = [cli.submit("echo", "--lane", "nowhere") for _ in range(2)]

    outcome = cli.run("cancel", *ids, "1-wrong", "--reason", "not needed")
    assert outcome.stdout == f"{ids[0]} cancelled\n{ids[1]} cancelled\n"
    assert re.match(r"[A-Z_]+: 1-wrong: ", outcome.stderr)
    assert outcome.exit_code == 1
    assert cli.lines("cancel", ids[0]) == [{"execution_id": ids[0], "state": "cancelled"}]
    assert cli.refused("result", ids[0]) == "CANCELLED: not needed\n"


def test_priority_can_be_changed_while_it_waits(cli: Cli) -> None:
    execution_id = cli.submit("echo", "--lane", "nowhere", "--priority", "5")

    assert cli.json("priority", execution_id, "9") == {
        "execution_id": execution_id,
        "old_priority": 5,
        "priority": 9,
    }
    assert cli.ok("priority", execution_id, "3") == f"{execution_id} had priority 9 and has 3\n".encode()


def test_a_lease_is_revoked_and_taken_again_and_the_work_cancelled(cli: Cli) -> None:
    execution_id = cli.submit("hold")
    cli.wait_until_held(execution_id)

    assert cli.refused("result", execution_id, "--timeout", "1ms").startswith("TIMEOUT: ")
    assert cli.json("revoke", execution_id, "--reason", "to see")["revoked"] is True
    cli.wait_until_held(execution_id)
    assert b"is revoked" in cli.ok("revoke", execution_id)
    assert cli.json("get", execution_id)["reclaims"] == 2
    cli.ok("cancel", execution_id, "--grace", "0")
    assert b"cancelled; there was no lease to revoke" in cli.ok("revoke", execution_id)


def test_tags_are_set_removed_and_printed(cli: Cli) -> None:
    execution_id = cli.submit("echo", "--lane", "nowhere", "--tag", "a.b=c")

    assert cli.ok("tags", execution_id) == b"a.b=c\n"
    assert cli.ok("tags", execution_id, "x.y=z", "a.b=") == b"x.y=z\n"
    assert cli.json("tags", execution_id) == {"x.y": "z"}


def test_workers_and_lanes_are_listed(cli: Cli) -> None:
    cli.ok("submit", "echo", "--wait")  # so the worker is there
    cli.submit("echo", "--lane", "lonely", "--require", "gpu")

    (worker,) = cli.lines("workers")
    assert worker["worker_id"] == WORKER_ID
    assert worker["pools"][0] | {"held": 0} == {
        "lanes": ["default"],
        "capabilities": ["typing"],
        "slots": 4,
        "held": 0,
    }
    assert WORKER_ID.encode() in cli.ok("workers")
    lanes = {each["lane"]: each for each in cli.lines("lanes")}
    assert lanes["default"]["slots"] == 4
    assert lanes["lonely"]["queues"] == [{"requires": ["gpu"], "waiting": 1, "has_capable_worker": False}]
    assert re.search(r"lonely +1 +0 +0/0 +1 wait for a worker with gpu", cli.ok("lanes").decode())


def test_what_does_not_exist_is_told_in_one_line(cli: Cli) -> None:
    gone = "1-01a20532-1374-7048-ab97-424b20b408b8"

    for command in (["get"], ["tail"], ["watch"], ["result"], ["replay"], ["tags"], ["revoke"]):
        line = cli.refused(*command, gone)
        assert line.startswith("EXECUTION_NOT_FOUND: ")
        assert line.endswith("`flowfabric list` shows what there is\n")


def test_options_after_the_command_go_over_those_before_it(cli: Cli, flowfabric_stack: Stack) -> None:
    cli.ok("submit", "echo", "--wait")

    before = cli.ok("--address", "127.0.0.1:1", "workers", "--address", flowfabric_stack.address)
    assert WORKER_ID.encode() in before
    assert cli.lines("--namespace", "empty", "workers") == []
    assert cli.lines("workers", "--namespace", "empty") == []


# The whole engine, as `flowfabric dev` runs it


class Dev:
    """A running `flowfabric dev` and the lines it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen: list[str] = []

    def read_until(self, pattern: str) -> re.Match[str]:
        """The first line from here on that has the pattern."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no line has {pattern}:\n" + "".join(self.seen))

    def interrupt(self) -> int:
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        self.read_until("stopped; `flowfabric dev` goes on")
        return self.process.wait()


@contextmanager
def run_dev(directory: Path, *options: str) -> Iterator[Dev]:
    command = [sys.executable, "-m", "flowfabric", "dev", "--port", "0", "--http-port", "0", *options]
    env = os.environ | {"FF_API_TOKEN": "secret"}
    with subprocess.Popen(command, cwd=directory, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Dev(process)
        finally:
            process.kill()


def test_dev_runs_everything_brings_back_what_is_killed_and_keeps_the_data(shop: Path) -> None:
    with run_dev(shop, "--workers", "shop_of_e2e:tasks", "--replicas", "2") as dev:
        cli = Cli({"FF_ADDR": dev.read_until(r"gRPC +([0-9.:]+), [0-9.:]+")[1], "FF_API_TOKEN": ""})
        dev.read_until("Ctrl-C stops everything")
        assert cli.refused("workers").endswith("give it with --token or FF_API_TOKEN\n")
        cli.environment["FF_API_TOKEN"] = "secret"
        kept = cli.run("submit", "greet", "--input", '"Ada"', "--wait").stderr.strip()

        (worker,) = cli.lines("workers")
        os.kill(int(worker["identity"].rpartition(":")[2]), signal.SIGKILL)
        dev.read_until("worker-0 was killed by SIGKILL; starting it again")
        assert cli.ok("submit", "greet", "--input", '"Bob"', "--wait") == b'"hello Bob"'

        assert dev.interrupt() == 0

    with run_dev(shop) as dev:
        cli.environment["FF_ADDR"] = dev.read_until(r"gRPC +([0-9.:]+)")[1]
        assert cli.ok("result", kept) == b'"hello Ada"'
        assert dev.interrupt() == 0
    assert (shop / ".flowfabric" / "valkey").is_dir()


def test_dev_goes_on_without_a_worker_that_cannot_start(shop: Path, tmp_path: Path) -> None:
    with run_dev(shop, "--workers", "no_such_module:app", "--data", str(tmp_path / "data")) as dev:
        dev.read_until("there is no module no_such_module")
        dev.read_until("worker-0 ended with status 2")
        assert dev.interrupt() == 0


def test_dev_tells_programs_in_json_lines_all_the_way(shop: Path, tmp_path: Path) -> None:
    with run_dev(shop, "--json", "--workers", "shop_of_e2e:tasks", "--data", str(tmp_path / "data")) as dev:
        dev.read_until('"process":"dev","event":"ready"')
        ready = json.loads(dev.seen[-1])
        cli = Cli({"FF_ADDR": ready["grpc"][0], "FF_API_TOKEN": "secret"})
        execution_id = cli.submit("boom", "--max-attempts", "1")
        dev.read_until("attempt_failed")
        failed = json.loads(dev.seen[-1])
        assert dev.interrupt() == 0

    assert ready["data"] == str(tmp_path / "data")
    assert (failed["process"], failed["level"]) == ("worker-0", "warning")
    assert (failed["execution"], failed["kind"]) == (execution_id, "boom")
    assert failed["exception"].endswith("ValueError: no good")
    assert all(json.loads(line)["process"] for line in dev.seen)
