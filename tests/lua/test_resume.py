"""How a suspension ends while the execution goes on, and how time ends it."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from .harness.scenario import Grant, Scenario
from .harness.waits import (
    DAY_MS,
    OPERATOR,
    TIMER,
    all_of,
    any_of,
    assert_waits,
    record,
    signal,
    stored_signals,
    suspend,
    suspended,
    wait,
    waitpoints,
)


def resume(scenario: Scenario, id: str, delay_ms: int = 0, nonce: str = "n") -> list[bytes]:
    reply = scenario.call("suspension_resume", id, "operator:default", delay_ms, "looked at it", nonce)
    return cast("list[bytes]", reply)


def lapse(scenario: Scenario, limit: int = 10) -> list[int | bytes]:
    return cast("list[int | bytes]", scenario.call("suspension_lapse", limit))


def told(grant: Grant) -> tuple[int, str, list[dict[str, Any]]]:
    """What a grant says of the suspension before it: number, ending, headers of signals."""
    number, ending, *signals = cast("list[Any]", grant.resumption)
    return number, ending.decode(), [json.loads(stored.partition(b"\n")[0]) for stored in signals]


def test_an_operator_resumes_whatever_it_waits_for(scenario: Scenario) -> None:
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(signal("a")),
        wait(OPERATOR),
        wait(signal("b", "x")),
        at=("a", "b"),
    )

    assert resume(scenario, waiting.id) == [b"OK", b"waiting"]

    [grant] = scenario.claim()
    number, ending, [header] = told(grant)
    assert (number, ending) == (1, "operator")
    assert (header["name"], header["category"], header["source"]) == (
        "resume",
        "operator",
        "operator:default",
    )
    assert {each["state"] for each in waitpoints(scenario, waiting.id).values()} == {"closed"}
    assert all(each["satisfied_at"] for each in waiting.record["waits"])
    assert_waits(scenario, waiting.id)


def test_a_request_that_arrives_twice_resumes_once(scenario: Scenario) -> None:
    waiting = suspended(scenario)
    assert resume(scenario, waiting.id, nonce="a") == [b"OK", b"waiting"]

    assert resume(scenario, waiting.id, nonce="a") == [b"OK", b"waiting"]
    assert resume(scenario, waiting.id, nonce="b") == [b"EXECUTION_NOT_SUSPENDED", b"waiting"]
    assert scenario.events(waiting.id).count("resumed") == 1


def test_a_late_repeat_of_a_request_does_not_resume_the_next_suspension(scenario: Scenario) -> None:
    """A8, as an operator: the store repeats a call whose answer was lost."""
    waiting = suspended(scenario)
    resume(scenario, waiting.id, nonce="a")
    suspend(scenario, scenario.reclaim(waiting.id).lease, wait(OPERATOR))

    assert resume(scenario, waiting.id, nonce="a") == [b"OK", b"suspended"]
    assert (scenario.state(waiting.id), scenario.events(waiting.id).count("resumed")) == ("suspended", 1)
    assert resume(scenario, waiting.id, nonce="b") == [b"OK", b"waiting"]


def test_only_what_is_suspended_is_resumed(scenario: Scenario) -> None:
    grant = scenario.hold()

    assert resume(scenario, grant.id) == [b"EXECUTION_NOT_SUSPENDED", b"active"]
    assert resume(scenario, "0-ff") == [b"EXECUTION_NOT_FOUND"]


@pytest.mark.parametrize("by", ["signal", "operator"])
def test_a_resume_delay_ends(scenario: Scenario, by: str) -> None:
    """A1: whoever asks for the delay, its end is what the index of delayed executions knows."""
    waiting = suspended(scenario)
    if by == "signal":
        assert waiting.deliver(delay_ms=700) == [b"OK", 1, b"resumed", 0, b"delayed"]
    else:
        assert resume(scenario, waiting.id, 700) == [b"OK", b"delayed"]
    core = scenario.core(waiting.id)
    assert (core["reason"], core["due_at"]) == ("waiting_for_resume_delay", scenario.engine.now_ms + 700)
    assert scenario.score("delayed", waiting.id) == core["due_at"]

    scenario.engine.advance(699)
    assert scenario.call("delayed_promote", 10) == [0, core["due_at"]]
    scenario.engine.advance(1)
    assert scenario.call("delayed_promote", 10) == [1, b""]

    [grant] = scenario.claim()
    assert (grant.attempt, grant.epoch) == (1, 2)
    assert told(grant)[1] == by
    scenario.assert_sound()


def test_only_the_signal_that_resumes_delays(scenario: Scenario) -> None:
    waiting = suspended(scenario, all_of(signal("approval", "one"), signal("approval", "two")))

    assert waiting.deliver(name="one", delay_ms=5000)[2] == b"counted"
    assert waiting.deliver(name="two")[2:] == [b"resumed", 0, b"waiting"]


ENDS = {"fail": "failed", "cancel": "cancelled", "expire": "expired"}


@pytest.mark.parametrize(("behaviour", "state"), ENDS.items())
def test_a_wait_that_runs_out_ends_the_execution_as_it_says(
    scenario: Scenario, behaviour: str, state: str
) -> None:
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(signal("approval"), timeout_ms=700, on_timeout=behaviour, name="approval"),
        at=("approval",),
    )
    assert lapse(scenario) == [0, scenario.engine.now_ms + 700]
    scenario.engine.advance(700)

    assert lapse(scenario) == [1, b""]

    core = scenario.core(waiting.id)
    assert core["state"] == state
    assert core["failure"] == {
        "type": "suspension_timeout", "category": "timeout",
        "message": "approval: nothing resumed it in time",
    }  # fmt: skip
    assert scenario.events(waiting.id)[-2:] == ["wait_timed_out", state]
    assert waiting.deliver() == [b"EXECUTION_TERMINAL"]
    assert stored_signals(scenario, waiting.id) == {}
    assert_waits(scenario, waiting.id)
    scenario.assert_sound()


def test_a_wait_that_runs_out_and_resumes_does_so_with_a_signal(scenario: Scenario) -> None:
    """D6: the signal is stored like any other."""
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(signal("approval"), timeout_ms=700, on_timeout="resume", entry="1", name="approval"),
        at=("approval",),
    )
    scenario.engine.advance(700)

    assert lapse(scenario) == [1, b""]

    assert stored_signals(scenario, waiting.id)[1] == (
        {
            "number": 1, "waitpoint": "", "name": "timeout", "category": "timeout", "source": "engine",
            "at": scenario.engine.now_ms, "bytes": 0,
        },
        b"",
    )  # fmt: skip
    [grant] = scenario.claim()
    assert (grant.attempt, grant.epoch) == (1, 2)
    assert told(grant)[:2] == (1, "timeout")
    assert told(grant)[2][0]["name"] == "timeout"
    assert b'"name":"timeout"' in b"".join(cast("list[bytes]", grant.journal))
    assert scenario.events(waiting.id)[-3:] == ["wait_timed_out", "resumed", "claimed"]
    assert_waits(scenario, waiting.id)


def test_a_timer_is_a_part_of_a_condition(scenario: Scenario) -> None:
    either = suspended_until(scenario, any_of(signal("approval"), TIMER), "fail")
    both = suspended_until(scenario, all_of(signal("approval"), TIMER), "escalate")
    scenario.engine.advance(700)

    assert lapse(scenario) == [2, b""]

    assert scenario.state(either.id) == "waiting"
    assert scenario.state(both.id) == "suspended"
    assert both.deliver()[2] == b"resumed"
    assert [header["name"] for header, _ in stored_signals(scenario, both.id).values()] == [
        "timeout",
        "approved",
    ]
    assert_waits(scenario, both.id)


def suspended_until(scenario: Scenario, node: dict[str, Any], on_timeout: str) -> Any:
    return suspend(
        scenario,
        scenario.hold().lease,
        wait(node, timeout_ms=700, on_timeout=on_timeout),
        at=("approval",),
    )


def test_an_escalated_wait_is_left_to_an_operator(scenario: Scenario) -> None:
    waiting = suspended_until(scenario, signal("approval"), "escalate")
    scenario.engine.advance(700)

    assert lapse(scenario) == [1, b""]

    core = scenario.core(waiting.id)
    assert (core["state"], core["reason"]) == ("suspended", "paused_by_operator")
    assert scenario.score("suspended", waiting.id) == 9e15
    assert scenario.events(waiting.id)[-2:] == ["wait_timed_out", "escalated"]
    assert waiting.record["waits"][0]["escalated_at"] == scenario.engine.now_ms
    assert lapse(scenario) == [0, b""]
    assert resume(scenario, waiting.id) == [b"OK", b"waiting"]
    scenario.assert_sound()


def test_each_wait_has_a_time_of_its_own(scenario: Scenario) -> None:
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(TIMER, timeout_ms=300, on_timeout="resume", name="nap"),
        wait(signal("approval"), timeout_ms=700, name="approval"),
        at=("approval",),
    )
    assert scenario.score("suspended", waiting.id) == scenario.engine.now_ms + 300
    scenario.engine.advance(300)

    lapse(scenario)

    waits = {each["name"]: each for each in waiting.record["waits"]}
    assert "satisfied_at" in waits["nap"]
    assert "satisfied_at" not in waits["approval"]
    assert waitpoints(scenario, waiting.id)[1]["state"] == "pending"


def test_what_is_due_together_goes_by_its_time(scenario: Scenario) -> None:
    def both(first: str, second: str) -> str:
        waits = (
            wait(signal("a"), timeout_ms=300, on_timeout=first),
            wait(TIMER, timeout_ms=500, on_timeout=second),
        )
        return suspend(scenario, scenario.hold().lease, *waits, at=("a",)).id

    resumed, failed, two = both("resume", "fail"), both("fail", "resume"), both("resume", "resume")
    scenario.engine.advance(500)

    assert lapse(scenario) == [3, b""]

    assert (scenario.state(resumed), scenario.state(failed)) == ("waiting", "failed")
    assert record(scenario, resumed)["resumed_by"] == [1]
    assert all(each["satisfied_at"] for each in record(scenario, two)["waits"])


def test_two_scanners_are_harmless_and_a_stale_score_is_put_right(scenario: Scenario) -> None:
    waiting = suspended_until(scenario, signal("approval"), "fail")
    due_at = scenario.engine.now_ms + 700
    scenario.engine.command("ZADD", scenario.prefix + "suspended", scenario.engine.now_ms, waiting.id)

    assert lapse(scenario) == [1, due_at]
    assert lapse(scenario) == [0, due_at]
    assert scenario.score("suspended", waiting.id) == due_at
    scenario.engine.advance(700)
    assert lapse(scenario, 1) == [1, scenario.engine.now_ms]
    assert lapse(scenario, 1) == [0, b""]


def test_a_suspension_without_its_record_can_still_be_ended(scenario: Scenario) -> None:
    waiting = suspended_until(scenario, signal("approval"), "fail")
    scenario.engine.command("DEL", f"{scenario.prefix}suspension:{waiting.id}")
    scenario.engine.advance(700)

    assert lapse(scenario) == [1, b""]
    assert resume(scenario, waiting.id) == [b"OK", b"waiting"]
    scenario.assert_sound()


def test_a_suspension_waits_for_400_days_at_most(scenario: Scenario) -> None:
    now = scenario.engine.now_ms
    waiting = suspend(scenario, scenario.hold().lease, wait(TIMER, due_at=now + 400 * DAY_MS))

    assert scenario.score("suspended", waiting.id) == now + 400 * DAY_MS


def test_a_description_holds_record_signals_and_waitpoints(scenario: Scenario) -> None:
    waiting = suspended(scenario)
    ok, text, signals, points = scenario.call("suspension_describe", waiting.id)
    assert (ok, json.loads(text), signals) == (b"OK", waiting.record, [])
    assert [json.loads(each)["name"] for each in points] == ["approval"]

    waiting.deliver(payload=b"yes")

    _, text, signals, points = scenario.call("suspension_describe", waiting.id)
    assert json.loads(text)["ending"] == "signal"
    assert [each.partition(b"\n")[2] for each in signals] == [b"yes"]
    assert json.loads(points[0])["ending"] == "resumed"
    assert scenario.call("suspension_describe", scenario.create()) == [b"OK", b"", [], []]
    assert scenario.call("suspension_describe", "0-ff") == [b"EXECUTION_NOT_FOUND"]
