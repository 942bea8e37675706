"""Values as JSON: fields by name, times in ISO 8601, lengths of time in seconds.

Bytes that are UTF-8 stand as text under the name of their field, others in base64 under `<name>_base64`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import typer

from flowfabric._condition import Condition
from flowfabric._event import EventFamily
from flowfabric._execution import Execution, FrameClass, FrameKind


def document(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, Condition):
        return str(value)
    if is_dataclass(value):
        found: dict[str, Any] = {}
        for each in fields(value):
            part = getattr(value, each.name)
            found |= text(each.name, part) if isinstance(part, bytes) else {each.name: document(part)}
        return found
    if isinstance(value, Mapping):
        return {str(key): document(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [document(each) for each in value]
    return scalar(value)


def scalar(value: Any) -> Any:
    """A single value as JSON has it."""
    match value:
        case FrameKind() | FrameClass() | EventFamily():
            return value.name.lower()
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
    return value


def text(name: str, data: bytes) -> dict[str, str]:
    """Bytes under a name that says how they are written."""
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def execution_document(execution: Execution, *, with_payload: bool = False) -> dict[str, Any]:
    """An execution; without the payload unless that was fetched."""
    found: dict[str, Any] = document(execution)
    if not with_payload:
        del found["payload"]
    return found


def print_document(value: Any) -> None:
    """One document, for people and programs."""
    typer.echo(json.dumps(value, indent=2))


def print_line(value: Any) -> None:
    """One line of JSON lines."""
    typer.echo(json.dumps(value, separators=(",", ":")))
