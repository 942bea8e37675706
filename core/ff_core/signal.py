"""Signals as the engine's Python handles them: on their way in, as kept, and what became of a delivery."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Effect = Literal["resumed", "counted", "repeated", "unmatched", "buffered"]
"""It satisfied a wait, brought one nearer, counted already, is kept unasked, or is kept until asked for."""


#: How long a delivery without a key of its sender's is told from its repeats: beyond the store's patience.
REPEAT_MS = 60_000


@dataclass(frozen=True, slots=True)
class SignalLimits:
    """What a delivery may ask for, and how much is kept for one execution."""

    max_payload_bytes: int = 64 << 10
    max_signals: int = 1000
    max_signals_bytes: int = 8 << 20
    idempotency_ttl_ms: int = 86_400_000
    """When it does not say."""


@dataclass(slots=True)
class NewSignal:
    """A signal for one waitpoint, whose sender has the right to deliver there.

    One without an idempotency key gets its own: the store repeats a call whose reply was lost.
    """

    execution_id: str
    scope: str
    """As in WaitpointRef; "" when the waitpoint is named."""
    number: int | None
    """Of the waitpoint; None when it is named."""
    expires_ms: int
    """As in WaitpointRef; 0 when the waitpoint is named."""
    waitpoint_name: str
    """The newest open waitpoint of this name takes it; "" when `number` says which."""
    name: str
    category: str
    source: str
    """An authenticated identity, never what the request says; "" for the one that the waitpoint stands for:
    user:<recipient>, or waitpoint:<number> without one. signal.lua fills it in."""
    correlation_id: str
    payload: bytes
    idempotency_key: str
    idempotency_ttl_ms: int
    resume_delay_ms: int

    def __post_init__(self) -> None:
        if not self.idempotency_key:
            self.idempotency_key, self.idempotency_ttl_ms = f"~{secrets.token_hex(8)}", REPEAT_MS

    def fingerprint(self) -> str:
        """What must be equal for a repeat: of its idempotency key, or at a waitpoint for one signal."""
        content = json.dumps(
            [
                self.number,
                self.waitpoint_name,
                self.name,
                self.category,
                self.source,
                self.correlation_id,
                self.resume_delay_ms,
            ]
        )
        return hashlib.sha256(content.encode() + b"\0" + self.payload).hexdigest()[:32]


@dataclass(slots=True)
class StoredSignal:
    """A signal that was delivered."""

    number: int
    waitpoint: str
    """Name of its waitpoint; "" for one that the engine or an operator made."""
    name: str
    category: str
    source: str
    correlation_id: str
    payload: bytes
    at_ms: int

    @classmethod
    def read(cls, header: Mapping[str, Any], payload: bytes) -> StoredSignal:
        """A signal from its stored header."""
        return cls(
            number=int(header["number"]),
            waitpoint=header.get("waitpoint", ""),
            name=header.get("name", ""),
            category=header.get("category", ""),
            source=header.get("source", ""),
            correlation_id=header.get("correlation", ""),
            payload=payload,
            at_ms=int(header["at"]),
        )


@dataclass(slots=True)
class Delivered:
    """Answer to a delivery."""

    number: int
    effect: Effect
    duplicate: bool
    """It is the answer to an earlier one."""
    state: str
    """Of the execution after it."""
