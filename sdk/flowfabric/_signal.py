"""Signals: what is sent to a waitpoint, and what a handler finds there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from flowfabric import _codec

if TYPE_CHECKING:
    from flowfabric._execution import Duration

T = TypeVar("T")

AS_IT_IS: Any = bytes


class SignalEffect(Enum):
    """What a signal did where it arrived."""

    RESUMED = "resumed"
    """It satisfied a wait."""
    COUNTED = "counted"
    """It brought a condition nearer."""
    REPEATED = "repeated"
    """It matched, but something equal had counted."""
    UNMATCHED = "unmatched"
    """It is kept, but no condition asks for it."""
    BUFFERED = "buffered"
    """It is kept until the waitpoint is waited for."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that was delivered."""

    number: int
    """Counts within the execution, from 1."""
    waitpoint: str
    """Name of the waitpoint it arrived at; empty for one that the engine made."""
    name: str
    category: str = ""
    source: str = ""
    """Who sent it: user:<name>, waitpoint:<number>, operator:<name> or engine. Never what a sender says."""
    correlation_id: str = ""
    payload: bytes = b""
    time: datetime | None = None

    def value(self, as_type: type[T] = AS_IT_IS) -> T:
        """The payload as a value of the type; pydantic.ValidationError when it is none."""
        return _codec.decode(self.payload, as_type)


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """One signal to send; see `Client.signal`."""

    waitpoint_id: str
    name: str
    payload: object = None
    """Bytes as they are, None as nothing, everything else as JSON."""
    token: str = ""
    category: str = ""
    correlation_id: str = ""
    idempotency_key: str = ""
    """A repeat with the same key gets the first answer."""
    idempotency_ttl: Duration | None = None
    """How long the key is remembered. Default 24 h."""
    resume_delay: Duration | None = None
    """When this signal resumes the execution, it is queued this much later."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The engine's answer to a signal."""

    number: int
    """Of the signal."""
    effect: SignalEffect
    duplicate: bool = False
    """Whether this is the answer to an earlier delivery."""
