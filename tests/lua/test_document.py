"""How a call writes: each execution once and to one index, and one message for all that changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ff_lua import assemble

from .harness.engines import LuaEngine
from .harness.scenario import LEASE_TTL_MS, QUEUE, Scenario
from .harness.waits import count, deliver_many, item, signal, suspend, suspended, wait

#: Functions that move executions as no function of the library does, or not yet.
MOVES = """
local function move(name, act)
  register(name, function(keys, args)
    local prefix, xs = ff.prefix(keys[1]), {}
    for i, id in ipairs(args) do
      xs[i] = ff.load(prefix, id)
    end
    act(ff.now_ms(), unpack(xs))
  end)
end

move('release_and_cancel', function(now, x)
  ff.release(x, now)
  ff.cancel_now(x, 'cancel', now)
end)

move('renew_and_cancel', function(now, x)
  ff.place(x, x.index, x.expires_at + 1)
  ff.cancel_now(x, 'cancel', now)
end)

move('leave_and_return', function(now, x)
  ff.place(x, 'delayed', now)
  ff.place(x, 'queue:' .. x.queue, ff.score(x))
end)

move('say_and_release', function(now, x)
  ff.tell_watchers(x)
  ff.release(x, now)
end)

move('release_and_say', function(now, x)
  ff.release(x, now)
  ff.tell_watchers(x)
end)

