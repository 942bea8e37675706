"""Wrappers of suspension.lua and resume.lua."""

from __future__ import annotations

import json
import secrets
from typing import Any, cast

from ff_core import keys
from ff_core.scan import Scan
from ff_core.state import State
from ff_core.store.functions.base import Functions, check, number, text
from ff_core.store.functions.signal import stored_signal
from ff_core.suspension import Suspended, SuspensionRecord
from ff_core.waitpoint import WaitpointRecord


class SuspensionFunctions(Functions):
    """Implements ff_core.backend.SuspensionBackend, but for the waitpoints. To suspend is an outcome."""

    async def suspension_describe(self, execution_id: str) -> SuspensionRecord | None:
        """The current or last one; None when it never suspended. Raises EXECUTION_NOT_FOUND."""
        reply = await self.client.fcall(
            "suspension_describe", keys.anchor(self.partition_of(execution_id)), execution_id
        )
        record, signals, waitpoints = check(reply, execution_id)
        if not record:
            return None
        return SuspensionRecord(
            json.loads(record),
            [stored_signal(each) for each in signals],
            [WaitpointRecord.read(execution_id, json.loads(each)) for each in waitpoints],
        )

    async def suspension_resume(self, execution_id: str, source: str, delay_ms: int, reason: str) -> State:
        """Resumes on an operator's word. Raises EXECUTION_NOT_FOUND, EXECUTION_NOT_SUSPENDED."""
        reply = await self.client.fcall_durable(
            "suspension_resume",
            keys.anchor(self.partition_of(execution_id)),
            execution_id,
            source,
            delay_ms,
            reason,
            secrets.token_hex(8),
        )
        return State(text(check(reply, execution_id)[0]))

    async def suspension_lapse(self, partition: int, limit: int) -> Scan:
        """Does what suspensions say about their timeouts, when these are due."""
        reply = cast("list[Any]", await self.client.fcall("suspension_lapse", keys.anchor(partition), limit))
        return Scan(reply[0], number(reply[1]))


def suspended(execution_id: str, answer: str, more: bytes) -> Suspended:
    """What an outcome that suspends is answered."""
    found = json.loads(more) if more else {}
    return Suspended(
        cast("Any", answer),
        int(found.get("suspension", 0)),
        [WaitpointRecord.read(execution_id, each) for each in found.get("waitpoints") or ()],
    )
