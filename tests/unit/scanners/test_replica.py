"""A replica whose Valkey does not answer."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_core.worker import Member
from ff_scanners import app
from ff_scanners.app import Replica
from ff_scanners.settings import ScannerSettings


class DeafBackend:
    """Answers heartbeats and nothing else."""

    library = "ff_1"

    def __init__(self, ping_error: EngineError | None = None) -> None:
        self._ping_error = ping_error

    async def ping(self) -> None:
        if self._ping_error:
            raise self._ping_error
        await asyncio.Event().wait()

    async def lease_expire(self, _partition: int, _limit: int) -> None:
        await asyncio.Event().wait()

    async def member_beat(self, _service: str, member: Member, ttl_ms: int, _library: str) -> list[Member]:
        if not ttl_ms:
            await asyncio.Event().wait()
        return [member]


def replica_of(backend: DeafBackend) -> Replica:
    settings = ScannerSettings(scanners="lease_expiry", replica_id="me")
    return Replica(cast("EngineBackend", backend), settings)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "ANSWER_S", 0.0)


async def test_it_is_not_ready_before_it_was_heard() -> None:
    assert await replica_of(DeafBackend()).readiness() == {
        "store": "no answer in time",
        "membership": "not heard yet",
    }


async def test_it_is_not_ready_while_the_store_is_gone() -> None:
    replica = replica_of(DeafBackend(EngineError(ErrorCode.STORE_UNAVAILABLE)))
    await replica.start()

    assert await replica.readiness() == {"store": "STORE_UNAVAILABLE", "membership": "ok"}

    await replica.stop()


async def test_it_stops_although_neither_its_scans_nor_its_good_bye_are_answered() -> None:
    replica = replica_of(DeafBackend())
    await replica.start()

    await replica.stop()
    await replica.stop()
