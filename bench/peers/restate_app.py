"""The service that Restate calls."""

from __future__ import annotations

import asyncio
import os
from functools import partial

import hypercorn.asyncio
import restate
import uvloop
from hypercorn.config import Config

service = restate.Service("Steps")


async def one(number: int) -> int:
    """A step that does nothing."""
    return number + 1


@service.handler()
async def three(context: restate.Context, number: int) -> int:
    """The workflow."""
    for name in ("one", "two", "three"):
        number = await context.run_typed(name, partial(one, number))
    return number


async def main() -> None:
    """Serves until it is stopped."""
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['BENCH_RESTATE_PORT']}"]
    await hypercorn.asyncio.serve(restate.app([service]), config, shutdown_trigger=asyncio.Event().wait)


if __name__ == "__main__":
    uvloop.run(main())
