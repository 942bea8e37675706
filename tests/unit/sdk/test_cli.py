"""The command line without an engine: what people type, what they read, and how they are told no."""

from __future__ import annotations

import io
import json
import logging
import socket
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from flowfabric import (
    Execution,
    Failure,
    FrameKind,
    LaneInfo,
    Lease,
    LeaseRecord,
    OutputFrame,
    Policy,
    QueueInfo,
    State,
    Step,
    Suspension,
    Task,
    Wait,
    Waitpoint,
    Worker,
    count,
    operator,
)
from flowfabric._worker import sdk_version
from flowfabric.cli.app import app
from flowfabric.cli.document import document, execution_document
from flowfabric.cli.log_line import LogLine
from flowfabric.cli.log_view import JsonView, LogView, Whereabouts
from flowfabric.cli.operation import stuck
from flowfabric.cli.table import execution_lines, note_on
from flowfabric.cli.values import parse_duration, parse_tags, read_input

COMMANDS = (
    "approve", "cancel", "dev", "events", "get", "lanes", "list", "priority", "reject", "replay", "result",
    "resume", "revoke", "signal", "submit", "summary", "tags", "tail", "version", "waitpoints", "watch",
    "worker", "workers",
)  # fmt: skip

# What is None is put back after each command, which may set it.
ENVIRONMENT = {
    "COLUMNS": "250",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "FF_ADDR": None,
    "FF_API_TOKEN": None,
    "FF_NAMESPACE": None,
}

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env=ENVIRONMENT)


