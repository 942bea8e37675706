"""The module that Dramatiq's worker processes import."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.gate import Entrant
from bench.system import VALKEY_VARIABLE

entrant = Entrant()


class Start(dramatiq.Middleware):
    """Holds each process at the gate before it starts its threads."""

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Any) -> None:
        entrant.wait()


broker = RedisBroker(url=os.environ[VALKEY_VARIABLE])  # type: ignore[no-untyped-call]
broker.add_middleware(Start())
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="default")
def noop(payload: str) -> None:
    """The task."""
    entrant.count(entrant.moment())
