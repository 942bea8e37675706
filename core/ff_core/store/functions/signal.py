"""Wrappers of signal.lua, and the stored form of signals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from ff_core import keys
from ff_core.errors import EngineError, ErrorCode
from ff_core.signal import Delivered, Effect, NewSignal, StoredSignal
from ff_core.store.connection import Argument
from ff_core.store.functions.base import Functions, text


class SignalFunctions(Functions):
    """Implements ff_core.backend.SignalBackend."""

    async def signal_deliver(
        self, signals: Sequence[NewSignal], max_signals: int, max_bytes: int
    ) -> list[Delivered | EngineError]:
        """Delivers signals, each with its own verdict: EXECUTION_NOT_FOUND, EXECUTION_TERMINAL,
        WAITPOINT_NOT_FOUND, WAITPOINT_CLOSED, TOKEN_INVALID, SIGNALS_FULL or IDEMPOTENCY_CONFLICT."""

        def partition_of(signal: NewSignal) -> int | None:
            try:
                return self.partition_of(signal.execution_id)
            except EngineError:
                return None

        async def call(partition: int, group: list[NewSignal]) -> list[Delivered | EngineError]:
            args: list[Argument] = [max_signals, max_bytes]
            for signal in group:
                args += _arguments(signal)
            try:
                reply = await self.client.fcall_durable(
                    "signal_deliver", keys.anchor(partition), *args, items=len(group)
                )
            except EngineError as error:  # one partition that is away must not hide what others took
                return [error] * len(group)
            return [_verdict(parts) for parts in cast("list[list[Any]]", reply)]

        return await self.by_partition(
            signals, partition_of, call, lambda signal: EngineError(ErrorCode.EXECUTION_NOT_FOUND)
        )


def stored_signal(stored: bytes) -> StoredSignal:
    """A signal as kept: its header, a newline, its payload."""
    header, _, payload = stored.partition(b"\n")
    return StoredSignal.read(json.loads(header.decode("utf-8", "replace")), payload)


def _arguments(signal: NewSignal) -> tuple[Argument, ...]:
    return (
        signal.execution_id,
        signal.scope,
        "" if signal.number is None else signal.number,
        signal.expires_ms,
        signal.waitpoint_name,
        signal.name,
        signal.category,
        signal.source,
        signal.correlation_id,
        signal.payload,
        signal.idempotency_key,
        signal.idempotency_ttl_ms,
        signal.resume_delay_ms,
        signal.fingerprint(),
    )


def _verdict(parts: list[Any]) -> Delivered | EngineError:
    if parts[0] != b"OK":
        code = ErrorCode[text(parts[0])]
        detail = f"first used by signal {parts[1]}" if code is ErrorCode.IDEMPOTENCY_CONFLICT else ""
        return EngineError(code, detail)
    _, number, effect, duplicate, state = parts
    return Delivered(number, cast("Effect", text(effect)), bool(duplicate), text(state))
