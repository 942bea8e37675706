"""The interceptor lets through what a servicer serves, and nothing that it only inherits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from ff_core.principal import CALLER, DEFAULT_NAME, Principals
from ff_core.rpc import Door
from flowfabric_api.worker.v1 import worker_pb2_grpc


def test_a_token_has_one_name() -> None:
    principals = Principals("shared", {"alice": "a", "bob": "schl\u00fcssel"})

    assert principals.identify(b"Bearer shared") == DEFAULT_NAME
    assert principals.identify(b"bearer  a") == "alice"
    assert principals.identify("Bearer schl\u00fcssel".encode()) == "bob"
    for stranger in (b"", b"a", b"Bearer", b"Bearer ", b"Basic a", b"Bearer A", b"Bearer a b"):
        assert principals.identify(stranger) is None
    assert not Principals("")
    assert "shared" not in repr(principals)


class Servicer(worker_pb2_grpc.WorkerServiceServicer):
    """Serves one unary method and one stream."""

    async def Claim(self, _request: Any, _context: Any) -> Any:
        return CALLER.get()

    async def Session(self, _requests: Any, _context: Any) -> Any:
        yield None


def handler_of(method: str) -> Any:
    found: dict[str, Any] = {}
    server = SimpleNamespace(
        add_generic_rpc_handlers=lambda _: None,
        add_registered_method_handlers=lambda _, handlers: found.update(handlers),
    )
    worker_pb2_grpc.add_WorkerServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
    return found[method]


@pytest.mark.parametrize(
    ("method", "is_served"),
    [("Claim", True), ("Session", True), ("Complete", False), ("StreamOutput", False)],
)
async def test_a_method_without_a_servicer_of_its_own_is_unknown(method: str, is_served: bool) -> None:
    async def continuation(_details: Any) -> grpc.RpcMethodHandler:
        return handler_of(method)

    details = SimpleNamespace(method=f"/flowfabric.worker.v1.WorkerService/{method}", invocation_metadata=())
    found = await Door(Principals("")).intercept_service(continuation, details)

    assert (found is not None) == is_served


@pytest.mark.parametrize(
    ("shown", "caller"), [("Bearer a", "alice"), ("Bearer shared", "default"), (b"Bearer a", "alice")]
)
async def test_a_servicer_knows_who_calls(shown: str | bytes, caller: str) -> None:
    async def continuation(_details: Any) -> grpc.RpcMethodHandler:
        return handler_of("Claim")

    door = Door(Principals("shared", {"alice": "a"}))
    metadata = (("x-caller", "mallory"), ("authorization", shown))
    details = SimpleNamespace(method="/worker/Claim", invocation_metadata=metadata)
    handler = await door.intercept_service(continuation, details)

    assert await handler.unary_unary(None, None) == caller
