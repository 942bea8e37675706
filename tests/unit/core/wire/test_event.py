"""Cursors of subscriptions say places and nothing else; events are told by what they are."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_core.errors import EngineError
from ff_core.event import FAMILIES, Event, EventFilter
from ff_core.wire import event as wire
from flowfabric_api.subscription.v1 import subscription_pb2 as pb

PLACE = st.one_of(
    st.sampled_from([wire.FROM_FIRST, wire.NOTHING]),
    st.builds("{}-{}".format, st.integers(1, 1 << 50), st.integers(0, 1 << 40)),
    st.builds("{}-{}/{}".format, st.integers(1, 1 << 50), st.integers(0, 9), st.integers(0, 1 << 40)),
    st.builds(
        "{}-{}.{}/{}".format,
        st.integers(1, 1 << 50),
        st.integers(0, 9),
        st.integers(1, 1000),
        st.integers(0, 1 << 40),
    ),
)


@given(st.lists(PLACE, min_size=1, max_size=80))
def test_a_cursor_says_the_places_it_was_made_of(places: list[str]) -> None:
    assert wire.read_cursor(wire.write_cursor(places), len(places)) == places


def test_a_cursor_of_64_partitions_fits_in_a_header() -> None:
    places = [f"{1_700_000_000_000 + 977 * one}-{one}.{one + 1}/{10**6 + 31 * one}" for one in range(64)]

    assert len(wire.write_cursor(places)) < 1000


def packed(*numbers: int) -> str:
    return base64.urlsafe_b64encode(zlib.compress(bytes(numbers))).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "é", "a" * 70_000, "!!!!", packed(), packed(3, 2, 0, 0, 0), packed(1, 3, 0, 0, 0, 0),
        packed(1, 2, 0, 0), packed(1, 2, 0, 0, 0, 0), packed(1, 2, 0, 0, 5), packed(2, 2, 0, 0, 5, 0, 0),
        packed(1, 2, *[255] * 10, 0, 0),
        packed(1, 2, 0, 0, 0x80),
        base64.urlsafe_b64encode(zlib.compress(bytes(10_000_000))).decode(),
        base64.urlsafe_b64encode(zlib.compress(b"\x01\x02\x00\x00\x00")[:-1]).decode(),
        base64.urlsafe_b64encode(zlib.compress(b"\x01\x02\x00\x00\x00") + b"x").decode(),
    ],
    ids=lambda cursor: cursor[:12],
)  # fmt: skip
def test_what_is_no_cursor_of_this_engine_is_refused(cursor: str) -> None:
    with pytest.raises(EngineError) as refused:
        wire.read_cursor(cursor, 2)

    assert (refused.value.code.name, refused.value.field) == ("INVALID_ARGUMENT", "after")


def test_a_cursor_of_the_release_before_is_read() -> None:
    assert wire.read_cursor(packed(1, 4, 9, 0, 1, 2, 7, 0, 5, 8, 3), 4) == ["", "0-0", "9-7", "12-8.3"]


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader_of_cursors(data: bytes) -> None:
    cursor = base64.urlsafe_b64encode(zlib.compress(data)).decode()
    try:
        places = wire.read_cursor(cursor, 3)
    except EngineError:
        return

    assert wire.read_cursor(wire.write_cursor(places), 3) == places


def test_an_event_is_read_in_the_form_of_this_release_and_of_the_one_before() -> None:
    new = Event.read(7, "5-1", 2, "cancelled 7-aa cancelled 1 2 default/main mail no more\nwork")
    old = Event.read(7, "5-1", 1, "attempt_failed 7-aa waiting 1 2 SomeError")

    assert (new.namespace, new.lane, new.kind, new.detail) == ("default", "main", "mail", "no more\nwork")
    assert (old.namespace, old.lane, old.kind, old.detail) == ("", "", "", "SomeError")
    assert (new.family, old.family, new.at_ms) == ("completion", "lease", 5)
    assert Event.read(7, "5-1", 1, "created 7-aa waiting 0 0 a/b c ").detail == ""
    tagged = Event.read(7, "5-1", 1, "cancelled 7-aa cancelled 1 2 a/b c?0f?1e why ?2d")
    assert (tagged.kind, tagged.detail) == ("c", "why ?2d")
    with pytest.raises(ValueError, match="no event"):
        Event.read(7, "5-1", 1, "nonsense")


def test_an_event_is_shown_with_an_id_of_its_own() -> None:
    response = pb.SubscribeResponse()

    wire.add_event(response.events, Event.read(7, "5-1", 2, "signal 7-aa suspended 1 2 a/b c 1 approval"))

    [event] = response.events
    assert (event.event_id, event.family, event.time.ToMilliseconds()) == (
        "7-5-1.2",
        pb.EVENT_FAMILY_SIGNAL,
        5,
    )
    assert (event.namespace, event.lane, event.kind, event.detail) == ("a", "b", "c", "1 approval")


def test_families_are_names_of_events_and_the_lifecycle_is_all() -> None:
    assert EventFilter().names == frozenset()
    assert EventFilter(frozenset({"lifecycle", "signal"})).names == frozenset()
    assert EventFilter(frozenset({"completion", "signal"})).names == FAMILIES["completion"] | {"signal"}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.SubscribeRequest(families=["EVENT_FAMILY_UNSPECIFIED"]), "families"),
        (pb.SubscribeRequest.FromString(b"\x1a\x01\x09"), "families"),
        (pb.SubscribeRequest(namespace="a b"), "namespace"),
        (pb.SubscribeRequest(lane="a/b"), "lane"),
        (pb.SubscribeRequest(kind="a\n"), "kind"),
        (pb.SubscribeRequest(tags=["nothing"]), "tags"),
    ],
    ids=str,
)
def test_a_subscription_that_asks_for_what_is_not_is_refused(
    request_: pb.SubscribeRequest, field: str
) -> None:
    with pytest.raises(EngineError) as refused:
        wire.event_filter(request_)

    assert (refused.value.code.name, refused.value.field) == ("INVALID_ARGUMENT", field)
