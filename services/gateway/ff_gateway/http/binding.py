"""One route of one method, as its google.api.http annotation says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

VARIABLE = re.compile(r"\{([^{}]*)\}")

#: Well-known messages whose JSON form is one string, so that they fit in a query.
STRING_MESSAGES = frozenset({"google.protobuf.Duration", "google.protobuf.Timestamp"})

#: Methods that answer 204 when this repeated field of the answer is empty.
EMPTY_IS_NO_CONTENT: Mapping[str, str] = {"flowfabric.worker.v1.WorkerService.Claim": "grants"}

#: Methods that answer 201, or 200 when this field says that nothing new was made.
CREATES_UNLESS: Mapping[str, str] = {"flowfabric.execution.v1.ExecutionService.CreateExecution": "duplicate"}

#: Methods whose routes serve this streaming method of the same service to those who accept a stream.
STREAM_TWINS: Mapping[str, str] = {"flowfabric.output.v1.OutputService.ReadOutput": "TailOutput"}


@dataclass(frozen=True, slots=True)
class Binding:
    """A verb and a path for a method. `body` and `response_body` are as in google.api.http."""

    method: MethodDescriptor
    verb: str
    path: str
    body: str
    response_body: str
    path_fields: tuple[FieldDescriptor, ...]
    query_fields: Mapping[str, FieldDescriptor] = field(repr=False)
    """By proto name and by JSON name."""

    @property
    def input_type(self) -> Descriptor:
        return self.method.input_type

    @property
    def output_type(self) -> Descriptor:
        return self.method.output_type


def bindings_of(service: ServiceDescriptor) -> Iterator[Binding]:
    """Every route of the service; methods without annotation have none."""
    for method in service.methods:
        options = method.GetOptions()
        if options.HasExtension(annotations_pb2.http):
            rule = options.Extensions[annotations_pb2.http]
            for each in (rule, *rule.additional_bindings):
                yield _bind(method, each)


def twin_of(binding: Binding) -> Binding | None:
    """The stream that the same route serves to those who accept one."""
    name = STREAM_TWINS.get(binding.method.full_name)
    if name is None:
        return None
    return _bind(binding.method.containing_service.methods_by_name[name], HttpRule(get=binding.path))


def field_named(message: Descriptor, name: str) -> FieldDescriptor | None:
    """The field with this proto name or JSON name."""
    return message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)


def is_plain(field: FieldDescriptor) -> bool:
    """Whether one string says a value of the field."""
    return field.message_type is None or field.message_type.full_name in STRING_MESSAGES


def map_value(field: FieldDescriptor) -> FieldDescriptor | None:
    """The field that describes the values of a map; None for what is no map."""
    message = field.message_type
    return message.fields_by_name["value"] if message and message.GetOptions().map_entry else None


def _bind(method: MethodDescriptor, rule: HttpRule) -> Binding:
    if method.client_streaming:
        raise ValueError(f"{method.full_name}: a client stream cannot have a route")
    pattern = rule.WhichOneof("pattern")
    if pattern is None:
        raise ValueError(f"{method.full_name}: the annotation has no path")
    verb, path = (
        (rule.custom.kind, rule.custom.path)
        if pattern == "custom"
        else (pattern.upper(), str(getattr(rule, pattern)))
    )
    path_fields = tuple(_path_field(method, name) for name in VARIABLE.findall(path))
    for name, message in ((rule.body, method.input_type), (rule.response_body, method.output_type)):
        if name not in ("", "*") and name not in message.fields_by_name:
            raise ValueError(f"{method.full_name}: {message.full_name} has no field {name!r}")
    taken = {each.name for each in path_fields} | {rule.body}
    asked = [
        each
        for each in method.input_type.fields
        if rule.body != "*" and each.name not in taken and is_plain(each)
    ]
    return Binding(
        method=method,
        verb=verb,
        path=path,
        body=rule.body,
        response_body=rule.response_body,
        path_fields=path_fields,
        query_fields={name: each for each in asked for name in (each.name, each.json_name)},
    )


def _path_field(method: MethodDescriptor, name: str) -> FieldDescriptor:
    """The field that a path variable fills: a scalar of the request itself."""
    found = method.input_type.fields_by_name.get(name)
    if found is None or found.is_repeated or found.message_type is not None:
        raise ValueError(f"{method.full_name}: {{{name}}} must name a scalar field of the request")
    return found
