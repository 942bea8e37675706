"""Requests into messages and messages into bodies, guided by descriptors.

The JSON mapping is protobuf's own (`google.protobuf.json_format`), with rules it lacks: bytes that are not
base64 are refused instead of being decoded to something else, and so are a field given twice and a message
that is no object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2  # noqa: F401  registers the details that a Status carries as Any
from multidict import MultiMapping

from ff_core.errors import EngineError, ErrorCode, invalid
from ff_gateway.http.binding import Binding, field_named, map_value

BASE64 = re.compile(r"(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}")
INTEGER = re.compile(r"-?[0-9]{1,20}")
FAILED_FIELD = re.compile(r"Failed to parse (\w+) field")
INTEGERS = frozenset(
    getattr(FieldDescriptor, f"CPPTYPE_{name}") for name in ("INT32", "INT64", "UINT32", "UINT64")
)
MAX_DETAIL = 300


def read_request(
    binding: Binding, variables: Mapping[str, str], query: MultiMapping[str], body: bytes
) -> Message:
    """The request message that path, query and body say together; INVALID_ARGUMENT when they cannot."""
    message = GetMessageClass(binding.input_type)()
    if body:
        _merge_json(message, _body_object(binding, body))
    _merge_json(message, _query_object(binding, query))
    addressed = GetMessageClass(binding.input_type)()
    _merge_json(
        addressed, {field.name: _plain(field, variables[field.name]) for field in binding.path_fields}
    )
    for field in binding.path_fields:
        given = getattr(message, field.name)
        if given not in (field.default_value, getattr(addressed, field.name)):
            raise invalid(field.name, "path and body disagree")
    message.MergeFrom(addressed)
    return message


def to_json(message: Message) -> dict[str, object]:
    """The JSON object of a message: snake_case names, every field without presence printed."""
    return cast(
        "dict[str, object]",
        json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        ),
    )


def dump(value: object) -> bytes:
    """Compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def write_response(binding: Binding, message: Message) -> tuple[bytes, str]:
    """Body and content type of an answer."""
    if not binding.response_body:
        return dump(to_json(message)), "application/json"
    field = binding.output_type.fields_by_name[binding.response_body]
    if field.type == FieldDescriptor.TYPE_BYTES and not field.is_repeated:
        return bytes(getattr(message, field.name)), "application/octet-stream"
    return dump(to_json(message).get(field.name)), "application/json"


def _body_object(binding: Binding, body: bytes) -> dict[str, object]:
    """The body as a JSON object of the request message."""
    if not binding.body:
        raise invalid("body", "this route takes none")
    try:
        value = json.loads(body.decode(), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise EngineError(
            ErrorCode.INVALID_ARGUMENT, f"The body is not JSON: {_cut(str(error))}.", field="body"
        ) from error
    if binding.body != "*":
        value = {binding.body: value}
    _check_object(binding.input_type, value, "")
    return cast("dict[str, object]", value)


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_cut(repeated)!r} is given twice")
    return found


def _check_object(message: Descriptor, value: object, where: str) -> None:
    """Refuses what json_format would let pass; all else is left for it to name."""
    if message.full_name.startswith("google.protobuf."):
        return
    if not isinstance(value, dict):
        raise invalid(where or "body", "must be a JSON object")
    seen = set()
    for name, item in value.items():
        field = field_named(message, name)
        if field is None or item is None:
            continue
        path = f"{where}.{field.name}".lstrip(".")
        if field.name in seen:
            raise invalid(path, "is given under both its names")
        seen.add(field.name)
        inner, items = _items_of(field, item)
        for each in items:
            if inner.message_type is not None:
                _check_object(inner.message_type, each, path)
            elif inner.type == FieldDescriptor.TYPE_BYTES and isinstance(each, str) and not _is_base64(each):
                raise invalid(path, "is not base64")


def _items_of(field: FieldDescriptor, item: object) -> tuple[FieldDescriptor, list[object]]:
    """What describes the values of a field, and the values, of which maps and lists have many."""
    if value := map_value(field):
        return value, list(item.values()) if isinstance(item, dict) else []
    if field.is_repeated:
        return field, item if isinstance(item, list) else []
    return field, [item]


def _is_base64(text: str) -> bool:
    return BASE64.fullmatch(text) is not None and len(text.rstrip("=")) % 4 != 1


def _query_object(binding: Binding, query: MultiMapping[str]) -> dict[str, object]:
    """The query as a JSON object: repeated fields by repeated keys, all others at most once."""
    given: dict[str, list[object]] = {}
    for key, text in query.items():
        field = binding.query_fields.get(key)
        if field is None:
            raise invalid(_cut(key), "no such query parameter")
        values = given.setdefault(field.name, [])
        if values and not field.is_repeated:
            raise invalid(field.name, "given twice")
        values.append(_plain(field, text))
    repeated = {field.name for field in binding.query_fields.values() if field.is_repeated}
    return {name: values if name in repeated else values[0] for name, values in given.items()}


def _plain(field: FieldDescriptor, text: str) -> object:
    """The JSON value that a text of a path or a query means for a field."""
    if field.enum_type is not None:
        return _enum_number(field, field.enum_type, text)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if text not in ("true", "false"):
            raise invalid(field.name, "must be true or false")
        return text == "true"
    if field.type == FieldDescriptor.TYPE_BYTES and not _is_base64(text):
        raise invalid(field.name, "is not base64")
    if field.cpp_type in INTEGERS and not INTEGER.fullmatch(text):
        raise invalid(field.name, "is not an integer")
    return text


def _enum_number(field: FieldDescriptor, enum: EnumDescriptor, text: str) -> int:
    """The number of an enum value named with or without its prefix, in any case."""
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
    name = text.upper()
    value = enum.values_by_name.get(name) or enum.values_by_name.get(prefix + name)
    if value is None:
        known = ", ".join(each.name.removeprefix(prefix) for each in enum.values[1:])
        raise invalid(field.name, f"is none of {known}")
    return int(value.number)


def _merge_json(message: Message, value: dict[str, object]) -> None:
    try:
        json_format.ParseDict(value, message)
    except Exception as error:  # json_format tells bad input with many kinds of exception
        text = str(error)
        raise EngineError(
            ErrorCode.INVALID_ARGUMENT, _cut(text), field=".".join(FAILED_FIELD.findall(text))
        ) from error


def _cut(text: str) -> str:
    return text if len(text) <= MAX_DETAIL else f"{text[:MAX_DETAIL]}…"
