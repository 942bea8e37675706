"""Handlers that change between their runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from flowfabric import Context, task
from flowfabric.testing import MemoryJournal


class Changing:
    """A handler that is told by the test when it has changed."""

    def __init__(
        self,
        handler: Callable[[Context, Changing], Awaitable[Any]],
        journal: Callable[..., MemoryJournal] = MemoryJournal,
        **options: Any,
    ) -> None:
        @task
        async def run(context: Context) -> Any:
            return await handler(context, self)

        self.changed = False
        self.memory: Any = journal(run, **options)

    async def suspend(self, *waits: str) -> None:
        """Runs until it waits for these."""
        assert (await self.memory.run()).waits == waits

    async def vanished(self) -> str:
        """The step that a run of the changed handler is told it has left out, or ""."""
        self.changed = True
        run = await self.memory.run()
        if run.failure is None:
            assert run.ending == "completed"
            return ""
        assert (run.failure.type, run.failure.non_retryable) == ("STEP_MISMATCH", True)
        return run.failure.message.partition(" before ")[2].partition(",")[0]


async def write(*names: str) -> str:
    return " ".join(names)
