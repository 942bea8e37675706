"""The check of the tree sees what it is there to see."""

from __future__ import annotations

import pytest

from tools import check_tree


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("core/ff_core/lease.py", "\n" * 801, "801 lines"),
        ("lua/ff_lua/lease.lua", "\n" * 401, "401 lines"),
        ("core/ff_core/" + "utils.py", "", "says nothing"),
        ("core/ff_core/" + "helpers/lease.py", "", "says nothing"),
        ("constraints.txt", "--extra-" + "index-url x", "names a registry"),
        ("README.md", "see https://pypi." + "org/project/x", "names a registry"),
        ("README.md", "cd /home/" + "alice/flowfabric", "names a path"),
    ],
)
def test_a_violation_is_reported(name: str, text: str, expected: str) -> None:
    (problem,) = check_tree.problems(name, text)

    assert expected in problem


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/ff_core/lease.py", "\n" * 800),
        ("proto/gen/flowfabric_api/worker/v1/worker_pb2.py", "\n" * 5000),
        ("docs/rest.md", "GET /v1/work/next and ./work/next"),
    ],
)
def test_what_is_allowed_is_not_reported(name: str, text: str) -> None:
    assert list(check_tree.problems(name, text)) == []
