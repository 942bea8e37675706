"""One frame of output, and changes of the summary, which fold into one while they wait to be sent.

A change is a tree of dicts whose leaves are JSON texts, taken when the handler hands it over: what it does to
its objects later changes nothing. `NULL` in it becomes a path beside the patch, because a patch removes with
null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, Union

from pydantic_core import to_json

from flowfabric._execution import FrameClass, FrameKind

# What the engine takes of one patch.
MAX_NULLS = 32
MAX_DEPTH = 16
# Larger changes are sent as they are: each fold writes the whole anew.
FOLD_BYTES = 16 * 1024


class Null:
    """The type of NULL."""

    def __repr__(self) -> str:
        return "NULL"


#: Sets a member of the summary to null; None removes it.
NULL: Final = Null()

Change: TypeAlias = dict[str, Union["Change", bytes, Null]]

REMOVED = b"null"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; its number is given when it is sent."""

    kind: int
    data: bytes
    frame_class: int = FrameClass.DURABLE
    null_paths: tuple[str, ...] = ()
    change: Change | None = None
    """Of a summary frame; what it is made of."""


def summary_frame(document: Mapping[str, object], *, replace: bool = False) -> Frame:
    """A frame that patches the summary, or replaces it. Raises ValueError if it can be none."""
    frame = _frame(_taken(document, keep_nulls=not replace), replace=replace)
    if len(frame.null_paths) > MAX_NULLS:
        raise ValueError(f"{len(frame.null_paths)} members set to NULL; at most {MAX_NULLS} in one patch")
    return frame


def folded(first: Frame, then: Frame) -> Frame | None:
    """One frame that does what two changes of the summary do in turn; None where there is none."""
    if first.change is None or then.change is None:
        return None
    if then.kind == FrameKind.SUMMARY_REPLACE:
        return then
    if len(first.data) + len(then.data) > FOLD_BYTES:
        return None
    replace = first.kind == FrameKind.SUMMARY_REPLACE
    change = _merged(first.change, then.change) if replace else _composed(first.change, then.change)
    frame = None if change is None else _frame(change, replace=replace)
    return frame if frame is not None and len(frame.null_paths) <= MAX_NULLS else None


def _frame(change: Change, *, replace: bool) -> Frame:
    paths: list[str] = []
    data = b"".join(_text(change, "", paths))
    kind = FrameKind.SUMMARY_REPLACE if replace else FrameKind.SUMMARY
    return Frame(kind, data, FrameClass.SUMMARY, tuple(paths), change)


def _taken(document: Mapping[str, object], *, keep_nulls: bool, depth: int = 1) -> Change:
    _check_depth(depth)
    found: Change = {}
    for name, value in document.items():
        if not isinstance(name, str):
            raise TypeError(f"names of a summary are text, not {name!r}")
        if isinstance(value, Mapping):
            found[name] = _taken(value, keep_nulls=keep_nulls, depth=depth + 1)
        elif isinstance(value, Null):
            found[name] = value if keep_nulls else REMOVED
        else:
            found[name] = _leaf(value, depth)
    return found


def _leaf(value: object, depth: int) -> bytes:
    """The JSON text of what is no object of a change; it may hold lists, and objects in these."""
    text = to_json(value)
    if not (value is None or isinstance(value, bool | str)):
        _check_depth(depth + _depth(json.loads(text, parse_constant=_number, parse_float=_number)))
    return text


def _number(literal: str) -> float:
    if not math.isfinite(float(literal)):
        raise ValueError(f"{literal[:20]} is no number of JSON")
    return 0.0


def _depth(value: object) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"a summary is nested {MAX_DEPTH} deep at most")


def _text(change: Change, path: str, paths: list[str]) -> Iterator[bytes]:
    """The JSON of a change; members that it sets to null are left out and their pointers appended."""
    yield b"{"
    comma = b""
    for name, value in change.items():
        pointer = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if isinstance(value, Null):
            paths.append(pointer)
            continue
        yield comma + to_json(name) + b":"
        comma = b","
        if isinstance(value, bytes):
            yield value
        else:
            yield from _text(value, pointer, paths)
    yield b"}"


def _composed(first: Change, then: Change) -> Change | None:
    """The patch that does what two do; None when an object replaces what was none, which no patch says."""
    found = dict(first)
    for name, value in then.items():
        before = found.get(name)
        if not isinstance(value, dict) or before is None:
            found[name] = value
        elif not isinstance(before, dict) or (within := _composed(before, value)) is None:
            return None
        else:
            found[name] = within
    return found


def _merged(document: Change, patch: Change) -> Change:
    """A document after a patch."""
    found = dict(document)
    for name, value in patch.items():
        before = found.get(name)
        if isinstance(value, dict):
            found[name] = _merged(before if isinstance(before, dict) else {}, value)
        elif value == REMOVED:
            found.pop(name, None)
        else:
            found[name] = REMOVED if isinstance(value, Null) else value
    return found
