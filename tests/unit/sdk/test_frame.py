"""Changes of the summary: taken at once, folded only where that changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfabric._execution import FrameClass, FrameKind
from flowfabric._frame import NULL, Frame, folded, summary_frame

Document = dict[str, Any]


def applied(document: Document, frame: Frame) -> Document:
    """What the engine makes of a document: RFC 7396, then the paths."""
    if frame.kind == FrameKind.SUMMARY_REPLACE:
        return dict(json.loads(frame.data))
    patch = json.loads(frame.data)
    for path in frame.null_paths:
        *names, last = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
        place = patch
        for name in names:
            place = place.setdefault(name, {})
        place[last] = NULL
    return dict(merged(document, patch))


def merged(target: Any, patch: Any) -> Any:
    if patch is NULL:
        return None
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merged(target.get(name), value)
    return target


NAMES = st.sampled_from(["a", "b", "~/"])
PATCHES = st.dictionaries(
    NAMES,
    st.recursive(
        st.one_of(st.none(), st.just(NULL), st.integers(0, 2), st.just([]), st.just([None])),
        lambda inner: st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
DOCUMENTS = st.dictionaries(
    NAMES, st.recursive(st.integers(0, 2), lambda inner: st.dictionaries(NAMES, inner, max_size=3))
)


@given(DOCUMENTS, PATCHES, PATCHES, st.booleans(), st.booleans())
def test_a_fold_does_what_both_do(
    document: Document, first: Document, then: Document, first_replaces: bool, then_replaces: bool
) -> None:
    frames = [summary_frame(first, replace=first_replaces), summary_frame(then, replace=then_replaces)]
    both = folded(*frames)

    if both is not None:
        assert applied(document, both) == applied(applied(document, frames[0]), frames[1])
    assert both is not None or not (first_replaces or then_replaces)


def test_an_object_over_what_was_none_is_not_folded() -> None:
    assert folded(summary_frame({"a": 1}), summary_frame({"a": {"b": 2}})) is None
    assert folded(summary_frame({"a": None}), summary_frame({"a": {"b": 2}})) is None
    assert folded(summary_frame({"a": {"b": 1}}), summary_frame({"a": 2})) == summary_frame({"a": 2})


def test_a_patch_is_taken_when_it_is_handed_over() -> None:
    patch: Document = {"list": [1], "within": {"a": 1}}
    frame = summary_frame(patch)
    patch["list"].append(2)
    patch["within"]["b"] = 2

    assert folded(frame, summary_frame({"c": 3})) == summary_frame({"list": [1], "within": {"a": 1}, "c": 3})


def test_null_is_a_path_in_a_patch_and_itself_in_a_document() -> None:
    patch = summary_frame({"a": {"b": NULL, "c/~": NULL}, "d": None})
    document = summary_frame({"a": {"b": NULL}, "d": None}, replace=True)

    assert (patch.data, patch.null_paths) == (b'{"a":{},"d":null}', ("/a/b", "/a/c~1~0"))
    assert (document.data, document.null_paths) == (b'{"a":{"b":null},"d":null}', ())
    assert (patch.kind, patch.frame_class) == (FrameKind.SUMMARY, FrameClass.SUMMARY)


def test_what_no_patch_can_be_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="at most 32"):
        summary_frame({str(number): NULL for number in range(33)})
    with pytest.raises(TypeError, match="text"):
        summary_frame({1: 2})  # type: ignore[dict-item]


def deep(levels: int, leaf: Any) -> Any:
    for level in range(levels):
        leaf = {"a": leaf} if level % 2 else [leaf]
    return {"a": leaf}


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), [1.5, [float("inf")]], deep(14, []), deep(13, {"b": [1]}), deep(5000, 1)],
)
@pytest.mark.parametrize("replace", [False, True])
def test_what_the_engine_would_refuse_is_refused_at_once(value: Any, replace: bool) -> None:
    with pytest.raises((ValueError, RecursionError)):
        summary_frame({"a": value}, replace=replace)


@pytest.mark.parametrize("value", [1e300, 10**400, deep(13, []), deep(12, {"b": 1}), ["NaN"], "Infinity"])
def test_what_the_engine_takes_is_taken(value: Any) -> None:
    assert json.loads(summary_frame({"a": value}).data) == {"a": value}
