"""Wrappers of execution.lua."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from ff_core import keys
from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.execution import Created, ExecutionRecord, NewExecution
from ff_core.journal import KeepMode
from ff_core.state import State
from ff_core.store.connection import Argument
from ff_core.store.functions.base import Functions, check, pairs, text
from ff_core.store.functions.journal import steps_shown

MAX_TAGS = 32


class ExecutionFunctions(Functions):
    """Submit, read and steer executions."""

    async def execution_create(self, items: Sequence[NewExecution]) -> list[Created | EngineError]:
        """Creates executions; each item has its own verdict."""
        return await self.by_partition(
            items,
            lambda item: self.partition_of(item.execution_id),
            self._create,
            lambda item: EngineError(ErrorCode.INTERNAL, item.execution_id),
        )

    async def _create(self, partition: int, items: list[NewExecution]) -> list[Created | EngineError]:
        args: list[Argument] = []
        for item in items:
            args += _create_arguments(item)
        try:
            reply = await self.client.fcall_durable(
                "execution_create", keys.anchor(partition), *args, items=len(items)
            )
        except EngineError as error:  # one partition that is away must not hide what the others created
            return [error] * len(items)
        results: list[Created | EngineError] = []
        for item, verdict in zip(items, cast("list[list[Any]]", reply), strict=True):
            if verdict[0] == b"OK":
                # Ids are minted for one submission, so one that exists already is our own repeated call's.
                first = text(verdict[1])
                results.append(Created(first, first != item.execution_id))
            else:
                first = text(verdict[1])
                results.append(
                    EngineError(
                        ErrorCode[text(verdict[0])],
                        f"first used by {first}",
                        metadata={"execution_id": first},
                    )
                )
        return results

    async def execution_describe(
        self, execution_ids: Sequence[str], *, payload: bool = False, history: bool = False
    ) -> list[ExecutionRecord | None]:
        """Reads executions; None for unknown ones."""
        flags = ("1" if payload else "", "1" if history else "")

        async def call(partition: int, group: list[str]) -> list[ExecutionRecord | None]:
            reply = await self.client.fcall(
                "execution_describe", keys.anchor(partition), *flags, *group, items=len(group)
            )
            return [read_record(entry) for entry in cast("list[list[Any]]", reply)]

        return await self.by_partition(execution_ids, self.partition_of, call, lambda _id: None)

    async def execution_result(self, execution_id: str) -> bytes:
        """The result. Raises EXECUTION_NOT_FOUND, RESULT_NOT_READY."""
        reply = await self.client.fcall(
            "execution_result", keys.anchor(self.partition_of(execution_id)), execution_id
        )
        return cast("bytes", check(reply)[0])

    async def execution_cancel(
        self, execution_ids: Sequence[str], reason: str, grace_ms: int
    ) -> list[State | EngineError]:
        """Cancels; the state is ACTIVE while a worker is being asked to stop."""

        def partition_of(execution_id: str) -> int | None:
            try:
                return self.partition_of(execution_id)
            except EngineError:
                return None

        async def call(partition: int, group: list[str]) -> list[State | EngineError]:
            reply = await self.client.fcall_durable(
                "execution_cancel", keys.anchor(partition), reason, grace_ms, *group, items=len(group)
            )
            return [
                State(text(verdict[1]))
                if verdict[0] == b"OK"
                else EngineError(ErrorCode[text(verdict[0])], name)
                for name, verdict in zip(group, cast("list[list[Any]]", reply), strict=True)
            ]

        return await self.by_partition(
            execution_ids, partition_of, call, lambda name: EngineError(ErrorCode.EXECUTION_NOT_FOUND, name)
        )

    async def execution_reprioritize(self, execution_id: str, priority: int) -> tuple[int, int]:
        """Old and new priority. Raises EXECUTION_NOT_FOUND, EXECUTION_TERMINAL."""
        reply = await self.client.fcall_durable(
            "execution_reprioritize", keys.anchor(self.partition_of(execution_id)), execution_id, priority
        )
        old, new = check(reply, execution_id)
        return old, new

    async def execution_replay(self, execution_id: str, mode: KeepMode = "fresh", through: str = "") -> State:
        """Runs it again; `through` is the entry key or name of the last step that is kept.

        Raises EXECUTION_NOT_FOUND, EXECUTION_NOT_TERMINAL, REPLAYS_EXHAUSTED, STEP_NOT_FOUND.
        """
        reply = await self.client.fcall_durable(
            "execution_replay", keys.anchor(self.partition_of(execution_id)), execution_id, mode, through
        )
        return State(text(check(reply, execution_id)[0]))

    async def execution_tag(self, execution_id: str, tags: dict[str, str]) -> dict[str, str]:
        """All tags after setting these; an empty value removes one.

        Raises EXECUTION_NOT_FOUND, and INVALID_ARGUMENT when there would be more than MAX_TAGS.
        """
        flat = [part for pair in tags.items() for part in pair]
        reply = await self.client.fcall_durable(
            "execution_tag", keys.anchor(self.partition_of(execution_id)), execution_id, MAX_TAGS, *flat
        )
        if cast("list[Any]", reply)[0] == b"INVALID_ARGUMENT":
            raise invalid("tags", f"with those it has there are more than {MAX_TAGS}")
        return pairs(check(reply, execution_id)[0])


def _create_arguments(item: NewExecution) -> list[Argument]:
    spec: dict[str, object] = {"kind": item.kind}
    if item.policy:
        spec["policy"] = item.policy
    if item.attempt_timeout_ms is not None:
        spec["attempt_timeout_ms"] = item.attempt_timeout_ms
    if item.traceparent:
        spec["traceparent"] = item.traceparent
    tags = [part for pair in item.tags.items() for part in pair]
    idempotent = item.idempotency_key != ""
    return [
        item.execution_id,
        f"{item.namespace}/{item.idempotency_key}" if idempotent else "",
        item.idempotency_ttl_ms,
        item.fingerprint() if idempotent else "",
        item.payload,
        item.queue,
        item.priority,
        item.delay_until_ms or f"+{item.delay_ms}",
        "" if item.deadline_ms is None else item.deadline_ms,
        json.dumps(spec, separators=(",", ":")),
        len(tags),
        *tags,
    ]


def read_record(entry: Sequence[Any]) -> ExecutionRecord | None:
    """An execution as `ff.describe` gives it."""
    if not entry:
        return None
    execution_id, payload, core, tags, history, shown = entry
    total, steps = steps_shown(shown)
    records = [(int(epoch), json.loads(record)) for epoch, record in pairs(history).items()]
    return ExecutionRecord(
        execution_id=text(execution_id),
        core=json.loads(core),
        payload=payload,
        tags=dict(sorted(pairs(tags).items())),
        history=sorted(records, key=lambda record: record[0]),
        steps=steps,
        steps_total=total,
    )
