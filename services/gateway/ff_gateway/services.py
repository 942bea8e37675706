"""The services of the gateway, a row each. Its servers, and the tests of every method, are made from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from ff_core.rpc import is_served
from ff_gateway.api.execution import ExecutionServicer
from ff_gateway.api.operator import OperatorServicer
from ff_gateway.api.output import OutputServicer
from ff_gateway.api.subscription import SubscriptionServicer
from ff_gateway.api.suspension import SuspensionServicer
from ff_gateway.api.worker import WorkerServicer
from flowfabric_api.execution.v1 import execution_pb2, execution_pb2_grpc
from flowfabric_api.operator.v1 import operator_pb2, operator_pb2_grpc
from flowfabric_api.output.v1 import output_pb2, output_pb2_grpc
from flowfabric_api.subscription.v1 import subscription_pb2, subscription_pb2_grpc
from flowfabric_api.suspension.v1 import suspension_pb2, suspension_pb2_grpc
from flowfabric_api.worker.v1 import worker_pb2, worker_pb2_grpc


@dataclass(frozen=True, slots=True)
class Service:
    """What the protos say of a service, who serves it, and how it gets into a gRPC server."""

    descriptor: ServiceDescriptor
    servicer: type
    register: Callable[[Any, grpc.aio.Server], None]

    def methods(self) -> list[MethodDescriptor]:
        """Those that are served. Any other answers UNIMPLEMENTED and has no route."""
        return [each for each in self.descriptor.methods if is_served(getattr(self.servicer, each.name))]


SERVICES = (
    Service(
        execution_pb2.DESCRIPTOR.services_by_name["ExecutionService"],
        ExecutionServicer,
        execution_pb2_grpc.add_ExecutionServiceServicer_to_server,
    ),
    Service(
        output_pb2.DESCRIPTOR.services_by_name["OutputService"],
        OutputServicer,
        output_pb2_grpc.add_OutputServiceServicer_to_server,
    ),
    Service(
        subscription_pb2.DESCRIPTOR.services_by_name["SubscriptionService"],
        SubscriptionServicer,
        subscription_pb2_grpc.add_SubscriptionServiceServicer_to_server,
    ),
    Service(
        operator_pb2.DESCRIPTOR.services_by_name["OperatorService"],
        OperatorServicer,
        operator_pb2_grpc.add_OperatorServiceServicer_to_server,
    ),
    Service(
        worker_pb2.DESCRIPTOR.services_by_name["WorkerService"],
        WorkerServicer,
        worker_pb2_grpc.add_WorkerServiceServicer_to_server,
    ),
    Service(
        suspension_pb2.DESCRIPTOR.services_by_name["SuspensionService"],
        SuspensionServicer,
        suspension_pb2_grpc.add_SuspensionServiceServicer_to_server,
    ),
)


def served_by(servicers: Sequence[object]) -> list[tuple[Service, object]]:
    """Each service with its servicer, in the order of the table. Raises KeyError for a missing one."""
    found = {type(servicer): servicer for servicer in servicers}
    return [(service, found[service.servicer]) for service in SERVICES]
