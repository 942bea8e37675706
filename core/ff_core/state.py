"""The state of an execution as the API shows it, derived from what Lua stores, here and nowhere else.

Lua keeps `state`, `reason` and `attempt_state`; prelude.lua has the transition table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """The public state."""

    WAITING = "waiting"
    DELAYED = "delayed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether only a replay leaves it."""
        return self in TERMINAL


TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED})

_PHASES = {State.ACTIVE: "active", State.SUSPENDED: "suspended"}
_OUTCOMES = {State.COMPLETED: "success"}
_ELIGIBILITY = {State.WAITING: "eligible_now", State.DELAYED: "not_eligible_until_time"}


@dataclass(frozen=True, slots=True)
class StateVector:
    """The six dimensions; docs/reference/states.md lists their values."""

    lifecycle_phase: str
    ownership_state: str
    eligibility_state: str
    blocking_reason: str
    terminal_outcome: str
    attempt_state: str


def vector_of(
    state: State, reason: str, attempt_state: str, *, has_capable_worker: bool = True
) -> StateVector:
    """Derives the vector. A waiting execution without any capable worker says so."""
    if state is State.WAITING and not has_capable_worker:
        reason = "waiting_for_capable_worker"
    return StateVector(
        lifecycle_phase="terminal" if state.is_terminal else _PHASES.get(state, "runnable"),
        ownership_state="leased" if state is State.ACTIVE else "unowned",
        eligibility_state=_ELIGIBILITY.get(state, "not_applicable"),
        blocking_reason=reason,
        terminal_outcome=_OUTCOMES.get(state, state.value) if state.is_terminal else "none",
        attempt_state=attempt_state,
    )
