"""Sleeping: in memory when that is short, else suspended."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from flowfabric import _wire
from flowfabric._durable import Call, Durable
from flowfabric_api.journal.v1 import journal_pb2 as pb
from flowfabric_api.suspension.v1 import suspension_pb2 as suspension_pb


async def sleep(durable: Durable, call: Call, seconds: float, until: datetime | None) -> None:
    """Sleeps what is left of the time."""
    if call.final is not None:
        durable.find_again(call.final)
        await sleep_on(durable, call.final)
    elif call.entry is None and seconds <= durable.host.short_wait:
        record_sleep(durable, call, seconds)
        with durable.busy():
            await asyncio.sleep(max(0.0, seconds))
    else:
        await sleep_long(durable, call, seconds, until)


async def sleep_on(durable: Durable, entry: pb.Entry) -> None:
    """Goes on with a sleep in memory that may have been cut short; those of the engine are over."""
    if entry.signals or not entry.HasField("due_time"):
        return
    left = min(seconds_until(entry), durable.host.short_wait)
    if left > 0:
        with durable.busy():
            await asyncio.sleep(left)


async def sleep_long(durable: Durable, call: Call, seconds: float, until: datetime | None = None) -> None:
    """Sleeps by suspending, or through when the handler has other things to do for so long."""
    wait = suspension_pb.Wait(entry=call.key, name=call.name, seen=call.seen)
    wait.condition.timer.SetInParent()
    if call.entry is not None and call.entry.HasField("due_time"):
        wait.timeout_time.CopyFrom(call.entry.due_time)
        seconds = seconds_until(call.entry)
        if 0 < seconds <= durable.host.short_wait:
            with durable.busy():
                await asyncio.sleep(seconds)
            record_sleep(durable, call, 0.0)
            return
    elif until is not None:
        wait.timeout_time.FromDatetime(until.astimezone(UTC))
    else:
        _wire.put_duration(wait.timeout, seconds)
    await durable.sleep(wait, seconds)
    record_sleep(durable, call, 0.0)


def record_sleep(durable: Durable, call: Call, seconds: float) -> None:
    """Records a sleep that ends so much later, or is over."""
    entry = call.new_entry(pb.ENTRY_STATE_DONE)
    entry.due_time.FromNanoseconds(round((time.time() + seconds) * 1e9))
    durable.record(call, entry)


def seconds_until(entry: pb.Entry) -> float:
    """Seconds until the time of an entry."""
    return float(entry.due_time.ToNanoseconds() / 1e9 - time.time())
