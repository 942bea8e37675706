"""Settings of the scheduler, besides those every service has."""

from __future__ import annotations

from pydantic import Field

from ff_core.settings import ServiceSettings


class SchedulerSettings(ServiceSettings):
    """Read from FF_* environment variables."""

    dispatch_addr: str = "127.0.0.1:0"
    """Address gateways connect to."""
    dispatch_advertise_addr: str = ""
    """Address gateways are told; the one listened on when empty. In Kubernetes the pod's."""
    partition_range: str = ""
    """Partitions this scheduler owns, as "0-31,40"; by live membership when empty."""
    claim_batch: int = Field(96, ge=1, le=1024)
    """Most executions one function call claims."""
    ready_sweep_ms: int = Field(5000, ge=100)
    """Safety net: how often queues are looked at although no wake-up came."""

    def listen_addresses(self) -> tuple[str, ...]:
        """Gateways come in here."""
        return (self.dispatch_addr,)
