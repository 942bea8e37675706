"""What becomes of a waitpoint from one wait to the next: its time, its uses, its signals."""

from __future__ import annotations

from .harness.scenario import Scenario
from .harness.waits import (
    OPERATOR,
    TIMER,
    Node,
    Waiting,
    any_of,
    assert_waits,
    count,
    deliver,
    deliver_many,
    item,
    pending,
    signal,
    spec,
    stored_signals,
    suspend,
    wait,
    waitpoint,
    waitpoints,
)


def test_a_waitpoint_that_was_waited_for_outlives_its_token(scenario: Scenario) -> None:
    ttl_ms = 1000
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(count(2, "sources", "a")),
        wait(signal("b")),
        at=(waitpoint("a", ttl_ms=ttl_ms), "b"),
    )
    waiting.deliver("a", source="user:x")
    scenario.engine.advance(ttl_ms)
    waiting.deliver("b")

    assert waiting.deliver("a", source="user:y") == [b"TOKEN_INVALID"]
    assert deliver(scenario, waiting.id, "a", source="user:x")[2] == b"buffered"
    second = again(scenario, waiting.id, count(2, "sources", "a"), name="a")
    assert second.answer == "suspended"
    assert deliver(scenario, waiting.id, "a", source="user:y")[2] == b"resumed"
    assert_waits(scenario, waiting.id)


