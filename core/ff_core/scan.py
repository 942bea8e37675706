"""What a scan of one partition did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Scan:
    """How much was changed, and when something is due next by Valkey's clock; 0 for nothing in sight."""

    changed: int
    next_due_ms: int
