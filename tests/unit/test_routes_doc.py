"""docs/reference/routes.md speaks of routes and fields as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ff_gateway.http.binding import bindings_of
from ff_gateway.http.openapi import openapi_document
from ff_gateway.services import SERVICES
from flowfabric_api.execution.v1 import execution_pb2
from flowfabric_api.worker.v1 import worker_pb2

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "routes.md").read_text()
ROUTE = re.compile(r"`([A-Z]+ /v1/[^`]+)`")
FIELD = re.compile(r"`(\w+)`")


def routes() -> set[str]:
    """Method and path of everything that /openapi.json describes."""
    bindings = [binding for service in SERVICES for binding in bindings_of(service.descriptor)]
    document: Any = openapi_document(bindings, secured=False)
    return {f"{verb.upper()} {path}" for path, verbs in document["paths"].items() for verb in verbs}


ROUTES = routes()
GONE, KEPT = PAGE.partition("## Routes that are gone")[2].split("## Claiming")


def gone(section: str, name: re.Pattern[str]) -> set[str]:
    """The names in the first column of the tables."""
    return {found for cell in re.findall(r"^\| (.*?) \|", section, re.M) for found in name.findall(cell)}


def test_a_route_that_is_gone_is_gone_and_the_others_are_there() -> None:
    without = gone(GONE, ROUTE)

    assert without
    assert without & ROUTES == set()
    assert set(ROUTE.findall(PAGE)) - without - ROUTES == set()


def test_a_field_that_is_gone_is_in_no_claim_and_no_submission() -> None:
    claims = worker_pb2.DESCRIPTOR.message_types_by_name
    executions = execution_pb2.DESCRIPTOR.message_types_by_name
    messages = [claims["ClaimRequest"], claims["ClaimResponse"], claims["Grant"]]
    messages += [executions["CreateExecutionRequest"], executions["ExecutionSpec"]]

    fields = gone(KEPT, FIELD)

    assert "lane_id" in fields
    fields.remove("execution_id")  # which a grant has, and a submission has not
    assert fields & {field.name for message in messages for field in message.fields} == set()
