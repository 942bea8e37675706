"""The comments of the protos, by the full name of what they describe.

Generated modules carry no comments, so `make proto` writes the descriptors with their source beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import Message

#: Lists that hold something with a name: of files, messages, enums and services.
NAMED_LISTS = frozenset({"enum_type", "field", "message_type", "method", "nested_type", "service", "value"})


@cache
def proto_comments() -> Mapping[str, str]:
    """Leading comments of every service, method, message, field, enum and enum value of the wire.

    A value of an enum is named below its enum here: protobuf itself names it beside.
    """
    data = (files("flowfabric_api") / "descriptors.binpb").read_bytes()
    return {
        name: comment
        for file in FileDescriptorSet.FromString(data).file
        for name, comment in _comments_of(file)
    }


def _comments_of(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    names = dict(_names_below(file, (), file.package))
    for location in file.source_code_info.location:
        name = names.get(tuple(location.path))
        if name and location.leading_comments:
            lines = (line.removeprefix(" ") for line in location.leading_comments.splitlines())
            yield name, "\n".join(lines).strip()


def _names_below(parent: Message, path: tuple[int, ...], name: str) -> Iterator[tuple[tuple[int, ...], str]]:
    """Source path and full name of everything below: a path is field numbers and places in their lists."""
    for field, value in parent.ListFields():
        if field.name in NAMED_LISTS:
            for place, child in enumerate(value):
                child_path, child_name = (*path, field.number, place), f"{name}.{child.name}"
                yield child_path, child_name
                yield from _names_below(child, child_path, child_name)
