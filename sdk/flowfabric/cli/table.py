"""Values for people: tables, and an execution in lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flowfabric._execution import Execution, LeaseRecord, State, Step
from flowfabric._suspension import Wait

STYLES = {
    State.WAITING: "yellow",
    State.DELAYED: "yellow",
    State.ACTIVE: "cyan",
    State.SUSPENDED: "magenta",
    State.COMPLETED: "green",
    State.FAILED: "red",
    State.CANCELLED: "red",
    State.EXPIRED: "red",
}

STEP_STYLES = {"running": "cyan", "waiting": "magenta", "done": "green", "failed": "red"}

# What is no terminal has no edge: nothing is cut off in a file or a pipe.
ENDLESS = 10_000


def make_console() -> Console:
    """A console on stdout."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=ENDLESS)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table without lines, so that it can be cut by columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        # The first column is the id, which is worth nothing when it is cut.
        table.add_column(heading, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    make_console().print(table)


def state_text(state: State) -> Text:
    """A state in its colour."""
    return Text(state.value, STYLES[state])


def clock(time: datetime | None) -> str:
    """A point in time on this machine's clock, to the second."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""


def progress_of(execution: Execution) -> str:
    """What the task last said of itself."""
    if execution.progress is None:
        return ""
    return f"{execution.progress.percent:.0f}% {execution.progress.message}".rstrip()


def execution_row(execution: Execution) -> list[str | Text]:
    """An execution as a row of `list`."""
    return [
        execution.execution_id,
        state_text(execution.state),
        execution.kind,
        execution.lane,
        str(execution.priority),
        str(execution.attempt),
        clock(execution.create_time),
        note_on(execution),
    ]


EXECUTION_HEADINGS = ("EXECUTION", "STATE", "KIND", "LANE", "PRIORITY", "ATTEMPT", "CREATED", "NOTE")


def note_on(execution: Execution) -> str:
    """What is worth knowing of an execution in its state."""
    if execution.state.is_terminal:
        return execution.ending().partition(": ")[2]
    if execution.state is State.DELAYED:
        return f"until {clock(execution.due_time)}" if execution.due_time else ""
    if execution.state is State.ACTIVE:
        return progress_of(execution)
    if execution.suspension is not None and execution.state is State.SUSPENDED:
        return "; ".join(wait_line(wait) for wait in execution.suspension.waits)
    reason = execution.state_vector.blocking_reason
    return "" if reason in ("", "none") else reason


def print_execution(execution: Execution) -> None:
    """An execution in lines of name and value; what is empty is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in execution_lines(execution):
        if value:
            grid.add_row(name, value if isinstance(value, Text) else Text(value))
    make_console().print(grid)


def execution_lines(execution: Execution) -> Iterator[tuple[str, str | Text]]:
    """Names and values."""
    yield "execution", execution.execution_id
    yield "state", state_text(execution.state)
    yield "note", note_on(execution)
    yield "kind", execution.kind
    yield "lane", execution.lane
    yield "namespace", execution.namespace
    yield "priority", str(execution.priority)
    yield "requires", ", ".join(execution.requires)
    yield "tags", ", ".join(f"{key}={value}" for key, value in execution.tags.items())
    yield "created", clock(execution.create_time)
    yield "started", clock(execution.start_time)
    yield "ended", clock(execution.end_time)
    yield "due", clock(execution.due_time)
    yield "deadline", clock(execution.deadline_time)
    yield "attempt", f"{execution.attempt} ({execution.failed_attempts} failed)" if execution.attempt else ""
    yield "leases lost", str(execution.reclaims or "")
    yield "replays", str(execution.replays or "")
    if execution.lease is not None:
        holder = execution.lease.worker_id or "a worker that has not confirmed it yet"
        yield "lease", f"{holder}, until {clock(execution.lease.expire_time)}"
    yield "progress", progress_of(execution)
    for step in execution.steps:
        yield "step", step_line(step)
    if execution.cancel is not None:
        yield "cancel", f"requested {clock(execution.cancel.request_time)} {execution.cancel.reason}".rstrip()
    yield "result", f"{execution.result_bytes} bytes" if execution.state is State.COMPLETED else ""
    yield "output", f"{execution.output_frames} frames" if execution.output_frames else ""
    for record in execution.history:
        yield "earlier lease", history_line(record)


def history_line(record: LeaseRecord) -> str:
    """A lease that ended."""
    why = f": {record.failure.type}: {record.failure.message}" if record.failure else ""
    holder = record.worker_id or "nobody"
    return f"attempt {record.attempt}, {holder}, {record.ending} {clock(record.end_time)}{why}"


def wait_line(wait: Wait) -> str:
    """What a wait waits for, and how far it is."""
    parts = [f"{wait.name}: " if wait.name else "", str(wait.condition or "something newer")]
    if wait.signals:
        parts.append(f", {len(wait.signals)} so far")
    if wait.escalated:
        parts.append(", overdue, an operator has to look")
    elif wait.due_time is not None:
        parts.append(f", until {clock(wait.due_time)} or it is to {wait.on_timeout}")
    return "".join(parts)


def step_line(step: Step) -> Text:
    """A step as it stands."""
    line = Text(f"{step.key} {step.name} ")
    line.append(step.state, STEP_STYLES.get(step.state, ""))
    if step.kind != "step":
        line.append(f" {step.kind}")
    if step.runs > 1:
        line.append(f", {step.runs} runs")
    if step.uncertain:
        line.append(", may have run once more")
    if step.failure is not None:
        line.append(f": {step.failure.type}: {step.failure.message}")
    elif step.state == "waiting" and step.due_time is not None:
        line.append(f" until {clock(step.due_time)}")
    return line
