"""docs/reference/worker-protocol.md speaks of what is in the protos, and of all of it."""

from __future__ import annotations

import re
from pathlib import Path

from google.protobuf.descriptor import Descriptor

from ff_core.errors import ErrorCode
from ff_gateway.settings import GatewaySettings
from flowfabric_api.dispatch.v1 import dispatch_pb2
from flowfabric_api.journal.v1 import journal_pb2
from flowfabric_api.suspension.v1 import suspension_pb2
from flowfabric_api.worker.v1 import worker_pb2

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "worker-protocol.md").read_text()
CODE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))

FILES = (worker_pb2.DESCRIPTOR, dispatch_pb2.DESCRIPTOR)
#: Files without methods of a worker, but with messages that travel in those.
CARRIED = (journal_pb2.DESCRIPTOR, suspension_pb2.DESCRIPTOR)
MESSAGES: dict[str, Descriptor] = {
    name: message for file in (*FILES, *CARRIED) for name, message in file.message_types_by_name.items()
}
METHODS = {
    method.name for file in FILES for service in file.services_by_name.values() for method in service.methods
}
#: Of the execution's protos; the page only points at them.
ELSEWHERE = {"CancelExecution", "CreateWaitpoint", "DeliverSignal", "Suspend", "SuspensionService"}


def test_every_method_is_told() -> None:
    assert METHODS - set(CODE) == set()


def test_every_message_of_a_worker_is_told() -> None:
    told = {name.partition(".")[0] for name in CODE}

    assert set(worker_pb2.DESCRIPTOR.message_types_by_name) - told == set()


def test_every_name_of_a_message_or_method_exists() -> None:
    named = {name for name in CODE if re.fullmatch(r"[A-Z][a-z]\w+", name)}

    assert named - set(MESSAGES) - METHODS - ELSEWHERE == set()


def test_every_field_that_is_named_exists() -> None:
    for name in CODE:
        if field := re.fullmatch(r"([A-Z][a-z]\w+)\.(\w+)", name):
            assert field[2] in MESSAGES[field[1]].fields_by_name, name


def test_the_fields_a_worker_has_to_know_are_told() -> None:
    for message in (
        "Hello",
        "Welcome",
        "Credit",
        "Grant",
        "Renew",
        "RenewResult",
        "Outcome",
        "OutcomeResult",
        "Failed",
        "Frame",
        "SuspendSpec",
        "Wait",
        "WaitpointSpec",
        "JournalWrite",
        "JournalResult",
        "Resumption",
    ):
        told = {name.partition(".")[2] for name in CODE if name.startswith(f"{message}.")}
        assert set(MESSAGES[message].fields_by_name) - told == set(), message


def test_the_diagrams_use_names_that_exist() -> None:
    for line in re.findall(r"^    \w+-[->x]*\w+: (.*)$", PAGE, re.MULTILINE):
        for name in re.findall(r"\b[A-Z][a-z]+[A-Z]?\w*(?=\()", line):
            assert name in MESSAGES.keys() | METHODS | ELSEWHERE, line


def test_error_codes_and_settings_exist() -> None:
    codes = {name for name in CODE if re.fullmatch(r"[A-Z]+_[A-Z_]+", name) and not name.startswith("FF_")}
    settings = {name for name in CODE if name.startswith("FF_")}

    assert codes <= {code.name for code in ErrorCode}
    assert {name.removeprefix("FF_").lower() for name in settings} <= set(GatewaySettings.model_fields)


def test_reasons_of_a_status_have_that_status() -> None:
    section = PAGE.split("## Broken streams")[1].split("\n## ")[0]
    for status, reasons in re.findall(r"^\| ([A-Z_]+) \| (.*?) \|", section, re.MULTILINE):
        for reason in re.findall(r"`(\w+)`", reasons):
            assert ErrorCode[reason].grpc.name == status
