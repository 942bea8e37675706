"""What happened to a load of executions, told by those who ran them and by the engine, and what may not have.

Three witnesses: the handlers' own records (programs/recorded_work.py), the engine's feed of events in
Valkey, and what a client is shown at the end. `check` compares them with the promises of the engine.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from flowfabric import Execution, OutputFrame, State

TERMINAL = frozenset({"completed", "failed", "cancelled", "expired"})

#: Events that end a lease.
ENDS = TERMINAL | {"attempt_failed", "delayed", "lease_expired", "lease_revoked", "released", "suspended"}

#: What a record says of a durable step, before its name.
DID = "did "


@dataclass(slots=True)
class Run:
    """One handler run, by its own record."""

    execution: str
    attempt: int
    epoch: int
    pid: int
    started: float
    ended: float | None = None
    """None when the process was killed in the middle."""
    steps: list[str] = field(default_factory=list)
    """Durable steps that took effect in it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the engine's feed."""

    name: str
    attempt: int
    epoch: int
    detail: str


@dataclass(slots=True)
class Shown:
    """What a client is shown of an execution that has ended."""

    execution: Execution
    result: str
    frames: Sequence[OutputFrame]


@dataclass(slots=True)
class Disturbances:
    """What was done to the workers, by process."""

    killed: dict[int, float] = field(default_factory=dict)
    """When."""
    frozen: set[int] = field(default_factory=set)
    """Stopped past their leases: their handlers cannot know what they lost, only the fence can."""


def read_runs(records: Path) -> list[Run]:
    """The runs in a file of records, in the order they started."""
    runs: dict[tuple[str, int, int], Run] = {}
    for line in records.read_text().splitlines() if records.exists() else ():
        record = json.loads(line)
        key = record["execution"], record["epoch"], record["pid"]
        if record["what"] == "started":
            assert key not in runs, f"one lease ran twice in one process: {record}"
            runs[key] = Run(
                record["execution"], record["attempt"], record["epoch"], record["pid"], record["time"]
            )
        elif record["what"].startswith(DID):
            runs[key].steps.append(record["what"].removeprefix(DID))
        else:
            runs[key].ended = record["time"]
    return list(runs.values())


def read_events(call: Callable[..., object], partitions: int = 64) -> dict[str, list[Event]]:
    """The engine's feed by execution, through a function that sends a command to Valkey."""
    events: dict[str, list[Event]] = defaultdict(list)
    for partition in range(partitions):
        entries = call("XRANGE", f"ff:{{p:{partition}}}:events", "-", "+")
        for _, fields in entries:  # type: ignore[attr-defined]
            for text in fields[1::2]:  # all events of one function call are one entry
                name, execution, _, attempt, epoch, _, _, detail = text.decode().split(" ", 7)
                events[execution].append(Event(name, int(attempt), int(epoch), detail))
    return events


def check(
    texts: Mapping[str, str],
    check_end: Callable[[str, Sequence[Run], Shown], None],
    *,
    runs: Iterable[Run],
    events: Mapping[str, Sequence[Event]],
    shown: Mapping[str, Shown],
    disturbances: Disturbances,
) -> None:
    """Asserts every promise for every execution; `texts` is what was submitted, by execution.

    `check_end` asserts what is promised of the end of that work.
    """
    runs_of: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        runs_of[run.execution].append(run)
    assert set(shown) == set(texts)
    for execution, text in texts.items():
        given_back = check_feed(execution, events[execution])
        check_runs(execution, runs_of[execution], given_back, disturbances)
        check_end(text, runs_of[execution], shown[execution])


def check_feed(execution: str, events: Sequence[Event]) -> Counter[int]:
    """One outcome, and never two leases: each claim follows the end of the lease before it.

    Gives how often each attempt was suspended or given back unconfirmed, to be granted again as it was.
    """
    story = f"{execution}: {[(event.name, event.attempt, event.epoch) for event in events]}"
    assert sum(event.name in TERMINAL for event in events) == 1, story
    assert events[0].name == "created", story
    assert events[-1].name in TERMINAL, story
    epoch, attempt, is_leased, is_resumed = 0, 0, False, False
    next_attempts = {1}
    given_back: Counter[int] = Counter()
    for event in events:
        if event.name == "claimed":
            assert not is_leased, story
            assert (event.epoch, event.attempt in next_attempts) == (epoch + 1, True), story
            is_resumed = event.attempt == attempt
            epoch, attempt, is_leased = event.epoch, event.attempt, True
        elif event.name in ENDS:
            assert is_leased, story
            assert event.epoch == epoch, story
            is_leased = False
            next_attempts = {event.attempt + 1}
            if event.name == "suspended":
                given_back[attempt] += 1
                next_attempts = {attempt}
            elif event.name == "released" and is_resumed:  # whether it was confirmed, not all feeds say
                given_back[attempt] += 1
                next_attempts.add(attempt)
            elif event.name == "released" and event.attempt == attempt - 1:
                given_back[attempt] += 1
                attempt -= 1
            assert event.attempt == attempt, story
    return given_back


def check_runs(
    execution: str, runs: Sequence[Run], given_back: Counter[int], disturbances: Disturbances
) -> None:
    """No lease ran twice, no attempt ran twice unless its grant was given back, no two ran at one time."""
    story = f"{execution}: {runs} {given_back}"
    assert all(count == 1 for count in Counter(run.epoch for run in runs).values()), story
    for attempt, count in Counter(run.attempt for run in runs).items():
        assert count <= 1 + given_back[attempt], story
    in_order = sorted(runs, key=lambda run: run.epoch)
    for earlier, later in pairwise(in_order):
        if earlier.pid in disturbances.frozen:
            continue
        ended = disturbances.killed.get(earlier.pid) if earlier.ended is None else earlier.ended
        assert ended is not None, f"still running, or it died by itself: {story}"
        assert ended <= later.started, f"two at one time: {story}"


def check_recorded_work(frames: int, text: str, runs: Sequence[Run], shown: Shown) -> None:
    """The right result, by a run that is on record, and its output whole and in order."""
    execution = shown.execution
    assert execution.state is State.COMPLETED, execution
    assert shown.result == hashlib.sha256(text.encode()).hexdigest(), execution
    assert execution.attempt in {run.attempt for run in runs}, f"{execution} {runs}"
    assert execution.failed_attempts == 0, execution
    final = [frame for frame in shown.frames if frame.attempt == execution.attempt]
    expected = [f"{text} {execution.attempt} {number}" for number in range(1, frames + 1)]
    assert [frame.data.decode() for frame in final] == expected, f"{final} {execution} {runs}"
    assert [frame.number for frame in final] == list(range(1, frames + 1)), final
    for frame in shown.frames:
        assert re.fullmatch(rf"{re.escape(text)} {frame.attempt} {frame.number}", frame.data.decode()), frame
