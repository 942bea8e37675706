"""The sessions of a gateway: old ones are sent elsewhere, once, and ended when they stay."""

from __future__ import annotations

import asyncio
from typing import cast

from ff_core import clock
from ff_core.backend import EngineBackend
from ff_core.errors import EngineError, ErrorCode
from ff_gateway.session import Session
from ff_gateway.sessions import JITTER, OpenSession, Sessions

NOWHERE = cast("EngineBackend", None)
SHORT_MS, LONG_MS = 1, 3_600_000


class Conversation:
    """What the sessions need of one."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self.is_draining = False
        self.sent_away: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    def go_away(self, reason: str, deadline_ms: int) -> None:
        self.sent_away.put_nowait((reason, deadline_ms))


def opened(worker_id: str = "w", *, is_draining: bool = False) -> tuple[OpenSession, Conversation]:
    conversation = Conversation(worker_id)
    conversation.is_draining = is_draining
    return OpenSession(cast("Session", conversation)), conversation


def sessions(max_age_ms: int, grace_ms: int = LONG_MS) -> Sessions:
    return Sessions(NOWHERE, "gateway-1", 9000, max_age_ms=max_age_ms, grace_ms=grace_ms)


async def test_an_old_session_is_sent_away_and_has_time_to_go() -> None:
    one, conversation = opened()
    sessions(SHORT_MS).add(one)
    before = clock.wall_ms()

    reason, deadline_ms = await conversation.sent_away.get()

    assert reason == "the session is old"
    assert deadline_ms >= before + LONG_MS
    assert not one.ended.is_set()
    one.end()


async def test_an_old_session_that_stays_is_ended() -> None:
    one, _ = opened()
    sessions(SHORT_MS, grace_ms=1).add(one)

    await one.ended.wait()

    assert isinstance(one.error, EngineError)
    assert one.error.code is ErrorCode.SHUTTING_DOWN


async def test_sessions_that_began_together_end_apart() -> None:
    subject = sessions(LONG_MS)
    all_of_them = [opened(f"w{number}")[0] for number in range(200)]
    for one in all_of_them:
        subject.add(one)

    ends = [one.ageing.when() for one in all_of_them if one.ageing is not None]

    assert len(set(ends)) > 100
    assert max(ends) - min(ends) > JITTER * LONG_MS / 1000
    for one in all_of_them:
        one.end()


async def test_a_session_that_ended_ages_no_more() -> None:
    one, _ = opened()
    sessions(LONG_MS).add(one)

    one.end()

    assert one.ageing is not None
    assert one.ageing.cancelled()


async def test_a_worker_that_drains_is_left_alone() -> None:
    one, conversation = opened(is_draining=True)
    subject = sessions(LONG_MS)
    subject.add(one)

    subject._retire(one)

    assert conversation.sent_away.empty()
    one.end()


async def test_sessions_may_last_for_ever() -> None:
    one, _ = opened()
    sessions(0).add(one)

    assert one.ageing is None
