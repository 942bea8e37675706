"""What the gateway allows and promises; the plain values behind its settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from ff_core.journal import JournalLimits
from ff_core.signal import SignalLimits
from ff_core.suspension import SuspensionLimits
from ff_core.wire.execution import Limits


@dataclass(frozen=True, slots=True)
class Policy:
    """Times in milliseconds, sizes in bytes."""

    lease_ttl_ms: int
    worker_ttl_ms: int
    cancel_grace_ms: int
    max_payload_bytes: int
    max_output_frame_bytes: int
    retention_ms: int
    signals: SignalLimits = field(default_factory=SignalLimits)
    suspensions: SuspensionLimits = field(default_factory=SuspensionLimits)
    journal: JournalLimits = field(default_factory=JournalLimits)
    max_summary_bytes: int = 64 << 10

    @property
    def limits(self) -> Limits:
        """What a submission may ask for."""
        return Limits(self.max_payload_bytes, self.retention_ms, self.max_summary_bytes)
