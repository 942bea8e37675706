"""An order that is paid elsewhere: whoever takes the money calls a URL, and the order goes on.

The caller needs no library and no account: the URL holds the right to answer once, and nothing else.
"""

from __future__ import annotations

import json
import urllib.request
from datetime import timedelta

from pydantic import BaseModel

from flowfabric import Context, task

PATIENCE = timedelta(hours=1)
CALL_TIMEOUT_S = 10


class Order(BaseModel):
    """What is ordered."""

    number: int
    cents: int
    provider: str
    """Where payments are asked for."""
    engine: str
    """Where the engine speaks HTTP; with FF_PUBLIC_URL set, a waitpoint has the whole URL."""


class Payment(BaseModel):
    """What the provider says of a payment."""

    cents: int
    receipt: str


class Parcel(BaseModel):
    """What came of an order."""

    number: int
    receipt: str


def ask_for_payment(order: Order, callback: str) -> None:
    """Asks the provider, which answers later, at the callback."""
    body = json.dumps({"order": order.number, "cents": order.cents, "callback": callback})
    request = urllib.request.Request(f"{order.provider}/charges", body.encode())
    with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S):
        pass


@task
async def sell(order: Order, context: Context) -> Parcel:
    """Asks for the money, waits for the call, and packs."""
    payment = await context.waitpoint("payment", ttl=PATIENCE)
    callback = payment.callback_url or order.engine + payment.callback_path
    await context.step("ask", ask_for_payment, order, callback + "?name=paid")
    answer = await context.wait_for(payment, timeout=PATIENCE, reason="waiting_for_callback")
    paid = answer.value(Payment)
    if paid.cents != order.cents:
        raise ValueError(f"{paid.cents} cents were paid, not {order.cents}")
    return Parcel(number=order.number, receipt=paid.receipt)
