"""A webhook resumes the work: a payment provider calls a URL, and an order goes on.

    python -m examples.callback.run

The order waits without a process of its own. Strangers who change the URL are refused, browsers that look
at it change nothing, and the provider's second call for the same payment gets the answer of the first.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from examples.callback.provider import Provider, call
from examples.callback.tasks import Order, Parcel, sell
from examples.stage import Stage, perform
from flowfabric import State

CENTS = 4200


async def show() -> Stage:
    """Sells one thing and checks who could make the order go on."""
    with Provider() as provider:
        async with Stage("callback", "examples.callback.tasks:sell") as stage:
            client = await stage.client()
            first = await stage.worker("worker-1")
            order = Order(number=7, cents=CENTS, provider=provider.url, engine=stage.http)
            execution_id = (await client.submit(sell, order)).execution_id
            stage.say("client", f"ordered: {execution_id}")
            charge = await asyncio.to_thread(provider.charges.get, timeout=30)
            callback = str(charge["callback"])
            stage.say("provider", f"is asked for {charge['cents']} cents")
            await stage.until(client, execution_id, State.SUSPENDED)
            stage.say("engine", "suspended; this would resume it:")
            body = '{"cents": 4200, "receipt": "r-1"}'
            stage.console.print(f"         curl -d '{body}' '{callback}'", soft_wrap=True, markup=False)
            await stage.kill(first)

            await refuse_strangers(stage, callback)
            await pay(stage, callback)
            await stage.worker("worker-2")
            parcel = await client.result(execution_id, Parcel)
            stage.say("client", f"got {parcel}")
            stage.check(parcel == Parcel(number=7, receipt="r-1"), f"the parcel is {parcel}")
            execution = await client.get(execution_id)
            stage.show_steps(execution)
            stage.check(execution.attempt == 1, f"it took {execution.attempt} attempts")
            return stage


async def refuse_strangers(stage: Stage, callback: str) -> None:
    """What opens nothing."""
    path, _, query = callback.partition("?")
    forged = f"{path.replace('/w1.', '/w2.', 1)}?{query}"
    status, _ = await asyncio.to_thread(call, forged, {"cents": 1})
    stage.say("stranger", f"calls a URL of their own: {status}")
    stage.check(status == 403, f"a forged token was answered with {status}, not 403")
    status, _ = await asyncio.to_thread(call, callback)
    stage.say("browser", f"looks at the URL: {status}")
    stage.check(status == 405, f"a look at the URL was answered with {status}, not 405")


async def pay(stage: Stage, callback: str) -> None:
    """The provider calls, and calls again to be sure."""
    body: dict[str, object] = {"cents": CENTS, "receipt": "r-1"}
    status, first = await asyncio.to_thread(call, callback, body)
    stage.say("provider", f"says that it is paid: {status} {first}")
    resumed = first.get("effect") == "SIGNAL_EFFECT_RESUMED"
    stage.check(status == 200 and resumed, f"the call did not resume it: {first}")
    status, again = await asyncio.to_thread(call, callback, body)
    stage.say("provider", f"says so again: {status} {again}")
    stage.check((status, again.get("duplicate")) == (200, True), f"the second call counted: {again}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the show; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m examples.callback.run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.parse_args(arguments)
    return perform(show())


if __name__ == "__main__":
    sys.exit(main())
