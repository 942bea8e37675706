"""Waitpoints: places where signals arrive, and the public ids that name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Uses = Literal["single", "multi"]
"""Whether the first signal uses it up."""

_REF = re.compile(
    r"([A-Za-z0-9._:-]{1,64})~([0-9]{1,4}-[0-9a-f-]{36})~([sp][0-9]{1,9})~([0-9]{1,9})~([0-9]{1,15})"
)


@dataclass(frozen=True, slots=True)
class WaitpointRef:
    """What a waitpoint id says: all that its token is bound to."""

    namespace: str
    execution_id: str
    scope: str
    """s and the number of the suspension that made it, or p and its own number."""
    number: int
    expires_ms: int

    def render(self) -> str:
        """The public id. `~` is in no alphabet of its parts."""
        return f"{self.namespace}~{self.execution_id}~{self.scope}~{self.number}~{self.expires_ms}"

    @classmethod
    def parse(cls, text: str) -> WaitpointRef | None:
        """What an id says; None for what is none, or is one in another spelling."""
        match = _REF.fullmatch(text)
        if match is None:
            return None
        ref = cls(match[1], match[2], match[3], int(match[4]), int(match[5]))
        return ref if ref.render() == text else None


@dataclass(slots=True)
class NewWaitpoint:
    """A waitpoint to be made, or a pending one to be bound."""

    name: str
    uses: Uses = "multi"
    recipient: str = ""
    ttl_ms: int = 0
    number: int | None = None
    """Binds this pending one; its other fields hold, but for the name."""


@dataclass(slots=True)
class WaitpointRecord:
    """A waitpoint as stored. Its token is made when it is told, and is never here."""

    ref: WaitpointRef
    name: str
    uses: Uses
    state: Literal["pending", "bound", "closed"]
    recipient: str
    kid: str
    """Key that its token was first made with."""
    entry: str
    """Key of the journal entry that remembers it, or ""."""
    created_ms: int
    ending: str
    """How it was closed, or ""."""
    signals: int
    """How many are kept."""

    @classmethod
    def read(cls, execution_id: str, stored: Mapping[str, Any]) -> WaitpointRecord:
        """A record as the Lua functions write and answer it."""
        return cls(
            ref=WaitpointRef(
                stored["namespace"],
                execution_id,
                stored["scope"],
                int(stored["number"]),
                int(stored["expires_at"]),
            ),
            name=stored["name"],
            uses=stored["uses"],
            state=stored["state"],
            recipient=stored.get("recipient", ""),
            kid=stored["kid"],
            entry=stored.get("entry", ""),
            created_ms=int(stored["created_at"]),
            ending=stored.get("ending", ""),
            signals=len(stored.get("signals") or ()),
        )
