"""The summary: a rolling document, merged as RFC 7396 says, bounded, over all attempts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_core.wire import output as wire
from ff_lua import assemble
from flowfabric_api.worker.v1 import worker_pb2 as pb

from .harness.engines import LuaEngine
from .harness.scenario import Scenario

DURABLE, SUMMARY = 1, 2
PATCH, REPLACE = 5, 6

MERGE = """
register('merge', function(keys, args) return ff.merge(args[1], args[2]) end)
"""


@pytest.fixture(scope="module")
def merging() -> Iterator[LuaEngine]:
    library = assemble()
    engine = LuaEngine(replace(library, code=library.code + MERGE))
    yield engine
    engine.close()


def merge(engine: LuaEngine, document: bytes, patch: bytes) -> bytes | None:
    reply = engine.call("merge", ["ff:{p:0}:executions"], [document, patch])
    assert reply is None or isinstance(reply, bytes)
    return reply


def canonical(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merged(target.get(name), value)
    return target


NAME = st.one_of(st.sampled_from("abc"), st.text(st.characters(exclude_categories=["Cs"]), max_size=3))
VALUE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**25), 10**25),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.sampled_from(['"', "\\", '\\"', "{", "}", "[,]", ":", "null", "NaN"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAME, inner, max_size=4)),
    max_leaves=8,
)
OBJECT = st.dictionaries(NAME, VALUE, max_size=5)


@settings(max_examples=300, deadline=None)
@given(document=OBJECT, patch=OBJECT)
def test_a_patch_does_what_the_rfc_says(merging: LuaEngine, document: Any, patch: Any) -> None:
    found = merge(merging, canonical(document), canonical(patch))

    assert found is not None
    assert json.loads(found) == merged(document, patch)
    assert found == canonical(json.loads(found))  # canonical again, so that the next patch finds its names


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [  # the examples of the RFC that are about objects, and what cjson would break
        ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
        ('{"a":"b"}', '{"a":null}', "{}"),
        ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
        ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
        ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
        ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
        ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
        ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
        ('{"a":[]}', '{"b":{}}', '{"a":[],"b":{}}'),
        ('{"a":9223372036854775807}', '{"b":0.1234567890123456}',
         '{"a":9223372036854775807,"b":0.1234567890123456}'),
        ('{"a":1}', '{"a":NaN,"b":{"c":NaN}}', '{"a":null,"b":{"c":null}}'),
        ('{"a":"NaN"}', '{"b":"null"}', '{"a":"NaN","b":"null"}'),
    ],
)  # fmt: skip
def test_patches_that_are_easy_to_get_wrong(
    merging: LuaEngine, document: str, patch: str, result: str
) -> None:
    assert merge(merging, document.encode(), patch.encode()) == result.encode()


@pytest.mark.parametrize(
    "text", ["", "[]", "1", '"a"', "{", '{"a"', '{"a":', '{"a":1', '{"a":{', '{"a":"b', "{}x"]
)
def test_what_is_no_object_is_not_merged(merging: LuaEngine, text: str) -> None:
    assert merge(merging, b"{}", text.encode()) is None


def put(scenario: Scenario, lease: str, first: int, *changes: tuple[int, str]) -> list[object]:
    parts: list[object] = []
    for number, (kind, data) in enumerate(changes, first):
        parts += (number, SUMMARY, kind, data)
    reply: list[object] = scenario.call("output_append", lease, *parts)  # type: ignore[arg-type]
    return reply


def summary(scenario: Scenario, id: str) -> list[Any]:
    reply: list[Any] = scenario.call("output_summary", id)
    return reply


def test_every_change_makes_a_version_and_readers_see_the_newest(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert summary(scenario, grant.id) == [b"OK"]
    assert put(scenario, grant.lease, 1, (PATCH, '{"a":1,"b":2}'), (PATCH, '{"a":null}')) == [b"OK", 2]
    first = summary(scenario, grant.id)
    assert put(scenario, grant.lease, 3, (REPLACE, '{"c":null}')) == [b"OK", 3]

    assert first[:3] == [b"OK", b'{"b":2}', 2]
    assert summary(scenario, grant.id)[:3] == [b"OK", b'{"c":null}', 3]
    assert summary(scenario, "0-ff") == [b"EXECUTION_NOT_FOUND"]


def test_a_repeated_patch_changes_nothing(scenario: Scenario) -> None:
    grant = scenario.hold()
    put(scenario, grant.lease, 1, (PATCH, '{"a":1}'))

    assert put(scenario, grant.lease, 1, (PATCH, '{"a":1}')) == [b"OK", 1]
    assert summary(scenario, grant.id)[2] == 1


def test_a_summary_over_its_size_is_refused_after_what_came_before_it(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"summary_max_bytes": 20})

    refused = put(
        scenario, grant.lease, 1, (PATCH, '{"a":1}'), (PATCH, '{"b":"%s"}' % ("x" * 20)), (PATCH, '{"c":1}')
    )

    assert refused == [b"PAYLOAD_TOO_LARGE", 1]
    assert summary(scenario, grant.id)[1:3] == [b'{"a":1}', 1]
    assert put(scenario, grant.lease, 2, (PATCH, '{"a":2}')) == [b"OK", 2]


def test_a_patch_that_is_no_object_is_refused_after_what_came_before_it(scenario: Scenario) -> None:
    grant = scenario.hold()
    frames = (1, DURABLE, 1, b"kept", 2, SUMMARY, PATCH, b"[1]", 3, DURABLE, 1, b"lost")

    assert scenario.call("output_append", grant.lease, *frames) == [b"INVALID_ARGUMENT", 1]
    assert summary(scenario, grant.id) == [b"OK"]


def test_a_summary_goes_on_over_attempts_and_replays(scenario: Scenario) -> None:
    grant = scenario.hold()
    put(scenario, grant.lease, 1, (PATCH, '{"a":1}'))
    scenario.complete(grant.lease)
    scenario.call("execution_replay", grant.id)
    again = scenario.reclaim(grant.id)

    put(scenario, again.lease, 1, (PATCH, '{"b":2}'))

    assert summary(scenario, grant.id)[1:3] == [b'{"a":1,"b":2}', 2]


def test_nothing_of_the_output_is_left_after_its_retention(scenario: Scenario) -> None:
    grant = scenario.hold(policy={"retention_ms": 1000})
    put(scenario, grant.lease, 1, (PATCH, '{"a":1}'))
    scenario.call("output_append", grant.lease, 2, DURABLE, 1, b"a", 3, 3, 1, b"b")
    scenario.complete(grant.lease)

    scenario.engine.advance(1001)
    scenario.call("retention_purge", 10)

    assert scenario.keys_of(grant.id) == []


def test_a_patch_from_the_wire_fits(scenario: Scenario) -> None:
    grant = scenario.hold()
    message = pb.Frame(number=1, kind="FRAME_KIND_SUMMARY", data=b' {"a": {"b" : []}} ', null_paths=["/a/c"])
    ([frame], _) = wire.frames([message], 1000)

    put(scenario, grant.lease, frame.number, (frame.kind, frame.data.decode()))

    assert summary(scenario, grant.id)[1] == b'{"a":{"b":[],"c":null}}'
