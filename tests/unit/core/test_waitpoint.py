"""A waitpoint id says all that a token is bound to, in one spelling only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_core import ids
from ff_core.waitpoint import WaitpointRecord, WaitpointRef

EXECUTION = "7-0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
REF = WaitpointRef("team.a", EXECUTION, "s2", 3, 1_790_000_000_000)

REFS = st.builds(
    WaitpointRef,
    namespace=st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True),
    execution_id=st.builds(ids.new_execution_id, st.integers(0, 4095)),
    scope=st.from_regex(r"[sp][1-9][0-9]{0,8}", fullmatch=True),
    number=st.integers(1, 999_999_999),
    expires_ms=st.integers(0, 10**15 - 1),
)


@given(REFS)
def test_an_id_is_read_back(ref: WaitpointRef) -> None:
    assert WaitpointRef.parse(ref.render()) == ref


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~~~~",
        REF.render() + "~1",
        REF.render() + "\n",
        REF.render().replace("~3~", "~03~"),
        REF.render().replace("~3~", "~\u0663~"),
        REF.render().replace("s2", "x2"),
        REF.render().replace(EXECUTION, "7-x"),
        "a/b" + REF.render(),
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    assert WaitpointRef.parse(text) is None


def test_a_record_is_read_as_stored() -> None:
    stored = {
        "namespace": "team.a",
        "number": 3,
        "name": "approval",
        "scope": "s2",
        "state": "bound",
        "uses": "single",
        "kid": "k1",
        "created_at": 1_780_000_000_000,
        "expires_at": 1_790_000_000_000,
        "signals": {},  # an empty table of Lua
    }

    record = WaitpointRecord.read(EXECUTION, stored)

    assert (record.ref, record.signals, record.recipient, record.ending) == (REF, 0, "", "")
    assert WaitpointRecord.read(EXECUTION, stored | {"signals": [4, 5]}).signals == 2
