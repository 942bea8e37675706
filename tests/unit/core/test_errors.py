"""The error table is complete, and every row of it is something a caller can act on."""

from __future__ import annotations

import re
from importlib.resources import files

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from ff_core.errors import DOMAIN, EngineError, ErrorCode, invalid
from ff_core.wire.status import ok, status_of, status_of_code
from ff_lua import SOURCES

CODES_LINE = re.compile(r"^\s*-- codes (.+)$", re.MULTILINE)
LITERAL = re.compile(r"'([A-Z]+(?:_[A-Z]+)+)'")
#: Words in capitals that are no codes: options of commands.
NOT_CODES = frozenset({"LIMIT", "BYSCORE", "WITHSCORES"})

#: Codes that no Lua function returns, because they arise before or beside the store.
PYTHON_ONLY = frozenset(
    {
        "INTERNAL",
        "KEY_CONFLICT",
        "SCHEDULER_UNAVAILABLE",
        "SHUTTING_DOWN",
        "STORE_UNAVAILABLE",
        "TOO_MANY_STREAMS",
        "UNAUTHENTICATED",
        "UNIMPLEMENTED",
    }
)


def lua_sources() -> dict[str, str]:
    return {name: (files("ff_lua") / name).read_text(encoding="utf-8") for name in SOURCES}


def codes_of_lua() -> set[str]:
    """Codes that headers promise and code that bodies spell."""
    found: set[str] = set()
    for source in lua_sources().values():
        for line in CODES_LINE.findall(source):
            found.update(word for word in line.split() if word != "none")
        body = re.sub(r"--.*", "", source)
        found.update(word for word in LITERAL.findall(body) if word not in NOT_CODES)
    return found


def info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


def test_every_code_that_lua_returns_is_in_the_table() -> None:
    assert codes_of_lua() <= set(ErrorCode.__members__)


def test_every_code_of_the_table_is_returned_by_lua_or_known_to_be_pythons() -> None:
    assert set(ErrorCode.__members__) - codes_of_lua() == PYTHON_ONLY


@pytest.mark.parametrize("code", ErrorCode, ids=lambda code: code.name)
def test_every_code_has_a_status_and_a_sentence(code: ErrorCode) -> None:
    assert isinstance(code.grpc, grpc.StatusCode)
    assert code.grpc is not grpc.StatusCode.OK
    assert 400 <= code.http < 600
    assert code.sentence[0].isupper() or code.sentence[0] == "`"
    assert code.sentence.endswith(".")


def test_no_two_codes_are_one_by_accident() -> None:
    # Members of an Enum with equal values would be aliases, and one name would lose its row.
    assert len(ErrorCode.__members__) == len(list(ErrorCode))


def test_only_what_passes_by_itself_is_retryable() -> None:
    passing = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}

    assert {code.grpc for code in ErrorCode if code.retryable} == passing
    assert not [code for code in ErrorCode if code.grpc in passing and not code.retryable]


@pytest.mark.parametrize("code", ErrorCode, ids=lambda code: code.name)
def test_the_wire_form_names_the_code(code: ErrorCode) -> None:
    status = status_of(EngineError(code, "which one", metadata={"execution_id": "7"}))

    assert status.code == code.grpc.value[0]
    assert status.message == f"{code.sentence} which one"
    info = info_of(status)
    assert (info.domain, info.reason, info.metadata["execution_id"]) == (DOMAIN, code.name, "7")


@pytest.mark.parametrize(("asked", "told"), [(0, 100), (1, 1), (999, 999), (1000, 1000), (61_250, 61_250)])
def test_a_retryable_error_says_when(asked: int, told: int) -> None:
    status = status_of(EngineError(ErrorCode.STORE_UNAVAILABLE, retry_after_ms=asked))

    retry = error_details_pb2.RetryInfo()
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == told


def test_a_final_error_says_no_time() -> None:
    assert len(status_of_code(ErrorCode.LEASE_STALE).details) == 1


def test_a_malformed_field_is_named() -> None:
    status = status_of(invalid("spec.kind", "empty"))

    bad = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad)
    assert [(one.field, one.description) for one in bad.field_violations] == [
        ("spec.kind", "spec.kind: empty")
    ]


def test_the_status_of_what_went_well_is_empty_of_complaints() -> None:
    assert ok() == status_pb2.Status(code=code_pb2.OK)
