"""Scanners on a real Valkey: what time and accidents do to executions, and replicas that share the work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from ff_core import ids, keys
from ff_core.execution import NewExecution
from ff_core.lease import Outcome
from ff_core.settings import ServiceSettings
from ff_core.state import State
from ff_core.store.backend import ValkeyBackend, open_backend
from ff_core.suspension import NewWait, OnTimeout, Suspended, SuspendSpec
from ff_core.worker import Member, Pool, WorkerRecord
from ff_scanners.app import Replica
from ff_scanners.scanner import Scanner
from ff_scanners.scanners.attempt_timeout import AttemptTimeout
from ff_scanners.scanners.delayed_promoter import DelayedPromoter
from ff_scanners.scanners.execution_deadline import ExecutionDeadline
from ff_scanners.scanners.index_reconciler import INDEXES, IndexReconciler
from ff_scanners.scanners.lease_expiry import LeaseExpiry
from ff_scanners.scanners.library_prune import LibraryPrune
from ff_scanners.scanners.offer_expiry import OfferExpiry
from ff_scanners.scanners.retention import Retention
from ff_scanners.scanners.suspension_timeout import SuspensionTimeout
from ff_scanners.scanners.worker_registry import WorkerRegistry
from ff_scanners.settings import ScannerSettings
from flowfabric.testing import AnyValkey

PARTITION = 1
PARTITIONS = 4
QUEUE = keys.queue("default", "main", "any")
SHORT_MS, LONG_MS = 30, 60_000


@dataclass
class Engine:
    """A backend, and words for what the tests do most."""

    backend: ValkeyBackend
    valkey: AnyValkey
    policy: dict[str, object] = field(default_factory=dict)

    async def create(self, **over: object) -> str:
        new = NewExecution(
            execution_id=ids.new_execution_id(PARTITION),
            namespace="default",
            lane="main",
            kind="test",
            class_name="any",
            policy=self.policy,
            **over,  # type: ignore[arg-type]
        )
        [created] = await self.backend.execution_create([new])
        assert not isinstance(created, Exception)
        return created.execution_id

    async def claim(self, offer_ttl_ms: int = LONG_MS) -> bytes:
        claimed = await self.backend.execution_claim(PARTITION, QUEUE, 1, offer_ttl_ms, "gateway-1")
        return claimed.grants[0].lease

    async def hold(self, lease_ttl_ms: int = LONG_MS) -> bytes:
        lease = await self.claim()
        assert await self.backend.lease_renew([lease], lease_ttl_ms, "worker-1", "gateway-1") == [None]
        return lease

    async def state(self, execution_id: str) -> State | None:
        [record] = await self.backend.execution_describe([execution_id])
        return record.state if record else None

    async def scan_until_changed(self, scanner: type[Scanner]) -> int:
        """Scans until time has done its part; the suite's time limit is the patience."""
        probe = scanner(self.backend, lease_ttl_ms=LONG_MS)
        while not (result := await probe.scan(PARTITION)).changed:
            pass
        return result.changed


def settings_for(valkey: AnyValkey, **over: object) -> ScannerSettings:
    given = {"host": valkey.host, "port": valkey.port, "partitions": PARTITIONS, **over}
    return ScannerSettings.model_validate(given)


@pytest.fixture
async def engine(clean_valkey: AnyValkey) -> AsyncIterator[Engine]:
    backend = await open_backend(
        ServiceSettings(host=clean_valkey.host, port=clean_valkey.port, partitions=PARTITIONS)
    )
    yield Engine(backend, clean_valkey)
    await backend.close()


async def test_an_expired_lease_puts_the_execution_back_in_its_queue(engine: Engine) -> None:
    execution_id = await engine.create()
    await engine.hold(SHORT_MS)

    assert await engine.scan_until_changed(LeaseExpiry) == 1

    assert await engine.state(execution_id) is State.WAITING
    assert (await engine.claim()).startswith(f"{execution_id}:2:2:".encode())


async def test_an_unconfirmed_grant_goes_back_and_costs_no_attempt(engine: Engine) -> None:
    execution_id = await engine.create()
    await engine.claim(offer_ttl_ms=SHORT_MS)

    assert await engine.scan_until_changed(OfferExpiry) == 1

    assert await engine.state(execution_id) is State.WAITING
    assert (await engine.claim()).startswith(f"{execution_id}:1:2:".encode())


async def test_a_delayed_execution_is_queued_when_its_time_has_come(engine: Engine) -> None:
    execution_id = await engine.create()
    lease = await engine.hold()
    assert await engine.backend.lease_finish([Outcome(lease, "delay", (SHORT_MS,))], "w") == ["delayed"]

    assert await engine.scan_until_changed(DelayedPromoter) == 1

    assert await engine.state(execution_id) is State.WAITING


