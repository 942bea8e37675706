"""The OpenAPI 3.1 description of the routes, made from descriptors and the comments of the protos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from ff_core.errors import ErrorCode
from ff_gateway.http import callback
from ff_gateway.http.binding import CREATES_UNLESS, EMPTY_IS_NO_CONTENT, Binding, twin_of
from ff_gateway.http.comments import proto_comments
from ff_gateway.http.schema import Json, field_schema, reference, schemas_of
from ff_gateway.http.stream import EVENTS, LINES

ERROR: Mapping[str, Json] = {
    "type": "object",
    "required": ["error", "kind", "retryable"],
    "properties": {
        "error": {"type": "string", "description": "For people."},
        "kind": {"enum": [code.name for code in ErrorCode], "description": "For programs."},
        "retryable": {"type": "boolean", "description": "Whether the same call may succeed later."},
        "field": {"type": "string", "description": "Where in the request the fault is."},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "retry_after_ms": {"type": "integer", "description": "As the Retry-After header, in milliseconds."},
        "limit_bytes": {"type": "integer", "description": "With PAYLOAD_TOO_LARGE: the limit of the body."},
        "route": {"type": "string", "description": "With PAYLOAD_TOO_LARGE: the route that has the limit."},
    },
}
LAST_EVENT_ID: Mapping[str, Json] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Id of the last event seen; goes before `after`.",
    "schema": {"type": "string"},
}


def openapi_document(bindings: Sequence[Binding], *, secured: bool) -> Mapping[str, Json]:
    """The whole description."""
    comments = proto_comments()
    paths: dict[str, dict[str, Json]] = {}
    seen: Counter[str] = Counter()
    for binding in bindings:
        name = binding.method.full_name
        seen[name] += 1
        operation = _operation(binding, comments, seen[name])
        paths.setdefault(binding.path, {})[binding.verb.lower()] = operation
        if name == callback.DELIVER_SIGNAL:
            paths[callback.PATH] = {"post": callback.callback_operation(comments)}
    services = {_service(binding.method): binding.method.containing_service for binding in bindings}
    messages = [each for binding in bindings for each in (binding.input_type, binding.output_type)]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FlowFabric",
            "version": version("flowfabric"),
            "description": "The gRPC methods as JSON. Unknown fields and parameters are refused.",
        },
        "tags": [
            {"name": name, "description": comments.get(service.full_name, "")}
            for name, service in services.items()
        ],
        "security": [{"bearer": []}] if secured else [],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": ERROR, **schemas_of(messages, comments)},
            "responses": {
                "Error": {
                    "description": "An error.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
        },
    }


def _operation(binding: Binding, comments: Mapping[str, str], number: int) -> Mapping[str, Json]:
    method = binding.method
    comment = comments.get(method.full_name, "")
    operation: dict[str, Json] = {
        "operationId": method.name if number == 1 else f"{method.name}_{number}",
        "tags": [_service(method)],
        "summary": " ".join(comment.partition(".")[0].split()) or method.name,
        "description": comment,
        "parameters": _parameters(binding, comments),
        "responses": {**_answers(binding), "default": {"$ref": "#/components/responses/Error"}},
    }
    if binding.body:
        schema = (
            reference(method.input_type)
            if binding.body == "*"
            else field_schema(method.input_type.fields_by_name[binding.body], comments)
        )
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _parameters(binding: Binding, comments: Mapping[str, str]) -> list[Json]:
    found: list[Json] = [
        {
            "name": field.name,
            "in": "path",
            "required": True,
            "description": comments.get(field.full_name, ""),
            "schema": field_schema(field, {}),
        }
        for field in binding.path_fields
    ]
    for name, field in binding.query_fields.items():
        if name == field.name:
            found.append(
                {
                    "name": name,
                    "in": "query",
                    "description": comments.get(field.full_name, ""),
                    "schema": field_schema(field, {}),
                }
            )
    is_stream = binding.method.server_streaming or twin_of(binding)
    if is_stream and "after" in binding.input_type.fields_by_name:
        found.append(LAST_EVENT_ID)
    return found


def _answers(binding: Binding) -> dict[str, Json]:
    """Every answer that is not an error."""
    name = binding.method.full_name
    content = _content(binding)
    if binding.method.server_streaming:
        return {
            "200": {
                "description": "Each message is `event: message`; a late error is `event: error`; "
                "after the last comes `event: end`.",
                "content": content,
            },
            "204": {"description": "The stream is over; there is nothing to come back for."},
        }
    answers: dict[str, Json] = {"200": {"description": "Done.", "content": content}}
    if name in EMPTY_IS_NO_CONTENT:
        answers["204"] = {"description": f"No {EMPTY_IS_NO_CONTENT[name]}."}
    if name in CREATES_UNLESS:
        answers["201"] = {"description": "Created.", "content": content}
        answers["200"] = {"description": f"Nothing new: {CREATES_UNLESS[name]}.", "content": content}
    return answers


def _content(binding: Binding) -> Mapping[str, Json]:
    """Content types of an answer and their schemas."""
    if binding.method.server_streaming:
        schema = reference(binding.output_type)
        return {EVENTS: {"schema": {"type": "string"}}, LINES: {"schema": schema}}
    if not binding.response_body:
        twin = twin_of(binding)
        stream = _content(twin) if twin else {}
        return {"application/json": {"schema": reference(binding.output_type)}, **stream}
    field = binding.output_type.fields_by_name[binding.response_body]
    if field.type == FieldDescriptor.TYPE_BYTES and not field.is_repeated:
        return {"application/octet-stream": {}}
    return {"application/json": {"schema": field_schema(field, {})}}


def _service(method: MethodDescriptor) -> str:
    return str(method.containing_service.name)
