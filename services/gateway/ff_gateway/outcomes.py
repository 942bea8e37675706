"""Outcomes between the wire and the engine, for both doors of workers."""

from __future__ import annotations

from typing import Protocol

from ff_core.lease import Answer, Outcome
from ff_core.waitpoint import WaitpointRecord
from ff_core.wire import worker as wire
from ff_gateway.policy import Policy
from flowfabric_api.suspension.v1 import suspension_pb2
from flowfabric_api.worker.v1 import worker_pb2 as pb


class WaitpointTeller(Protocol):
    """Tells waitpoints with their tokens."""

    @property
    def kid(self) -> str: ...
    def told(self, record: WaitpointRecord) -> suspension_pb2.Waitpoint: ...


class Outcomes:
    """Reads outcomes within the policy, and tells what came of them."""

    def __init__(self, policy: Policy, tokens: WaitpointTeller) -> None:
        self._policy = policy
        self._tokens = tokens

    def read(self, message: pb.Outcome) -> Outcome:
        """Checks an outcome. Raises INVALID_ARGUMENT or PAYLOAD_TOO_LARGE."""
        policy = self._policy
        return wire.outcome(message, policy.max_payload_bytes, policy.suspensions, self._tokens.kid)

    def tell(self, message: pb.OutcomeResult, lease: bytes, answer: Answer) -> None:
        """Fills the answer to an outcome."""
        wire.answer(message, lease, answer, self._tokens.told)
