"""Who is alive: workers and the engine's own processes."""

from __future__ import annotations

from .harness.engines import Engine

WORKERS, MEMBERS, CONFIG = "ff:{w}:workers", "ff:{m}:members:scanners", "ff:{m}:config"


def open_worker(engine: Engine, worker: str = "w1", session: str = "s1", gateway: str = "g1") -> object:
    return engine.call("worker_open", [WORKERS], [worker, session, gateway, 1000, "identity", b"\0\xff"])


def test_of_two_sessions_of_one_worker_the_newer_wins(engine: Engine) -> None:
    assert open_worker(engine) == [b"OK", b""]
    assert open_worker(engine, session="s2", gateway="g2") == [b"OK", b"s1"]

    beats = engine.call("worker_beat", [WORKERS], [1000, "w1", "s1", "0", "w1", "s2", "3"])

    assert beats == [b"SESSION_SUPERSEDED", b"OK"]
    assert (b"ff:gateway:g1", b"superseded w1 s1 ") in engine.published


def test_the_older_session_cannot_close_the_newer(engine: Engine) -> None:
    open_worker(engine)
    open_worker(engine, session="s2")

    assert engine.call("worker_close", [WORKERS], ["w1", "s1"]) == 0
    assert engine.call("worker_close", [WORKERS], ["w1", "s2"]) == 1
    assert engine.all_keys() == []


def test_live_workers_are_listed_in_pages(engine: Engine) -> None:
    for worker in ("w2", "w1", "w3"):
        open_worker(engine, worker)

    page = engine.call("worker_list", [WORKERS], ["", 2])

    assert isinstance(page, list)
    assert [row[0] for row in page if isinstance(row, list)] == [b"w1", b"w2"]
    rest = engine.call("worker_list", [WORKERS], ["w2", 2])
    assert isinstance(rest, list)
    assert [row[0] for row in rest if isinstance(row, list)] == [b"w3"]


def test_silent_workers_are_neither_listed_nor_kept(engine: Engine) -> None:
    open_worker(engine)
    engine.advance(1001)

    assert engine.call("worker_list", [WORKERS], ["", 10]) == []
    assert engine.call("worker_sweep", [WORKERS], [10]) == [1, b""]
    assert engine.all_keys() == []


def test_a_beat_keeps_a_worker(engine: Engine) -> None:
    open_worker(engine)
    engine.advance(900)
    engine.call("worker_beat", [WORKERS], [1000, "w1", "s1", "0"])
    engine.advance(900)

    assert engine.call("worker_sweep", [WORKERS], [10]) == [0, engine.now_ms + 100]


def beat(engine: Engine, member: str, ttl_ms: int = 1000) -> object:
    return engine.call("member_beat", [MEMBERS], [member, ttl_ms, f"{member}:1", "ff_abc"])


def test_members_learn_of_each_other(engine: Engine) -> None:
    beat(engine, "b")

    assert beat(engine, "a") == [b"a", b"a:1", b"b", b"b:1"]


def test_a_member_that_leaves_or_falls_silent_is_gone(engine: Engine) -> None:
    beat(engine, "a")
    beat(engine, "b")
    assert beat(engine, "b", ttl_ms=0) == [b"a", b"a:1"]
    engine.advance(1000)

    assert beat(engine, "c") == [b"c", b"c:1"]


def test_the_number_of_partitions_is_fixed_by_the_first(engine: Engine) -> None:
    assert engine.call("partitions_fix", [CONFIG], [64]) == 64
    assert engine.call("partitions_fix", [CONFIG], [16]) == 64
