"""An execution and its suspension are two readings; what is shown of both is of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from ff_core.errors import EngineError, ErrorCode
from ff_core.execution import ExecutionRecord, ListPage
from ff_core.suspension import SuspensionRecord
from ff_gateway.api.execution import TRIES, ExecutionServicer
from ff_gateway.policy import Policy
from flowfabric_api.execution.v1 import execution_pb2 as pb

ID = "0-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def execution(state: str, suspensions: int) -> ExecutionRecord:
    core = {
        "state": state, "reason": "none", "attempt_state": "attempt_interrupted", "queue": "default/default/",
        "kind": "k", "created_at": 1, "suspensions": suspensions,
    }  # fmt: skip
    return ExecutionRecord(ID, core, b"", {}, [])


def suspension(state: str, number: int) -> SuspensionRecord:
    core = {"number": number, "reason_code": "waiting_for_signal", "state": state, "at": 1, "waits": []}
    return SuspensionRecord(core, [], [])


class Store:
    """Answers each reading with the next of what it was given, and then with the last."""

    def __init__(
        self, executions: Sequence[ExecutionRecord], suspensions: Sequence[SuspensionRecord | None]
    ) -> None:
        self._executions, self._suspensions = list(executions), list(suspensions)
        self.readings = 0

    async def execution_describe(self, _ids: Sequence[str], **_: bool) -> list[ExecutionRecord]:
        self.readings += 1
        return [self._executions.pop(0) if len(self._executions) > 1 else self._executions[0]]

    async def execution_list(self, _query: Any) -> ListPage:
        return ListPage(self._executions, None)

    async def suspension_describe(self, _id: str) -> SuspensionRecord | None:
        found = self._suspensions.pop(0) if len(self._suspensions) > 1 else self._suspensions[0]
        if found is None:
            raise EngineError(ErrorCode.EXECUTION_NOT_FOUND)
        return found


class Workforce:
    """Can run everything."""

    async def workers(self) -> None:
        return

    def has_capable_worker(self, _queue: str) -> bool:
        return True


def door(store: Store) -> ExecutionServicer:
    policy = Policy(30_000, 9000, 0, 100, 100, 0)
    return ExecutionServicer(cast("Any", store), cast("Any", Workforce()), cast("Any", None), policy)


async def get(store: Store) -> pb.Execution:
    return await door(store).GetExecution(pb.GetExecutionRequest(execution_id=ID), None)


async def test_both_are_read_once_when_they_fit() -> None:
    store = Store([execution("suspended", 2)], [suspension("open", 2)])

    shown = await get(store)

    assert (shown.suspension.number, shown.suspension.state, store.readings) == (2, "open", 1)


@pytest.mark.parametrize(
    ("executions", "suspensions"),
    [
        ([execution("suspended", 1), execution("waiting", 1)], [suspension("closed", 1)]),
        ([execution("waiting", 1), execution("suspended", 2)], [suspension("open", 2)]),
        ([execution("suspended", 1), execution("suspended", 2)], [suspension("open", 2)]),
    ],
    ids=["resumed", "suspended again", "resumed and suspended again"],
)
async def test_both_are_read_again_when_something_happened_between(
    executions: list[ExecutionRecord], suspensions: list[SuspensionRecord]
) -> None:
    store = Store(executions, suspensions)

    shown = await get(store)

    assert store.readings == 2
    assert (shown.state == pb.PUBLIC_STATE_SUSPENDED) == (shown.suspension.state == "open")


async def test_a_reader_that_is_always_late_is_answered_all_the_same() -> None:
    store = Store([execution("suspended", 1)], [suspension("closed", 1)])

    shown = await get(store)

    assert (shown.suspension.state, store.readings) == ("closed", TRIES)


async def test_who_never_suspended_is_asked_no_more_and_who_is_purged_meanwhile_is_shown_without() -> None:
    never = Store([execution("waiting", 0)], [suspension("open", 1)])
    purged = Store([execution("waiting", 1)], [None])

    assert not (await get(never)).HasField("suspension")
    assert not (await get(purged)).HasField("suspension")


async def test_a_list_shows_the_suspension_of_what_is_still_suspended() -> None:
    resumed = door(Store([execution("suspended", 1)], [suspension("closed", 1)]))
    waiting = door(Store([execution("suspended", 1)], [suspension("open", 1)]))

    shown = [await one.ListExecutions(pb.ListExecutionsRequest(), None) for one in (resumed, waiting)]

    assert [one.executions[0].HasField("suspension") for one in shown] == [False, True]
