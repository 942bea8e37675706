"""A class is one canonical name for one requirement, whatever the tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_core.capabilities import MAX_BYTES, MAX_TOKENS, class_of, required_by
from ff_core.errors import EngineError, ErrorCode

HOSTILE = [
    "", ",", "a,b", " ", "a b", "\t", "gpu\n", "\ngpu", "gpu\r", "a\x00b", "\x1f", "\x7f", "a\u00a0b",
    "a\u2028b", "a\u3000b", "\x85",
]  # fmt: skip
TOKEN = st.from_regex(r"[!-+\--~à-ÿ]{1,12}", fullmatch=True)


@pytest.mark.parametrize("token", HOSTILE, ids=ascii)
def test_a_token_that_could_be_taken_for_another_is_refused(token: str) -> None:
    with pytest.raises(EngineError) as refused:
        class_of(["fine", token], "spec.required_capabilities")

    assert refused.value.code is ErrorCode.INVALID_ARGUMENT
    assert refused.value.field == "spec.required_capabilities"


def test_too_many_tokens_are_refused() -> None:
    assert class_of(str(number) for number in range(MAX_TOKENS))

    with pytest.raises(EngineError, match="257 tokens; at most 256"):
        class_of(str(number) for number in range(MAX_TOKENS + 1))


def test_too_long_a_class_is_refused_by_bytes_not_characters() -> None:
    assert class_of(["é" * (MAX_BYTES // 2)])

    with pytest.raises(EngineError, match="4098 bytes; at most 4096"):
        class_of(["é" * (MAX_BYTES // 2 + 1)])


def test_nothing_required_is_the_empty_class() -> None:
    assert class_of([]) == ""
    assert required_by("") == frozenset()


def test_case_is_kept() -> None:
    assert class_of(["GPU", "gpu"]) == "GPU,gpu"


def test_a_slash_is_a_character_like_any_other() -> None:
    assert required_by(class_of(["vendor/model"])) == {"vendor/model"}


@given(st.lists(TOKEN, max_size=20), st.randoms())
def test_order_and_repetition_make_no_other_class(tokens: list[str], random: object) -> None:
    shuffled = [*tokens, *tokens]
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert class_of(shuffled) == class_of(tokens)


@given(st.lists(TOKEN, max_size=20))
def test_a_class_is_read_back_as_its_tokens(tokens: list[str]) -> None:
    assert required_by(class_of(tokens)) == frozenset(tokens)
