"""Waiting for what has to come about, with patience far above what it should take."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from flowfabric import Client, Execution, State

PATIENCE_S = 60.0
POLL_S = 0.02

Value = TypeVar("Value")


async def until(
    client: Client, execution_id: str, is_so: Callable[[Execution], bool], patience: float = PATIENCE_S
) -> Execution:
    """The execution as the watch first shows it so."""
    execution = None
    try:
        async with asyncio.timeout(patience), aclosing(client.watch(execution_id)) as changes:
            async for execution in changes:
                if is_so(execution):
                    return execution
    except TimeoutError:
        raise AssertionError(f"still not so after {patience} s: {execution}") from None
    raise AssertionError(f"ended without having been so: {execution}")


async def until_state(client: Client, execution_id: str, state: State) -> Execution:
    """The execution once it is in a state."""
    return await until(client, execution_id, lambda execution: execution.state is state)


async def until_terminal(client: Client, execution_id: str, patience: float = PATIENCE_S) -> Execution:
    """The execution once it has ended."""
    return await until(client, execution_id, lambda execution: execution.state.is_terminal, patience)


async def eventually(ask: Callable[[], Awaitable[Value]], patience: float = PATIENCE_S) -> Value:
    """The first answer that is true; for what nobody can watch."""
    answer = None
    try:
        async with asyncio.timeout(patience):
            while not (answer := await ask()):  # noqa: ASYNC110 - the answer is in another process
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"still {answer!r} after {patience} s") from None
    return answer


def is_ready(http: str) -> bool:
    """Whether a gateway says that all it needs is there."""
    try:
        with urllib.request.urlopen(f"http://{http}/readyz", timeout=PATIENCE_S) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False
