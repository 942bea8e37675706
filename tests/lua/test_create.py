"""Creating executions."""

from __future__ import annotations

from .harness.scenario import QUEUE, Scenario, read_core

BYTES = bytes(range(256))


def test_a_new_execution_waits_in_its_queue(scenario: Scenario) -> None:
    id = scenario.create(payload=BYTES, priority=7)

    core = scenario.core(id)
    assert (core["state"], core["reason"], core["attempt_state"]) == (
        "waiting", "waiting_for_worker", "pending_first_attempt",
    )  # fmt: skip
    assert scenario.members(f"queue:{QUEUE}") == [id]
    assert scenario.value("payload", id) == BYTES
    assert scenario.events(id) == ["created"]
    scenario.assert_sound()


def test_a_new_execution_wakes_the_schedulers_once_for_each_new_head(scenario: Scenario) -> None:
    scenario.create(priority=1)
    scenario.create(priority=1)
    scenario.create(priority=2)

    assert len(scenario.published("wake")) == 2
    assert scenario.published("wake")[0].endswith(b" " + QUEUE.encode())


def test_higher_priority_goes_first_then_the_older(scenario: Scenario) -> None:
    first = scenario.create(priority=1)
    scenario.engine.advance(1)
    second = scenario.create(priority=1)
    urgent = scenario.create(priority=9000)

    assert scenario.members(f"queue:{QUEUE}") == [urgent, first, second]


def test_a_delayed_execution_is_not_queued_until_it_is_due(scenario: Scenario) -> None:
    id = scenario.create(delay_until_ms=scenario.engine.now_ms + 1000)

    assert scenario.indexes_of(id) == ["delayed", "executions"]
    assert scenario.call("delayed_promote", 10) == [0, scenario.engine.now_ms + 1000]
    scenario.engine.advance(1000)
    assert scenario.call("delayed_promote", 10) == [1, b""]
    assert scenario.state(id) == "waiting"
    assert scenario.events(id) == ["created", "promoted"]
    scenario.assert_sound()


def test_a_relative_delay_counts_from_the_submission_by_valkeys_clock(scenario: Scenario) -> None:
    later, now = scenario.create(delay_until_ms="+1500"), scenario.create(delay_until_ms="+0")

    assert (scenario.state(later), scenario.state(now)) == ("delayed", "waiting")
    assert scenario.core(later)["due_at"] == scenario.engine.now_ms + 1500
    scenario.assert_sound()


def test_a_repeat_with_the_same_idempotency_key_returns_the_first_id(scenario: Scenario) -> None:
    first = scenario.create(idempotency="default/key", fingerprint="same")

    again = scenario.create_many(scenario.item("0-ff", idempotency="default/key", fingerprint="same"))

    assert again == [[b"OK", first.encode(), 1]]
    assert scenario.members("executions") == [first]
    assert scenario.events() == ["created"]


def test_the_same_idempotency_key_with_other_content_is_a_conflict(scenario: Scenario) -> None:
    first = scenario.create(idempotency="default/key", fingerprint="one")

    other = scenario.create_many(scenario.item("0-ff", idempotency="default/key", fingerprint="two"))

    assert other == [[b"IDEMPOTENCY_CONFLICT", first.encode()]]
    assert scenario.members("executions") == [first]


def test_an_idempotency_key_is_forgotten_after_its_time(scenario: Scenario) -> None:
    scenario.create(idempotency="default/key", idempotency_ttl_ms=60_000)
    scenario.engine.advance(61_000)

    second = scenario.create(idempotency="default/key")

    assert second in scenario.members("executions")


def test_creating_the_same_id_again_changes_nothing(scenario: Scenario) -> None:
    id = scenario.create()

    assert scenario.create_many(scenario.item(id)) == [[b"OK", id.encode(), 1]]
    assert scenario.events() == ["created"]


def test_items_of_one_call_stand_alone(scenario: Scenario) -> None:
    replies = scenario.create_many(
        scenario.item("0-01", idempotency="default/a", fingerprint="1"),
        scenario.item("0-02", idempotency="default/a", fingerprint="2"),
        scenario.item("0-03", tags={"team": "blue", "empty": ""}),
    )

    assert replies == [[b"OK", b"0-01", 0], [b"IDEMPOTENCY_CONFLICT", b"0-01"], [b"OK", b"0-03", 0]]
    assert scenario.members("tag:default/team=blue") == ["0-03"]
    scenario.assert_sound()


def test_a_thousand_executions_fit_in_one_call(scenario: Scenario) -> None:
    replies = scenario.create_many(*[scenario.item(tags={"n": str(n % 3)}) for n in range(1000)])

    assert all(reply[0] == b"OK" for reply in replies)
    assert len(scenario.members(f"queue:{QUEUE}")) == 1000


def test_a_description_holds_everything_byte_for_byte(scenario: Scenario) -> None:
    id = scenario.create(payload=BYTES, tags={"a": "b"}, traceparent="\0\udcff")

    [described] = scenario.call("execution_describe", 1, 1, id)

    assert described[:2] == [id.encode(), BYTES]
    assert read_core(described[2])["traceparent"] == "\0\udcff"
    assert read_core(described[2]) == scenario.core(id)
    assert described[3:] == [[b"a", b"b"], [], []]


def test_an_unknown_execution_is_described_as_nothing(scenario: Scenario) -> None:
    assert scenario.call("execution_describe", 1, 1, "0-ff") == [[]]