move('cancel_and_release', function(now, waiting, active)
  ff.cancel_now(waiting, 'cancel', now)
  ff.release(active, now)
end)
"""


@pytest.fixture(scope="module")
def moving_engine() -> Iterator[LuaEngine]:
    library = assemble()
    engine = LuaEngine(replace(library, code=library.code + MOVES))
    yield engine
    engine.close()


@pytest.fixture
def moving(moving_engine: LuaEngine) -> Scenario:
    moving_engine.reset()
    return Scenario(moving_engine)


@pytest.mark.parametrize("move", ["release_and_cancel", "renew_and_cancel"])
def test_an_execution_that_moves_twice_is_in_its_last_index_only(moving: Scenario, move: str) -> None:
    grant = moving.hold()

    moving.call(move, grant.id)

    assert moving.state(grant.id) == "cancelled"
    assert moving.members("leased") == []
    moving.assert_sound()


def test_an_execution_that_comes_back_to_its_index_stays_there(moving: Scenario) -> None:
    id = moving.create()

    moving.call("leave_and_return", id)

    assert moving.members(f"queue:{QUEUE}") == [id]
    moving.assert_sound()


def test_a_queue_that_one_leaves_and_another_enters_is_announced(moving: Scenario) -> None:
    active = moving.hold()
    waiting = moving.create()
    before = len(moving.published("wake"))

    moving.call("cancel_and_release", waiting, active.id)

    assert moving.members(f"queue:{QUEUE}") == [active.id]
    assert len(moving.published("wake")) == before + 1
    moving.assert_sound()


def test_what_many_signals_of_a_call_change_is_written_once(
    moving: Scenario, moving_engine: LuaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = suspended(moving, count(9, "signals"))
    at = waiting.waitpoints["approval"]
    commands, seen = moving_engine._commands, list[tuple[bytes, ...]]()
    execute = commands.execute

    def noted(*fields: bytes) -> Any:
        seen.append(fields[:2])
        return execute(*fields)

    monkeypatch.setattr(commands, "execute", noted)
    deliver_many(moving, *(item(waiting.id, at, source=f"user:{number}") for number in range(5)))

    key = moving.prefix.encode() + b"%s:" + waiting.id.encode()
    assert [seen.count((b"SET", key % b"suspension")), seen.count((b"HSET", key % b"waitpoints"))] == [1, 1]
    assert len(waiting.record["waits"][0]["node"]["seen"]) == 5
    assert not {"suspension", "waitpoints", "unsaved"} & set(moving.core(waiting.id))


def test_a_call_tells_of_all_it_changed_in_one_message(scenario: Scenario) -> None:
    first, second = scenario.create(), scenario.create()
    before = len(scenario.published("news"))

    scenario.claim(count=2)
    scenario.call("execution_cancel", "", 0, first, second)

    assert scenario.published("news")[before:] == [
        f"{first} {second}".encode(),
        f"!{first} !{second}".encode(),
    ]


def news(scenario: Scenario) -> str:
    """What the last call told."""
    return scenario.published("news")[-1].decode()


@pytest.mark.parametrize("function", ["lease_progress", "output_append", "journal_record"])
def test_what_is_no_transition_is_minor_news(scenario: Scenario, function: str) -> None:
    grant = scenario.hold()
    arguments: dict[str, tuple[Any, ...]] = {
        "lease_progress": (grant.lease, "40", "half", grant.lease, "50", ""),
        "output_append": (grant.lease, 1, 1, 1, b"frame"),
        "journal_record": (10, 1000, grant.lease, 1, "1", '{"k":"step","n":"a","s":"done"}', b"", 1),
    }

    scenario.call(function, *arguments[function])

    assert news(scenario) == f"~{grant.id}"


def test_a_transition_is_told_plainly(scenario: Scenario) -> None:
    id = scenario.create()
    assert news(scenario) == id
    [grant] = scenario.claim()
    assert news(scenario) == id
    scenario.renew(grant.lease)
    assert news(scenario) == id
    scenario.fail(grant.lease)
    assert news(scenario) == id


def complete(scenario: Scenario) -> str:
    grant = scenario.hold()
    scenario.complete(grant.lease)
    return grant.id


def fail(scenario: Scenario) -> str:
    grant = scenario.hold()
    scenario.fail(grant.lease, final=True)
    return grant.id


def cancel(scenario: Scenario) -> str:
    id = scenario.create()
    scenario.call("execution_cancel", "", 0, id)
    return id


def expire(scenario: Scenario) -> str:
    id = scenario.create(deadline_ms=100)
    scenario.engine.advance(101)
    scenario.call("deadline_expire", 10)
    return id


def lose_once_too_often(scenario: Scenario) -> str:
    grant = scenario.hold(policy={"max_reclaims": 0})
    scenario.engine.advance(LEASE_TTL_MS + 1)
    scenario.call("lease_expire", 10)
    assert scenario.events(grant.id)[-2:] == ["lease_expired", "failed"]
    return grant.id


def wait_too_long(scenario: Scenario) -> str:
    limit = wait(signal("approval"), timeout_ms=700, on_timeout="fail")
    id = suspend(scenario, scenario.hold().lease, limit, at=("approval",)).id
    scenario.engine.advance(701)
    scenario.call("suspension_lapse", 10)
    assert scenario.events(id)[-2:] == ["wait_timed_out", "failed"]
    return id


@pytest.mark.parametrize("end", [complete, fail, cancel, expire, lose_once_too_often, wait_too_long])
def test_an_end_is_told_as_such_once(scenario: Scenario, end: Callable[[Scenario], str]) -> None:
    id = end(scenario)

    assert news(scenario) == f"!{id}"


@pytest.mark.parametrize("move", ["say_and_release", "release_and_say"])
def test_what_has_minor_news_and_a_transition_is_named_once_and_plainly(moving: Scenario, move: str) -> None:
    grant = moving.hold()

    moving.call(move, grant.id)

    assert news(moving) == grant.id


def test_a_call_that_changes_nothing_tells_nothing(scenario: Scenario) -> None:
    id = scenario.create()
    before = len(scenario.published("news"))

    scenario.call("execution_describe", "", "", id)
    scenario.call("lease_renew", 1000, "worker", "gateway", f"{id}:1:1:none")

    assert len(scenario.published("news")) == before


def test_the_same_id_twice_in_one_call_is_one_execution(scenario: Scenario) -> None:
    item = scenario.item("0-1")

    assert scenario.create_many(item, item) == [[b"OK", b"0-1", 0], [b"OK", b"0-1", 1]]

    assert len(scenario.published("news")) == 1
    scenario.assert_sound()


def test_a_call_handles_more_executions_than_fit_on_a_stack(scenario: Scenario) -> None:
    created = scenario.create_many(*[scenario.item() for _ in range(4100)])
    assert len(created) == 4100
    unknown = [f"0-{number:x}:1:1:n" for number in range(1, 8200)]

    assert set(scenario.renew(*unknown)) == {b"EXECUTION_NOT_FOUND"}
    assert len(scenario.members("executions")) == 4100
    assert len(scenario.event_entries()) == 4100