@pytest.mark.parametrize(
    ("on_timeout", "state"),
    [
        ("resume", State.WAITING),
        ("escalate", State.SUSPENDED),
        ("fail", State.FAILED),
        ("cancel", State.CANCELLED),
        ("expire", State.EXPIRED),
    ],
)
async def test_a_wait_that_ran_out_of_time_does_what_it_says(
    engine: Engine, on_timeout: OnTimeout, state: State
) -> None:
    execution_id = await engine.create()
    lease = await engine.hold()
    wait = NewWait("", "nap", {"op": "operator"}, SHORT_MS, None, on_timeout)
    details = SuspendSpec("waiting_for_timer", "worker", (), (wait,), "f").document(), "k1"
    [answer] = await engine.backend.lease_finish([Outcome(lease, "suspend", details)], "w")
    assert isinstance(answer, Suspended)

    assert await engine.scan_until_changed(SuspensionTimeout) == 1

    assert await engine.state(execution_id) is state


async def test_an_attempt_that_takes_too_long_is_retried(engine: Engine) -> None:
    execution_id = await engine.create(attempt_timeout_ms=SHORT_MS)
    await engine.hold()

    assert await engine.scan_until_changed(AttemptTimeout) == 1

    assert await engine.state(execution_id) is State.DELAYED


async def test_an_execution_past_its_deadline_expires(engine: Engine) -> None:
    execution_id = await engine.create(deadline_ms=SHORT_MS)

    assert await engine.scan_until_changed(ExecutionDeadline) == 1

    assert await engine.state(execution_id) is State.EXPIRED


async def test_a_worker_that_does_not_stop_when_asked_loses_its_execution(engine: Engine) -> None:
    execution_id = await engine.create()
    await engine.hold()
    assert await engine.backend.execution_cancel([execution_id], "enough", SHORT_MS) == [State.ACTIVE]

    assert await engine.scan_until_changed(ExecutionDeadline) == 1

    assert await engine.state(execution_id) is State.CANCELLED


async def test_retention_leaves_nothing_of_an_execution(engine: Engine) -> None:
    engine.policy = {"retention_ms": SHORT_MS}
    execution_id = await engine.create(payload=b"in", tags={"team": "blue"}, deadline_ms=LONG_MS)
    lease = await engine.hold()
    assert await engine.backend.lease_finish([Outcome(lease, "complete", (b"out",))], "w") == ["completed"]

    assert await engine.scan_until_changed(Retention) == 1

    left = engine.valkey.call("KEYS", f"*{execution_id}*")
    assert left == []
    for index in INDEXES:
        assert engine.valkey.call("ZSCORE", keys.partition_prefix(PARTITION) + index, execution_id) is None


async def test_a_worker_that_fell_silent_is_forgotten(engine: Engine) -> None:
    pool = Pool(("main",), frozenset(), 1)
    worker = WorkerRecord("w-1", "s-1", "g-1", "default", "", "test", (pool,), (0,), 0, 0, False)
    await engine.backend.worker_open(worker, SHORT_MS)

    assert await engine.scan_until_changed(WorkerRegistry) == 1

    assert engine.valkey.call("KEYS", "ff:{w}:*") == []


async def test_a_lost_index_entry_is_put_back(engine: Engine) -> None:
    waiting, delayed = await engine.create(), await engine.create(delay_until_ms=2**42)
    prefix = keys.partition_prefix(PARTITION)
    engine.valkey.call("DEL", f"{prefix}queue:{QUEUE}", f"{prefix}ready", f"{prefix}delayed")

    assert await engine.scan_until_changed(IndexReconciler) == 3

    assert (await engine.claim()).startswith(waiting.encode())
    assert engine.valkey.call("ZSCORE", f"{prefix}delayed", delayed) == str(2**42).encode()


async def test_an_index_entry_without_its_execution_is_dropped(engine: Engine) -> None:
    stray = ids.new_execution_id(PARTITION)
    prefix = keys.partition_prefix(PARTITION)
    for index in INDEXES[1:]:
        engine.valkey.call("ZADD", prefix + index, 2**42, stray)
    scanner = IndexReconciler(engine.backend, lease_ttl_ms=LONG_MS)

    changed = [(await scanner.scan(PARTITION)).changed for _ in INDEXES]

    assert changed == [0] + [1] * (len(INDEXES) - 1)
    assert engine.valkey.call("KEYS", f"{prefix}*") == []


async def test_only_libraries_of_live_processes_are_kept(engine: Engine) -> None:
    for name in ("ff_live", "ff_dead"):
        code = f"#!lua name={name}\nserver.register_function('{name}_one', function() return 1 end)"
        engine.valkey.call("FUNCTION", "LOAD", "REPLACE", code)
    await engine.backend.member_beat("gateway", Member("g-1", ""), LONG_MS, "ff_live")

    result = await LibraryPrune(engine.backend, lease_ttl_ms=LONG_MS).scan(0)

    assert "ff_dead" in result.detail.split()
    assert "ff_live" not in result.detail.split()
    assert engine.valkey.call("FCALL", "ff_live_one", 0) == 1
    engine.valkey.call("FUNCTION", "DELETE", "ff_live")


