"""The keys that waitpoint tokens are made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Key:
    """One key; its secret is shown by no representation."""

    kid: str
    secret: bytes = field(repr=False)
    created_ms: int
    expires_ms: int
    """End of its grace; 0 for the current one."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of the engine, as of one revision. A rotation makes another ring."""

    revision: int
    """0 before the first."""
    current: str
    """Key that new tokens are made with."""
    keys: Mapping[str, Key]


@dataclass(frozen=True, slots=True)
class Rotated:
    """Answer to a rotation."""

    kid: str
    previous: str
    changed: bool
    """False when the key was the current one already."""
    dropped: int
    """Keys past their grace that were removed."""


@dataclass(frozen=True, slots=True)
class SealedRing:
    """A ring as stored, and the time by Valkey's clock."""

    now_ms: int
    revision: int
    """0 when there is none."""
    ciphertext: bytes