@pytest.fixture
def free_address() -> Iterator[str]:
    """An address that refuses connections and that nobody else is given meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30", 30), ("30s", 30), ("1.5 m", 90), ("2h", 7200), ("1d", 86_400), (".5s", 0.5)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1w", "1e9d", "nan", "9" * 400])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no duration"):
        parse_duration(text)


def test_a_tag_may_have_an_equals_sign_in_its_value_and_no_value_at_all() -> None:
    assert parse_tags(["a.b=c=d", "e.f="]) == {"a.b": "c=d", "e.f": ""}


@pytest.mark.parametrize("pair", ["a.b", "=c", ""])
def test_a_tag_needs_a_key_and_an_equals_sign(pair: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no tag"):
        parse_tags([pair])


def test_the_input_is_taken_as_it_was_typed(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"\xff\x00")

    assert read_input('{"a": "é"}', None, None) == '{"a": "é"}'.encode()
    assert read_input(None, tmp_path / "input", None) == b"\xff\x00"
    assert read_input(None, None, "Ada") == b"Ada"
    assert read_input(None, None, "\udcff") == b"\xff"
    assert read_input(None, None, None) == b""


def test_a_document_says_how_its_bytes_are_written() -> None:
    frame = OutputFrame("1-0", 1, 2, FrameKind.STDOUT, b"text", NOON)

    assert document(frame) == {
        "cursor": "1-0",
        "attempt": 1,
        "number": 2,
        "kind": "stdout",
        "data": "text",
        "time": "2030-01-01T12:00:00+00:00",
        "frame_class": "durable",
        "version": 0,
    }
    assert document(OutputFrame("1-0", 1, 2, FrameKind.EVENT, b"\xff", None))["data_base64"] == "/w=="


def test_the_document_of_an_execution_has_its_payload_only_when_asked() -> None:
    execution = Execution(
        execution_id="1-x",
        state=State.ACTIVE,
        payload=b"in",
        policy=Policy(attempt_timeout=timedelta(minutes=1)),
    )

    assert "payload" not in execution_document(execution)
    found = execution_document(execution, with_payload=True)
    assert found["payload"] == "in"
    assert found["state"] == "active"
    assert found["policy"]["attempt_timeout"] == 60
    assert json.loads(json.dumps(found)) == found


def test_an_execution_is_told_with_what_matters_in_its_state() -> None:
    lease = Lease("", 3, NOON, NOON, False)
    record = LeaseRecord(2, 1, "worker-1", NOON, NOON, "lease_expired", None)
    execution = Execution(
        execution_id="1-x", state=State.ACTIVE, attempt=2, reclaims=1, lease=lease, history=(record,)
    )

    lines = dict(execution_lines(execution))
    assert str(lines["lease"]).startswith("a worker that has not confirmed it yet")
    assert str(lines["earlier lease"]).startswith("attempt 1, worker-1, lease_expired")
    assert lines["leases lost"] == "1"
    assert note_on(Execution(execution_id="1-x", state=State.DELAYED, due_time=NOON)).startswith("until 20")
    assert note_on(Execution(execution_id="1-x", state=State.WAITING)) == ""


def test_a_suspended_execution_says_what_it_waits_for_and_what_it_did() -> None:
    wait = Wait("release", count(2, by="sources", names=["approved"]), False, (3,), NOON, "fail", False)
    overdue = Wait("", operator(), False, (), None, "escalate", True)
    suspension = Suspension(
        1,
        "waiting_for_approval",
        "open",
        "",
        NOON,
        NOON,
        (wait, overdue),
        (Waitpoint(waitpoint_id="w", name="r"),),
    )
    steps = (
        Step("1", "step", "plan", "done", 1, False, None, NOON, NOON, None, 5),
        Step("2", "step", "push", "failed", 3, True, Failure("Refused", "no", "x"), NOON, NOON, None, 0),
        Step("3", "wait", "release", "waiting", 0, False, None, NOON, None, NOON, 0),
    )
    execution = Execution(
        execution_id="1-x", state=State.SUSPENDED, suspension=suspension, steps=steps, steps_total=3
    )

    note = note_on(execution)
    assert note.startswith("release: 2 sources of approved, 1 so far, until 20")
    assert note.endswith("or it is to fail; an operator, overdue, an operator has to look")
    lines = [str(text) for name, text in execution_lines(execution) if name == "step"]
    assert lines[:2] == [
        "1 plan done",
        "2 push failed, 3 runs, may have run once more: Refused: no",
    ]
    assert lines[2].startswith("3 release waiting wait until 20")
    assert execution_document(execution)["suspension"]["waits"][1]["condition"] == "an operator"


def test_a_lane_says_what_waits_for_a_worker_that_is_not_there() -> None:
    queues = (QueueInfo(("gpu",), 2, False), QueueInfo((), 1, False), QueueInfo(("cpu",), 5, True))

    note = stuck(LaneInfo("default", queues, 8, 0, 0, 0))

    assert note == "2 wait for a worker with gpu; 1 wait for a worker"


def test_the_log_view_prints_events_logged_lines_and_anything_else() -> None:
    out = io.StringIO()
    view = LogView(Console(file=out, highlight=False, width=200))

    view.show(
        "gateway-0", '{"event": "ready", "level": "info", "timestamp": "2030-01-01T12:00:00Z", "grpc": "a:1"}'
    )
    view.show(
        "scanners-0", '{"event": "scan_failed", "level": "error", "exception": "Traceback\\n  [bold]line"}'
    )
    view.show("worker-0", "[red]printed by a task")
    view.say("stopping")

    lines = [
        line.split(maxsplit=1)[1] if line[:2].isdecimal() else line for line in out.getvalue().splitlines()
    ]
    assert lines == [
        "gateway-0   ready  grpc=a:1",
        "scanners-0  scan_failed",
        "Traceback",
        "  [bold]line",
        "worker-0    [red]printed by a task",
        "dev         stopping",
    ]


def test_the_view_for_programs_prints_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonView()

    view.show("gateway-0", '{"event": "ready", "level": "info", "grpc": "a:1"}')
    view.show("worker-0", "printed by a task")
    view.say("stopping")
    view.welcome(Whereabouts(["a:1", "b:1"], ["a:2", "b:2"], "a:3", "data"))

    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert shown[:2] == [
        {"process": "gateway-0", "event": "ready", "level": "info", "grpc": "a:1"},
        {"process": "worker-0", "event": "printed by a task"},
    ]
    assert [(line["process"], line["event"]) for line in shown[2:]] == [("dev", "stopping"), ("dev", "ready")]
    assert (shown[3]["grpc"], shown[3]["http"]) == (["a:1", "b:1"], ["a:2", "b:2"])
    assert (shown[3]["valkey"], shown[3]["data"]) == ("a:3", "data")


@pytest.mark.parametrize(
    ("message", "arguments", "event", "said"),
    [
        ("lease_lost lease=%s attempt=%s", ("1-x", 2), "lease_lost", {"lease": "1-x", "attempt": "2"}),
        ("done", (), "done", {}),
        ("packed %s of %s", (1, 2), "packed 1 of 2", {}),
        ("level=%s", ("high",), "level=high", {}),
        ("odd level=%s", ("high",), "odd", {}),
    ],
)
def test_a_record_of_the_log_is_a_line_of_json(
    message: str, arguments: tuple[object, ...], event: str, said: dict[str, str]
) -> None:
    record = logging.LogRecord("shop", logging.WARNING, "", 0, message, arguments, None)
    record.created = NOON.timestamp()

    line = json.loads(LogLine().format(record))

    assert line == said | {
        "event": event, "level": "warning", "logger": "shop", "timestamp": "2030-01-01T12:00:00+00:00",
    }  # fmt: skip


def test_a_record_with_an_exception_stays_one_line() -> None:
    try:
        raise ValueError("no good")
    except ValueError:
        record = logging.LogRecord("shop", logging.ERROR, "", 0, "broken", (), sys.exc_info())

    text = LogLine().format(record)

    assert "\n" not in text
    assert json.loads(text)["exception"].endswith("ValueError: no good")


def test_every_command_explains_itself() -> None:
    overview = invoke("--help")
    assert overview.exit_code == 0
    for command in COMMANDS:
        assert f" {command} " in overview.stdout
        explained = invoke(command, "-h")
        assert explained.exit_code == 0
        assert "Usage:" in explained.stdout
        assert "--json" in explained.stdout


@pytest.mark.parametrize("command", ["list", "rotate"])
def test_every_command_for_keys_explains_itself(command: str) -> None:
    assert f" {command} " in invoke("keys", "-h").stdout
    assert "--json" in invoke("keys", command, "-h").stdout


def test_the_version_is_that_of_the_sdk() -> None:
    assert invoke("version").stdout == f"{sdk_version()}\n"
    assert json.loads(invoke("version", "--json").stdout) == {"version": sdk_version()}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nope"], "No such command"),
        (["get"], "Missing argument"),
        (["submit", "greet", "--input", "Ada"], "this is not JSON"),
        (["submit", "greet", "--input", "1", "--raw", "1"], "give one of"),
        (["submit", "greet", "--input-file", "no/such/file"], "No such file"),
        (["submit", "greet", "--delay", "soon"], "is no duration"),
        (["submit", "greet", "--tag", "x"], "is no tag"),
        (["submit", "greet", "--priority", "9001"], "--priority"),
        (["list", "--state", "odd"], "odd"),
        (["events", "--family", "odd"], "odd"),
        (["signal", "w", "go"], "--waitpoint-token"),
        (["approve", "1-x"], "Missing argument"),
        (["approve", "1-x", "release", "--input", "Ada"], "this is not JSON"),
        (["keys", "rotate", "--grace", "soon"], "is no duration"),
        (["--token", "two words", "workers"], "visible ASCII"),
        (["worker", "shop"], "give MODULE:APP"),
        (["worker", "no_such_module:app"], "there is no module no_such_module"),
        (["worker", "flowfabric.no_such:app"], "there is no module flowfabric.no_such"),
        (["worker", "flowfabric.cli:app_"], "has no app_; it has no worker and no task"),
        (["worker", "os:path"], "it must be a Worker, a task, or a list of tasks"),
    ],
)
def test_a_usage_error_says_what_to_type_and_ends_with_2(
    arguments: list[str], complaint: str, free_address: str
) -> None:
    outcome = invoke("--address", free_address, *arguments)

    assert complaint in " ".join(outcome.stderr.split())
    assert outcome.exit_code == 2


def test_when_nobody_listens_the_one_line_says_how_to_start_an_engine(free_address: str) -> None:
    for arguments in (["workers"], ["get", "1-x"], ["tail", "1-x"], ["submit", "greet", "--wait"]):
        outcome = invoke(*arguments, "--address", free_address)

        assert outcome.stderr == (
            f"UNAVAILABLE: no gateway answers at {free_address}; "
            "start an engine with `flowfabric dev`, or name another with --address or FF_ADDR\n"
        )
        assert outcome.stdout == ""
        assert outcome.exit_code == 1


WORKERS = """
from flowfabric import Task, Worker, task