@contextlib.asynccontextmanager
async def replica_of(engine: Engine, name: str, **over: object) -> AsyncIterator[Replica]:
    settings = settings_for(engine.valkey, replica_id=name, member_ttl_ms=300, **over)
    replica = Replica(engine.backend, settings)
    await replica.start()
    try:
        yield replica
    finally:
        await replica.stop()


async def until(is_so: Callable[[], bool], engine: Engine) -> None:
    """Returns once it is so; Valkey's replies are what passes the time."""
    while not is_so():
        await engine.backend.ping()


ALL = frozenset(range(PARTITIONS))


def is_split(a: Replica, b: Replica) -> bool:
    left, right = a.ownership.owned, b.ownership.owned
    return bool(left and right) and left | right == ALL and not left & right


async def test_two_replicas_share_the_partitions_and_one_takes_over_when_the_other_leaves(
    engine: Engine,
) -> None:
    async with replica_of(engine, "a") as a:
        assert a.ownership.owned == ALL
        async with replica_of(engine, "b") as b:
            await until(lambda: is_split(a, b), engine)
            assert await a.readiness() == {"store": "ok", "membership": "ok"}

        await until(lambda: a.ownership.owned == ALL, engine)


async def test_the_partitions_of_a_replica_that_died_move_and_its_work_is_done(engine: Engine) -> None:
    dead = Member("a", "lease_expiry")
    await engine.backend.member_beat("scanners", dead, LONG_MS, "")
    async with replica_of(engine, "b", scanners="lease_expiry") as b:
        assert b.ownership.owned < ALL

        execution_id = await engine.create()
        await engine.hold(SHORT_MS)
        await engine.backend.member_beat("scanners", dead, SHORT_MS, "")

        await until(lambda: b.ownership.owned == ALL, engine)
        while await engine.state(execution_id) is not State.WAITING:
            pass


async def test_partitions_are_not_shared_with_a_replica_that_runs_other_scanners(engine: Engine) -> None:
    await engine.backend.member_beat("scanners", Member("a", "retention"), LONG_MS, "")

    async with replica_of(engine, "b", scanners="lease_expiry") as b:
        assert b.ownership.owned == ALL


async def test_a_fixed_range_is_kept_whoever_else_is_there(engine: Engine) -> None:
    async with (
        replica_of(engine, "a-0", partition_range="ordinal:2") as a,
        replica_of(engine, "b-1", partition_range="ordinal:2") as b,
    ):
        assert (a.ownership.owned, b.ownership.owned) == (frozenset({0, 2}), frozenset({1, 3}))


async def test_what_is_due_soon_is_handled_long_before_the_next_sweep(engine: Engine) -> None:
    execution_id = await engine.create(deadline_ms=500)
    async with replica_of(engine, "a", scanners="execution_deadline", execution_deadline_interval_s=3600):
        while await engine.state(execution_id) is not State.EXPIRED:
            pass


@pytest.fixture
def process(clean_valkey: AnyValkey) -> Iterator[subprocess.Popen[str]]:
    environment = {
        "FF_HOST": clean_valkey.host,
        "FF_PORT": str(clean_valkey.port),
        "FF_LOG_FORMAT": "json",
        "FF_REPLICA_ID": "scanners-1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "ff_scanners"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        if process.poll() is None:
            process.kill()


def wait_for(process: subprocess.Popen[str], event: str) -> dict[str, str]:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        found: dict[str, str] = json.loads(line)
        if found["event"] == event:
            return found
    raise AssertionError("".join(seen))


def read(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


@pytest.mark.processes
def test_the_service_says_when_it_is_ready_and_ends_well(
    process: subprocess.Popen[str], clean_valkey: AnyValkey
) -> None:
    ready = wait_for(process, "ready")

    assert (ready["service"], ready["replica"]) == ("scanners", "scanners-1")
    assert read(f"http://{ready['ops']}/healthz") == (200, '{"status": "ok"}')
    status, body = read(f"http://{ready['ops']}/readyz")
    assert (status, json.loads(body)["parts"]) == (200, {"store": "ok", "membership": "ok"})
    assert (
        'ff_scanner_owned_partitions{scanner="lease_expiry"} 64.0'
        in read(f"http://{ready['ops']}/metrics")[1].splitlines()
    )

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=30) == 0
    assert clean_valkey.call("ZCARD", keys.members("scanners")) == 0


@pytest.mark.processes
def test_bad_settings_are_refused_at_start_with_a_sentence() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "ff_scanners"],
        env=os.environ | {"FF_SCANNERS": "lease"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.returncode == 2
    assert "there is no scanner 'lease'" in run.stderr
