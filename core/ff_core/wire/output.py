"""Output between the wire and the engine: frames checked on their way in, shown on their way out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer as Messages

from ff_core.errors import EngineError, ErrorCode, invalid
from ff_core.output import FrameClass, NewFrame, OutputFilter, StoredFrame, Summary
from ff_core.wire.time import point
from flowfabric_api.output.v1 import output_pb2 as pb
from flowfabric_api.worker.v1 import worker_pb2

MAX_DEPTH = 16
MAX_NULL_PATHS = 32
#: Kinds that change the summary.
CHANGES = frozenset({pb.FRAME_KIND_SUMMARY, pb.FRAME_KIND_SUMMARY_REPLACE})
#: Written as NaN, which JSON has no use for; merge.lua makes null of it.
EXPLICIT_NULL = math.nan


def frames(
    messages: Sequence[worker_pb2.Frame], max_frame_bytes: int
) -> tuple[list[NewFrame], EngineError | None]:
    """Checks frames: numbers that count up by one, data within the limit, and changes of the summary.

    Gives those before the first bad one, and what is wrong with that one.
    """
    found: list[NewFrame] = []
    for message in messages:
        try:
            if len(message.data) > max_frame_bytes:
                raise EngineError(
                    ErrorCode.PAYLOAD_TOO_LARGE,
                    f"frames.data: {len(message.data)} bytes; at most {max_frame_bytes}",
                    field="frames.data",
                )
            if message.number < 1 or (found and message.number != found[-1].number + 1):
                raise invalid("frames.number", f"{message.number}: counts up by one from 1")
            found.append(_frame(message))
        except EngineError as error:
            return found, error
    return found, None


def _frame(message: worker_pb2.Frame) -> NewFrame:
    kind = message.kind
    if message.frame_class == pb.FRAME_CLASS_SUMMARY:
        kind = kind or pb.FRAME_KIND_SUMMARY
    elif kind in CHANGES and message.frame_class:
        raise invalid("frames.frame_class", "the summary is changed by frames of its own class")
    if message.frame_class not in pb.FrameClass.values():
        raise invalid("frames.frame_class", f"{message.frame_class} is none")
    if kind not in CHANGES:
        if message.frame_class == pb.FRAME_CLASS_SUMMARY:
            raise invalid("frames.kind", "a frame of the summary is a patch or replaces it")
        if message.null_paths:
            raise invalid("frames.null_paths", "only with a patch of the summary")
        frame_class = FrameClass(message.frame_class or FrameClass.DURABLE)
        return NewFrame(message.number, kind, message.data, frame_class)
    if message.null_paths and kind != pb.FRAME_KIND_SUMMARY:
        raise invalid("frames.null_paths", "a summary that is replaced says its nulls itself")
    return NewFrame(message.number, kind, _change(message.data, message.null_paths), FrameClass.SUMMARY)


def _change(data: bytes, null_paths: Sequence[str]) -> bytes:
    """A change of the summary in the one spelling that merge.lua takes apart."""
    try:
        document = json.loads(data, parse_constant=_refuse, parse_float=_finite)
        if not isinstance(document, dict):
            raise ValueError("not an object")
        if len(null_paths) > MAX_NULL_PATHS:
            raise invalid("frames.null_paths", f"{len(null_paths)}; at most {MAX_NULL_PATHS}")
        for path in null_paths:
            _set_null(document, path)
        if _depth(document) > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        raise invalid("frames.data", f"a summary is a JSON object: {str(error)[:100]}") from None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"{literal[:20]} is too large a number")
    return value


def _set_null(document: dict[str, Any], path: str) -> None:
    """Has the patch set what a JSON pointer (RFC 6901) names to null, in objects only."""
    first, *names = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]
    if first or not names:
        raise invalid("frames.null_paths", f"{path[:40]!r} is no JSON pointer to a member")
    for name in names[:-1]:
        document = document.setdefault(name, {})
        if not isinstance(document, dict):
            raise invalid("frames.null_paths", f"{path[:40]!r} leads through what is no object")
    document[names[-1]] = EXPLICIT_NULL


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def wanted(attempt: int, classes: Iterable[int], kinds: Iterable[int]) -> OutputFilter:
    """Checks what a reader asks for."""
    if attempt < 0:
        raise invalid("attempt", f"{attempt}; from 1, or 0 for all")
    return OutputFilter(
        attempt,
        frozenset(FrameClass(_known(number, pb.FrameClass, "classes")) for number in classes),
        frozenset(_known(number, pb.FrameKind, "kinds") for number in kinds),
    )


def _known(number: int, enum: Any, field: str) -> int:
    if number == 0 or number not in enum.values():
        raise invalid(field, f"{number} is none")
    return number


def add_frame(messages: Messages[pb.OutputFrame], frame: StoredFrame) -> None:
    """Appends a frame to a repeated field."""
    message = messages.add(
        cursor=frame.cursor,
        attempt=frame.attempt,
        number=frame.number,
        kind=frame.kind,
        data=frame.data,
        frame_class=frame.frame_class.value,
        version=frame.version,
    )
    message.time.CopyFrom(point(int(frame.cursor.partition("-")[0])))


def summary_message(summary: Summary | None) -> pb.Summary:
    """A summary; version 0 for none."""
    if summary is None:
        return pb.Summary()
    message = pb.Summary(document=summary.document, version=summary.version, cursor=summary.cursor)
    message.update_time.CopyFrom(point(summary.at_ms))
    return message
