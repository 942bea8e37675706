"""How a call writes: each execution once and to one index, and one message for all that changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ff_lua import assemble

from .harness.engines import LuaEngine
from .harness.scenario import QUEUE, Scenario

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


def test_a_call_tells_of_all_it_changed_in_one_message(scenario: Scenario) -> None:
    first, second = scenario.create(), scenario.create()
    before = len(scenario.published("news"))

    scenario.claim(count=2)
    scenario.call("execution_cancel", "", 0, first, second)

    assert scenario.published("news")[before:] == [f"{first} {second}".encode()] * 2


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
