"""Events between the feed and the wire, and the cursor of a subscription.

A cursor is the place in each partition, not one point in time: clocks of nodes differ, and a fail-over
may set one back. Bytes of varints, deflated, in the alphabet of URLs:

    2, partitions, base, then for each partition: 0 from the first kept | 1 nothing had happened |
    2 + milliseconds since base, sequence, number of events read of that entry (0 for all),
    1 + number of entries read whole (0 when that is not known)

Version 1, of the release before, has not the last.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Sequence

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer as Messages

from ff_core.errors import EngineError, invalid
from ff_core.event import Event, EventFilter
from ff_core.wire import names
from ff_core.wire.time import point
from flowfabric_api.subscription.v1 import subscription_pb2 as pb

VERSION = 2
FROM_FIRST, NOTHING = "", "0-0"
#: Of the text; holds the places of all partitions that there can be.
MAX_CURSOR = 64 << 10
#: Bytes of one place at most: four varints of 64 bits.
MAX_PLACE = 40

_FAMILIES = {
    pb.EVENT_FAMILY_LIFECYCLE: "lifecycle",
    pb.EVENT_FAMILY_COMPLETION: "completion",
    pb.EVENT_FAMILY_LEASE: "lease",
    pb.EVENT_FAMILY_SIGNAL: "signal",
}
_NUMBERS = {name: number for number, name in _FAMILIES.items()}


def event_filter(request: pb.SubscribeRequest) -> EventFilter:
    """Checks what a subscription asks for."""
    unknown = [number for number in request.families if number not in _FAMILIES]
    if unknown:
        raise invalid("families", f"{unknown[0]} is none")
    return EventFilter(
        frozenset(_FAMILIES[number] for number in request.families),
        request.namespace and names.name(request.namespace, "namespace"),
        request.lane and names.name(request.lane, "lane"),
        request.kind and names.name(request.kind, "kind"),
        names.tag_filter(request.tags, "tags"),
    )


def add_event(messages: Messages[pb.Event], event: Event) -> None:
    """Appends an event to a repeated field."""
    message = messages.add(
        event_id=f"{event.partition}-{event.entry_id}.{event.ordinal}",
        family=_NUMBERS[event.family],
        name=event.name,
        execution_id=event.execution_id,
        state=event.state,
        attempt=event.attempt,
        epoch=event.epoch,
        namespace=event.namespace,
        lane=event.lane,
        kind=event.kind,
        detail=event.detail,
    )
    message.time.CopyFrom(point(event.at_ms))


def write_cursor(places: Sequence[str]) -> str:
    """The cursor of a place in each partition; a place is in the form of feed.lua."""
    parts = [_parts(place) for place in places]
    base = min((each[0] for each in parts if len(each) > 1), default=0)
    found = bytearray()
    for number in (VERSION, len(places), base):
        _add(found, number)
    for each in parts:
        for number in (each[0] - base + 2, *each[1:]) if len(each) > 1 else each:
            _add(found, number)
    return base64.urlsafe_b64encode(zlib.compress(found)).decode().rstrip("=")


def read_cursor(cursor: str, partitions: int) -> list[str]:
    """The places that a cursor says. Raises INVALID_ARGUMENT for what is none, or is of another engine."""
    try:
        numbers = _numbers(_inflate(cursor, partitions))
        version, count, base = (next(numbers) for _ in range(3))
        if version not in (1, VERSION):
            raise ValueError(f"it is of version {version}")
        if count != partitions:
            raise ValueError(f"it is of an engine of {count} partitions")
        places = [_place(numbers, base, version) for _ in range(count)]
        if next(numbers, None) is not None:
            raise ValueError("more follows")
    except (ValueError, StopIteration, RuntimeError, zlib.error) as error:
        raise _refused(cursor, error) from None
    return places


def _refused(cursor: str, error: Exception) -> EngineError:
    return invalid("after", f"{cursor[:20]!r} is not a cursor of this engine: {error}")


def _parts(place: str) -> tuple[int, ...]:
    if place in (FROM_FIRST, NOTHING):
        return (0,) if place == FROM_FIRST else (1,)
    entry, _, done = place.partition("/")
    ms, _, rest = entry.partition("-")
    seq, _, read = rest.partition(".")
    return int(ms), int(seq), int(read or 0), int(done) + 1 if done else 0


def _place(numbers: Iterator[int], base: int, version: int) -> str:
    first = next(numbers)
    if first < 2:
        return NOTHING if first else FROM_FIRST
    seq, read = next(numbers), next(numbers)
    done = next(numbers) if version > 1 else 0
    return f"{base + first - 2}-{seq}" + (f".{read}" if read else "") + (f"/{done - 1}" if done else "")


def _inflate(cursor: str, partitions: int) -> bytes:
    if len(cursor) > MAX_CURSOR:
        raise ValueError(f"{len(cursor)} characters")
    packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    inflater = zlib.decompressobj()
    found = inflater.decompress(packed, MAX_PLACE * (partitions + 1))
    if not inflater.eof or inflater.unused_data:
        raise ValueError("it is cut or too long")
    return found


def _add(found: bytearray, number: int) -> None:
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)


def _numbers(found: bytes) -> Iterator[int]:
    number, shift = 0, 0
    for byte in found:
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 63:
            raise ValueError("a number is too large")
        if byte < 0x80:
            yield number
            number, shift = 0, 0
    if shift:
        raise ValueError("it is cut")
