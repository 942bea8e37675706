"""JSON schemas of messages and enums, as `transcode` reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from ff_gateway.http.binding import map_value

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None
Schema = Mapping[str, Json]

INT64: Schema = {"type": ["integer", "string"], "format": "int64", "description": "Printed as a string."}
DOUBLE: Schema = {"type": ["number", "string"], "format": "double"}
SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_DOUBLE: DOUBLE,
    FieldDescriptor.TYPE_FIXED32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptor.TYPE_FIXED64: INT64,
    FieldDescriptor.TYPE_FLOAT: DOUBLE,
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_INT64: INT64,
    FieldDescriptor.TYPE_SFIXED32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_SFIXED64: INT64,
    FieldDescriptor.TYPE_SINT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_SINT64: INT64,
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptor.TYPE_UINT64: INT64,
}
WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "additionalProperties": True,
    },
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$", "examples": ["1.5s"]},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}


def schemas_of(roots: Iterable[Descriptor], comments: Mapping[str, str]) -> dict[str, Schema]:
    """Schemas of these messages and all they refer to, by full name."""
    found: dict[str, Schema] = {}
    waiting: list[Descriptor | EnumDescriptor] = list(roots)
    while waiting:
        each = waiting.pop()
        if each.full_name in found or each.full_name in WELL_KNOWN:
            continue
        if isinstance(each, Descriptor):
            found[each.full_name] = _message_schema(each, comments)
            for field in each.fields:
                inner = map_value(field) or field
                waiting += [type_ for type_ in (inner.message_type, inner.enum_type) if type_ is not None]
        else:
            found[each.full_name] = _enum_schema(each, comments)
    return dict(sorted(found.items()))


def field_schema(field: FieldDescriptor, comments: Mapping[str, str]) -> Schema:
    """The schema of one field with its comment."""
    if value := map_value(field):
        schema: Schema = {"type": "object", "additionalProperties": _single_schema(value)}
    elif field.is_repeated:
        schema = {"type": "array", "items": _single_schema(field)}
    else:
        schema = _single_schema(field)
    comment = comments.get(field.full_name)
    return {**schema, "description": comment} if comment else schema


def reference(type_: Descriptor | EnumDescriptor) -> Schema:
    """A pointer to the schema of a message or enum."""
    return {"$ref": f"#/components/schemas/{type_.full_name}"}


def _single_schema(field: FieldDescriptor) -> Schema:
    if field.enum_type is not None:
        return reference(field.enum_type)
    if field.message_type is not None:
        return WELL_KNOWN.get(field.message_type.full_name) or reference(field.message_type)
    return SCALARS[field.type]


def _message_schema(message: Descriptor, comments: Mapping[str, str]) -> Schema:
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {field.name: field_schema(field, comments) for field in message.fields},
        "additionalProperties": False,
    }
    if comment := comments.get(message.full_name):
        schema["description"] = comment
    return schema


def _enum_schema(enum: EnumDescriptor, comments: Mapping[str, str]) -> Schema:
    described = [(value.name, comments.get(f"{enum.full_name}.{value.name}")) for value in enum.values]
    lines = [f"* `{name}`: {comment}" for name, comment in described if comment]
    return {
        "type": "string",
        "enum": [value.name for value in enum.values],
        "description": "\n".join([comments.get(enum.full_name, ""), *lines]).strip(),
    }
