"""News of a partition as Python reads them."""

from __future__ import annotations

import pytest

from ff_core.news import Weight, has_transition, parse_news


def test_each_execution_is_read_with_the_weight_of_its_mark() -> None:
    assert list(parse_news(b"~0-a 0-b !0-c")) == [
        ("0-a", Weight.MINOR),
        ("0-b", Weight.CHANGE),
        ("0-c", Weight.END),
    ]


@pytest.mark.parametrize(
    ("message", "expected"),
    [(b"~0-a", False), (b"~0-a ~0-b", False), (b"~0-a 0-b", True), (b"!0-a", True), (b"", False)],
)
def test_minor_news_alone_is_no_transition(message: bytes, expected: bool) -> None:
    assert has_transition(message) is expected
