"""How the engine's refusals become exceptions."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from flowfabric import EngineError, FlowFabricError, LeaseLost, NotFound, Unavailable, WrongState
from flowfabric._errors import BY_REASON, error_from_status
from flowfabric._execution import FrameKind
from flowfabric_api.output.v1 import output_pb2 as output_pb

from .fake_gateway import status


@pytest.mark.parametrize("reason", sorted(BY_REASON))
def test_the_reason_chooses_the_class(reason: str) -> None:
    error = error_from_status(status(code_pb2.FAILED_PRECONDITION, reason, "because"))

    assert type(error) is BY_REASON[reason]
    assert isinstance(error, FlowFabricError)
    assert (error.reason, error.message) == (reason, "because")


def test_a_lost_lease_is_told_by_three_reasons() -> None:
    assert {reason for reason, kind in BY_REASON.items() if kind is LeaseLost} == {
        "LEASE_EXPIRED",
        "LEASE_REVOKED",
        "LEASE_STALE",
    }


def test_an_unknown_reason_falls_back_to_the_code() -> None:
    error = error_from_status(status(code_pb2.FAILED_PRECONDITION, "SOMETHING_NEW"))

    assert type(error) is WrongState
    assert error.reason == "SOMETHING_NEW"


def test_a_bare_status_is_named_by_its_code() -> None:
    error = error_from_status(status_pb2.Status(code=code_pb2.NOT_FOUND, message="gone"))

    assert type(error) is NotFound
    assert error.reason == "NOT_FOUND"


def test_a_reason_of_another_domain_is_not_ours() -> None:
    rich = status_pb2.Status(code=code_pb2.INTERNAL)
    rich.details.add().Pack(error_details_pb2.ErrorInfo(domain="proxy", reason="LEASE_STALE"))

    error = error_from_status(rich)

    assert type(error) is EngineError
    assert error.reason == "INTERNAL"


def test_retry_info_says_when_to_come_back() -> None:
    rich = status(code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE")
    pause = error_details_pb2.RetryInfo()
    pause.retry_delay.FromMilliseconds(1500)
    rich.details.add().Pack(pause)

    error = error_from_status(rich)

    assert type(error) is Unavailable
    assert (error.retryable, error.retry_after) == (True, 1.5)


def test_frame_kinds_have_the_numbers_of_the_wire() -> None:
    assert {kind.name: kind.value for kind in FrameKind} == {
        name.removeprefix("FRAME_KIND_"): number
        for name, number in output_pb.FrameKind.items()
        if number != output_pb.FRAME_KIND_UNSPECIFIED
    }
