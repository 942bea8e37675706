"""Names that clients choose: everything that could break a key, a channel or a log line is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_core.errors import EngineError, ErrorCode
from ff_core.wire import names

HOSTILE = [
    "a b", "a/b", "a\n", "\na", "a\x00", "a{b}", "a,b", "é", "a" * 65, "*", "?", "[a]", "\u202ea", "a\\",
    "\x7f",
]  # fmt: skip


def refusal(error: pytest.ExceptionInfo[EngineError]) -> tuple[ErrorCode, str]:
    return error.value.code, error.value.field


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_hostile_name_is_refused(value: str) -> None:
    with pytest.raises(EngineError) as refused:
        names.name(value, "spec.lane", names.DEFAULT)

    assert refusal(refused) == (ErrorCode.INVALID_ARGUMENT, "spec.lane")


def test_an_empty_name_is_its_default_or_refused() -> None:
    assert names.name("", "lane", "default") == "default"

    with pytest.raises(EngineError, match="kind: ''"):
        names.name("", "kind")


@given(st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True))
def test_a_good_name_is_kept(value: str) -> None:
    assert names.name(value, "lane") == value


@pytest.mark.parametrize(
    "value", ["", " ", "a b", "a\n", "\x00", "é", "a" * 257, "\x7f"], ids=lambda v: ascii(v)[:20]
)
def test_a_hostile_identifier_is_refused(value: str) -> None:
    with pytest.raises(EngineError) as refused:
        names.identifier(value, "worker_id")

    assert refusal(refused) == (ErrorCode.INVALID_ARGUMENT, "worker_id")


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=256))
def test_printable_ascii_is_an_identifier(value: str) -> None:
    assert names.identifier(value, "worker_id") == value


def test_text_is_measured_in_bytes() -> None:
    assert names.text("é" * 2, "reason", 4) == "éé"

    with pytest.raises(EngineError, match="reason: 5 bytes; at most 4"):
        names.text("éé!", "reason", 4)


@pytest.mark.parametrize(
    ("tags", "field"),
    [
        ({"name": "x"}, "tags"),
        ({"Area.name": "x"}, "tags"),
        ({"area.": "x"}, "tags"),
        ({".name": "x"}, "tags"),
        ({"area.name\n": "x"}, "tags"),
        ({"area.na=me": "x"}, "tags"),
        ({"area." + "n" * 124: "x"}, "tags"),
        ({"1area.name": "x"}, "tags"),
        ({"area.name": ""}, "tags"),
        ({"area.name": "é" * 129}, "tags.area.name"),
        ({f"area.n{number}": "x" for number in range(33)}, "tags"),
    ],
)
def test_hostile_tags_are_refused(tags: dict[str, str], field: str) -> None:
    with pytest.raises(EngineError) as refused:
        names.tags(tags, "tags")

    assert refusal(refused) == (ErrorCode.INVALID_ARGUMENT, field)


def test_an_empty_value_removes_where_that_is_meant() -> None:
    assert names.tags({"area.name": ""}, "tags", removable=True) == {"area.name": ""}


def test_a_filter_is_split_at_the_first_equals_sign() -> None:
    assert names.tag_filter(["area.name=a=b", "area.other=c"], "tags") == {
        "area.name": "a=b",
        "area.other": "c",
    }


def test_a_filter_by_two_values_of_one_tag_is_refused() -> None:
    assert names.tag_filter(["a.b=1", "a.b=1"], "tags") == {"a.b": "1"}
    with pytest.raises(EngineError) as refused:
        names.tag_filter(["a.b=1", "a.b=2"], "tags")

    assert refusal(refused) == (ErrorCode.INVALID_ARGUMENT, "tags")


@pytest.mark.parametrize("value", ["area.name", "area.name=", "=x", ""])
def test_half_a_filter_is_refused(value: str) -> None:
    with pytest.raises(EngineError) as refused:
        names.tag_filter([value], "tags")

    assert refusal(refused) == (ErrorCode.INVALID_ARGUMENT, "tags")
