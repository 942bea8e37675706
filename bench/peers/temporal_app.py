"""The worker process of Temporal."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker


@activity.defn
async def one(number: int) -> int:
    """A step that does nothing."""
    return number + 1


@workflow.defn(name="Three")
class Three:
    """The workflow."""

    @workflow.run
    async def run(self, number: int) -> int:
        """Three activities in sequence."""
        for _ in range(3):
            number = await workflow.execute_activity(
                one, number, start_to_close_timeout=timedelta(seconds=30)
            )
        return number


async def main() -> None:
    """Works until it is stopped."""
    client = await Client.connect(os.environ["BENCH_TEMPORAL"])
    await Worker(client, task_queue="bench", workflows=[Three], activities=[one]).run()


if __name__ == "__main__":
    asyncio.run(main())
