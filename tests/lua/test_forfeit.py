"""Leases whose holder is gone without a word are lost at once."""

from __future__ import annotations

import pytest

from .harness.scenario import Scenario


def test_a_confirmed_lease_counts_as_lost_and_its_attempt_is_spent(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert scenario.call("lease_forfeit", grant.lease) == [b"OK"]

    core = scenario.core(grant.id)
    assert (core["state"], core["attempt_state"], core["reclaims"]) == (
        "waiting", "pending_reclaim_attempt", 1,
    )  # fmt: skip
    assert scenario.renew(grant.lease) == [b"LEASE_EXPIRED"]
    assert scenario.claim()[0].attempt == 2
    scenario.assert_sound()


def test_an_offer_counts_as_lost_but_costs_no_attempt(scenario: Scenario) -> None:
    scenario.create()
    [offer] = scenario.claim()

    assert scenario.call("lease_forfeit", offer.lease) == [b"OK"]

    assert scenario.core(offer.id)["reclaims"] == 1
    assert scenario.claim()[0].attempt == 1
    scenario.assert_sound()


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_at_the_cap_of_reclaims_the_execution_fails(scenario: Scenario, is_confirmed: bool) -> None:
    id = scenario.create(policy={"max_reclaims": 1})
    for _ in range(2):
        grant = scenario.reclaim(id) if is_confirmed else scenario.claim()[0]
        scenario.call("lease_forfeit", grant.lease)

    assert scenario.state(id) == "failed"
    assert scenario.core(id)["failure"]["type"] == "max_reclaims"
    scenario.assert_sound()


def test_what_is_no_lease_in_force_is_told_so_and_left_alone(scenario: Scenario) -> None:
    grant = scenario.hold()
    scenario.complete(grant.lease)

    assert scenario.call("lease_forfeit", grant.lease, "nonsense", "0-ff:1:1:n") == [
        b"LEASE_STALE", b"INVALID_ARGUMENT", b"EXECUTION_NOT_FOUND",
    ]  # fmt: skip
    assert scenario.state(grant.id) == "completed"
    scenario.assert_sound()
