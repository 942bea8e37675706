"""Journal entries as they are stored."""

from __future__ import annotations

import pytest

from ff_core.store.functions.journal import _end_sequence


@pytest.mark.parametrize(
    ("header", "end_sequence"),
    [
        ({"s": "waiting", "q": 3, "at": 5}, 0),
        ({"s": "done", "q": 3, "at": 5, "end": 5}, 3),
        ({"s": "done", "q": 3, "z": 7, "at": 5, "end": 9}, 7),
        ({"s": "done", "q": 3, "z": 4, "at": 5, "end": 5}, 4),
        ({"s": "done", "q": 3, "at": 5, "end": 9}, 0),
    ],
)
def test_where_an_entry_became_final_is_known_or_said_to_be_unknown(
    header: dict[str, object], end_sequence: int
) -> None:
    assert _end_sequence(header) == end_sequence