@task
def pack(order: str) -> None: ...

app = Worker([pack], address="127.0.0.1:1", namespace="mine")
anywhere = Worker([pack], address="127.0.0.1:1")
tasks = [pack]
twice = [pack, pack]
mixed = [pack, 1]
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with workers in the current directory."""
    (tmp_path / "shop_of_test.py").write_text(WORKERS)
    (tmp_path / "broken_shop_of_test.py").write_text("import no_such_dependency\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "shop_of_test", raising=False)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["shop_of_test:nope"], "has no nope; it has anywhere, app, pack"),
        (["shop_of_test:app", "--slots", "2"], "is a Worker, which has its own slots"),
        (["shop_of_test:app", "--short-wait", "0"], "is a Worker, which has its own short_wait"),
        (["shop_of_test:tasks", "--short-wait", "11 years"], "is no duration"),
        (["shop_of_test:app", "--namespace", "other"], "is a Worker, which has its own namespace"),
        (["shop_of_test:anywhere", "--namespace", "a", "--slots", "2"], "which has its own slots;"),
        (["shop_of_test:twice"], "one task a kind"),
        (["shop_of_test:mixed"], "it must be a Worker, a task, or a list of tasks"),
    ],
)
def test_a_worker_that_cannot_be_made_says_what_is_there(arguments: list[str], complaint: str) -> None:
    outcome = invoke("worker", *arguments)

    assert complaint in " ".join(outcome.stderr.split())
    assert outcome.exit_code == 2


@pytest.mark.usefixtures("shop")
def test_a_worker_has_the_options_that_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Seen(Worker):
        def __init__(self, tasks: Sequence[Task[..., Any]], **options: Any) -> None:
            made.append(options)
            raise ValueError("seen enough")

    monkeypatch.setattr("flowfabric.cli.worker.Worker", Seen)
    for options in (["--short-wait", "0"], ["--short-wait", "30s", "--slots", "2", "--lane", "a"], []):
        invoke("worker", "shop_of_test:tasks", *options)

    assert made == [{"short_wait": 0.0}, {"short_wait": 30.0, "slots": 2, "lanes": ["a"]}, {}]


@pytest.mark.usefixtures("shop")
def test_a_module_that_does_not_import_shows_its_own_error() -> None:
    outcome = invoke("worker", "broken_shop_of_test:app")

    assert isinstance(outcome.exception, ModuleNotFoundError)
    assert outcome.exception.name == "no_such_dependency"


def test_dev_does_not_start_on_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option, other in (("--port", "--http-port"), ("--http-port", "--port")):
            outcome = invoke("dev", option, port, other, "0", "--data", str(tmp_path / "data"))

            assert outcome.stderr.startswith(f"ADDRESS_IN_USE: 127.0.0.1:{port} is taken")
            assert option in outcome.stderr
            assert outcome.exit_code == 1


def test_dev_does_not_start_on_data_that_is_in_use(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = invoke("dev", "--port", "0", "--http-port", "0", "--data", str(tmp_path))

    assert outcome.stderr.startswith(f"DATA_IN_USE: another `flowfabric dev` uses {tmp_path}")
    assert outcome.exit_code == 1


def test_dev_does_not_start_on_data_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    outcome = invoke("dev", "--port", "0", "--http-port", "0", "--data", str(tmp_path / "file"))

    assert outcome.stderr.startswith("DATA_UNUSABLE: ")
    assert outcome.exit_code == 1
