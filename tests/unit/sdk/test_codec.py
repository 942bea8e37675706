"""How values become bytes and come back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from flowfabric import _codec


@dataclass
class Point:
    x: int
    y: int


class Document(BaseModel):
    title: str
    written: datetime


@given(st.binary())
def test_bytes_stay_as_they_are(data: bytes) -> None:
    assert _codec.encode(data) == data
    assert _codec.decode(data, bytes) == data
    assert _codec.encoder(bytes)(data) == data


@pytest.mark.parametrize(
    ("value", "as_type"),
    [
        ("text", str),
        (7, int),
        ([1, 2], list[int]),
        ({"a": None}, dict[str, int | None]),
        (Point(1, 2), Point),
        (Document(title="t", written=datetime(2030, 1, 2, tzinfo=UTC)), Document),
        ([Point(3, 4)], list[Point]),
        (None, type(None)),
        (None, int | None),
        (5, Annotated[int, Field(gt=1)]),
    ],
)
def test_values_come_back(value: object, as_type: Any) -> None:
    by_value, by_type = _codec.encode(value), _codec.encoder(as_type)(value)

    assert _codec.decode(by_value, as_type) == value
    assert _codec.decode(by_type, as_type) == value


def test_none_is_written_as_nothing() -> None:
    assert _codec.encode(None) == b""
    assert _codec.encoder(int | None)(None) == b""


def test_nothing_is_no_value_where_none_is_not_allowed() -> None:
    with pytest.raises(ValidationError):
        _codec.decode(b"", int)


def test_what_is_read_is_checked() -> None:
    with pytest.raises(ValidationError):
        _codec.decode(b'{"x": 1}', Point)


def test_a_type_that_cannot_be_a_key_works() -> None:
    assert _codec.decode(b"3", Annotated[int, Field(json_schema_extra={"unhashable": []})]) == 3