def test_a_pending_waitpoint_that_ran_out_is_bound_with_what_came_in_time(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    made = pending(scenario, lease, "approval", ttl_ms=1000)
    nap = suspend(scenario, lease, wait(TIMER, timeout_ms=2000, on_timeout="resume"))
    assert deliver(scenario, nap.id, made, source="user:x")[2] == b"buffered"
    scenario.engine.advance(2000)
    scenario.call("suspension_lapse", 10)
    assert deliver(scenario, nap.id, "approval") == [b"WAITPOINT_CLOSED"]

    other = suspend(scenario, scenario.reclaim(nap.id).lease, wait(signal("other")), at=("other",))
    other.deliver("other")
    waiting = suspend(
        scenario,
        scenario.reclaim(nap.id).lease,
        wait(count(2, "sources", "approval")),
        at=(waitpoint("approval", number=made["number"]),),
    )

    assert waiting.answer == "suspended"
    assert deliver(scenario, nap.id, made, source="user:y") == [b"TOKEN_INVALID"]
    assert deliver(scenario, nap.id, "approval", source="user:y")[2] == b"resumed"
    assert_waits(scenario, nap.id)


def test_one_that_ran_out_takes_a_place_again_when_it_is_bound(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    made = pending(scenario, lease, "late", ttl_ms=1000)
    scenario.engine.advance(1000)
    for number in range(128):
        pending(scenario, lease, f"p{number}")

    bound = [waitpoint("late", number=made["number"])]
    reply = scenario.finish(lease, "suspend", spec(wait(signal("late")), waitpoints=bound), "k1")

    assert reply[0] == b"WAITPOINTS_FULL"
    assert waitpoints(scenario, lease.split(":", maxsplit=1)[0])[1]["state"] == "pending"


def test_only_a_signal_that_counts_uses_up_a_single_use_waitpoint(scenario: Scenario) -> None:
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(count(2, "sources", "once", "other", names=["approved"])),
        at=(waitpoint("once", uses="single"), "other"),
    )
    assert waiting.deliver("other", source="user:x")[2] == b"counted"

    assert waiting.deliver("once", "ping")[2] == b"unmatched"
    assert waiting.deliver("once", source="user:x")[2] == b"repeated"
    assert waiting.deliver("once", source="user:y")[2] == b"resumed"
    assert waiting.deliver("once", source="user:z") == [b"WAITPOINT_CLOSED"]
    assert_waits(scenario, waiting.id)


def test_an_early_signal_that_matches_nothing_gives_a_single_use_waitpoint_back(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    made = pending(scenario, lease, "approval", uses="single")
    id = lease.split(":", maxsplit=1)[0]
    assert deliver(scenario, id, made, "ping")[2] == b"buffered"
    assert deliver(scenario, id, made, "approved") == [b"WAITPOINT_CLOSED"]

    suspend(scenario, lease, wait(signal("approval", "approved")), at=(waitpoint("approval", number=1),))

    assert deliver(scenario, id, made, "ping")[2:4] == [b"unmatched", 0]
    assert deliver(scenario, id, made, "approved")[2] == b"resumed"
    assert deliver(scenario, id, made, "approved")[2:4] == [b"resumed", 1]
    assert_waits(scenario, id)


def test_a_single_use_waitpoint_counts_one_signal_however_many_it_kept(scenario: Scenario) -> None:
    waiting = suspend(
        scenario,
        scenario.hold().lease,
        wait(count(3, "signals", "once", names=["yes"]), name="later"),
        wait(signal("other")),
        at=(waitpoint("once", uses="single"), "other"),
    )
    assert [waiting.deliver("once", "no", source=f"user:{each}")[2] for each in "ab"] == [b"unmatched"] * 2
    waiting.deliver("other")

    second = again(scenario, waiting.id, count(3, "signals", "once"), name="once")

    assert list(second.record["waits"][0]["node"]["seen"].values()) == [1]
    assert deliver(scenario, waiting.id, waiting.waitpoints["once"]) == [b"WAITPOINT_CLOSED"]
    assert_waits(scenario, waiting.id)


def test_a_signal_to_a_suspension_whose_record_was_lost_is_kept(scenario: Scenario) -> None:
    waiting = suspend(scenario, scenario.hold().lease, wait(signal("a")), at=("a",))
    scenario.engine.command("DEL", f"{scenario.prefix}suspension:{waiting.id}")

    assert waiting.deliver("a")[:3] == [b"OK", 1, b"unmatched"]
    assert scenario.call("suspension_resume", waiting.id, "operator:default", 0, "", "n")[0] == b"OK"
    scenario.assert_sound()


def again(scenario: Scenario, id: str, node: Node, number: int = 1, name: str = "chat") -> Waiting:
    """Another wait at a waitpoint, by the next holder."""
    lease = scenario.reclaim(id).lease
    return suspend(scenario, lease, wait(node), at=(waitpoint(name, number=number),))


def test_a_waitpoint_of_many_uses_serves_one_wait_after_another(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    chat = pending(scenario, lease, "chat")
    waiting = suspend(scenario, lease, wait(signal("chat", "message")), at=(waitpoint("chat", number=1),))

    for number in range(1, 6):
        assert deliver(scenario, waiting.id, chat, "message", payload=b"x" * number)[2] == b"resumed"
        waiting = again(scenario, waiting.id, signal("chat", "message"))
        assert waiting.answer == "suspended", "what ended a wait does not end the next"
        assert stored_signals(scenario, waiting.id) == {}
        assert_waits(scenario, waiting.id)
    assert scenario.core(waiting.id)["kept_signals"] == 0


def test_what_a_wait_did_not_need_counts_for_the_next(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    chat = pending(scenario, lease, "chat")
    id = lease.split(":", maxsplit=1)[0]
    for number in range(1, 5):
        deliver(scenario, id, chat, payload=b"x" * number)

    answers = []
    answers.append(suspend(scenario, lease, wait(signal("chat")), at=(waitpoint("chat", number=1),)).answer)
    answers.append(again(scenario, id, count(2, "signals")).answer)
    deliver(scenario, id, chat, "later")
    answers.append(again(scenario, id, signal("chat")).answer)
    answers.append(again(scenario, id, signal("chat")).answer)
    answers.append(again(scenario, id, signal("chat")).answer)

    assert answers == ["resumed"] * 4 + ["suspended"]
    assert_waits(scenario, id)


def test_a_satisfied_wait_takes_no_more_of_the_early_signals(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    chat = pending(scenario, lease, "chat")
    id = lease.split(":", maxsplit=1)[0]
    deliver(scenario, id, chat, "yes")
    deliver(scenario, id, chat, "no")

    node = any_of(signal("chat", "yes"), signal("chat", "no"))
    waiting = suspend(scenario, lease, wait(node), at=(waitpoint("chat", number=1),))

    assert waiting.record["resumed_by"] == [1]
    assert again(scenario, id, node).record["resumed_by"] == [2]


def test_a_signal_that_another_wait_has_counted_stays_for_it(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    chat = pending(scenario, lease, "chat")
    both = wait(signal("chat", "x")), wait(count(2, "sources", "chat"))
    waiting = suspend(scenario, lease, *both, at=(waitpoint("chat", number=1),))

    assert deliver(scenario, waiting.id, chat, "x", source="user:a")[2] == b"resumed"

    second = again(scenario, waiting.id, count(2, "sources", "chat"))
    assert second.answer == "suspended"
    assert deliver(scenario, waiting.id, chat, "y", source="user:b")[2] == b"resumed"
    assert second.record["resumed_by"] == [1, 2]
    assert again(scenario, waiting.id, signal("chat")).answer == "suspended"
    assert_waits(scenario, waiting.id)


def test_a_single_use_waitpoint_outlives_a_wait_that_ran_out(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    made = pending(scenario, lease, "approval", uses="single")
    at = (waitpoint("approval", number=1),)
    waiting = suspend(scenario, lease, wait(signal("approval"), timeout_ms=700, on_timeout="resume"), at=at)
    scenario.engine.advance(700)
    scenario.call("suspension_lapse", 10)

    reminded = again(scenario, waiting.id, signal("approval"), name="approval")

    assert reminded.answer == "suspended"
    assert deliver(scenario, waiting.id, made)[2] == b"resumed"
    assert waitpoints(scenario, waiting.id)[1]["state"] == "closed"
    assert_waits(scenario, waiting.id)


def test_waitpoints_that_have_served_leave_room_for_others(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    id = lease.split(":", maxsplit=1)[0]
    for number in range(1, 141):
        made = pending(scenario, lease, f"w{number}")
        deliver(scenario, id, made)
        at = (waitpoint(made["name"], number=made["number"]),)
        assert suspend(scenario, lease, wait(signal(made["name"])), at=at).answer == "resumed"
        lease = scenario.reclaim(id).lease

    states = [each["state"] for _, each in sorted(waitpoints(scenario, id).items())]
    assert states.count("pending") == 33
    assert "closed" not in states[-33:]
    assert_waits(scenario, id)


def test_waits_that_lost_a_race_leave_room_for_others(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    id = lease.split(":", maxsplit=1)[0]
    chat = pending(scenario, lease, "chat")
    for _ in range(140):
        waits = wait(signal("message")), wait(TIMER, timeout_ms=10, on_timeout="resume")
        suspend(scenario, lease, *waits, at=("message", waitpoint("chat", number=1)))
        scenario.engine.advance(10)
        scenario.call("suspension_lapse", 10)
        lease = scenario.reclaim(id).lease

    states = [each["state"] for _, each in sorted(waitpoints(scenario, id).items())]
    assert states.count("pending") == 34, "the chat, 32 that lost long ago, and the last"
    assert deliver(scenario, id, chat)[2] == b"buffered"
    assert_waits(scenario, id)


def test_what_ran_out_is_forgotten_with_its_signals(scenario: Scenario) -> None:
    """A18: signals that nobody asks for do not add up."""
    lease = scenario.hold().lease
    id = lease.split(":", maxsplit=1)[0]
    for _ in range(60):
        made = pending(scenario, lease, "late", ttl_ms=10)
        assert deliver(scenario, id, made, payload=b"x")[2] == b"buffered"
        suspend(scenario, lease, wait(TIMER, timeout_ms=10, on_timeout="resume"))
        scenario.engine.advance(10)
        scenario.call("suspension_lapse", 10)
        lease = scenario.reclaim(id).lease

    assert scenario.core(id)["kept_signals"] <= 34
    assert_waits(scenario, id)


def test_by_name_the_waitpoint_that_is_waited_for_is_meant(scenario: Scenario) -> None:
    lease = scenario.hold().lease
    pending(scenario, lease, "approval", entry="1")
    pending(scenario, lease, "approval", entry="2")
    waiting = suspend(scenario, lease, wait(signal("approval")), at=(waitpoint("approval", number=1),))

    assert deliver(scenario, waiting.id, "approval")[2] == b"resumed"
    assert deliver(scenario, waiting.id, "approval")[2] == b"buffered"
    assert waitpoints(scenario, waiting.id)[2]["signals"] == [2]


def test_a_suspension_may_see_and_drop_more_signals_than_fit_on_a_stack(scenario: Scenario) -> None:
    """A15: nothing raises, so nothing raises after a write."""
    lease = scenario.hold().lease
    id = lease.split(":", maxsplit=1)[0]
    names = [f"w{number}" for number in range(1, 33)]
    for name in names:
        made = pending(scenario, lease, name)
        for _ in range(2):
            items = [item(id, made, payload=b"") for _ in range(128)]
            replies = deliver_many(scenario, *items, most=100_000)
            assert {reply[0] for reply in replies} == {b"OK"}
    assert scenario.core(id)["kept_signals"] == 32 * 256
    at = tuple(waitpoint(name, number=number) for number, name in enumerate(names, 1))

    waiting = suspend(scenario, lease, wait(OPERATOR), at=at)

    assert waiting.answer == "suspended"
    scenario.call("suspension_resume", id, "operator:default", 0, "", "n")
    lease = scenario.reclaim(id).lease
    again_waiting = suspend(scenario, lease, wait(signal("other")), at=("other",))
    assert again_waiting.answer == "suspended"
    scenario.call("execution_cancel", "why", 0, id)
    assert_waits(scenario, id)


def test_timers_may_have_more_events_than_fit_on_a_stack(scenario: Scenario) -> None:
    names = [f"w{number}" for number in range(16)]
    waits = [wait(signal("a"), timeout_ms=10, on_timeout="escalate", name=name) for name in names]
    ids = [suspend(scenario, scenario.hold().lease, *waits, at=("a",)).id for _ in range(130)]
    scenario.engine.advance(10)

    assert scenario.call("suspension_lapse", 256) == [130, b""]

    assert scenario.events(ids[0])[-2:] == ["wait_timed_out", "escalated"]
    assert scenario.events(ids[-1])[-2:] == ["wait_timed_out", "escalated"]
    scenario.assert_sound()
