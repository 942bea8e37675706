"""A deployment waits for two people while nothing runs, and goes on where it was, on another worker.

    python -m examples.approval.run            # Ann and Ben approve
    python -m examples.approval.run --reject   # Ben does not

Ann and Ben have API tokens of their own, so the engine knows who approves. Ann alone is not enough,
however often she tries.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from examples.approval.tasks import Release, Report, roll_out
from examples.stage import Stage, perform
from flowfabric import Client, SignalEffect, State

TOKENS = {"ann": "token-of-ann", "ben": "token-of-ben"}
ENV = {
    "FF_API_TOKEN": "token-of-the-workers",
    "FF_API_TOKENS": ",".join(f"{name}={token}" for name, token in TOKENS.items()),
}
HOSTS = ["web-1", "web-2", "web-3", "web-4"]


async def show(ledger: Path, *, reject: bool) -> Stage:
    """Runs the deployment and checks what came of it."""
    async with Stage("approval", "examples.approval.tasks:roll_out", ENV) as stage:
        client = await stage.client()
        people = {name: await stage.client(token) for name, token in TOKENS.items()}
        first = await stage.worker("worker-1")
        release = Release(service="shop", version="2.4.0", hosts=HOSTS, ledger=str(ledger))
        execution_id = (await client.submit(roll_out, release)).execution_id
        stage.say("client", f"submitted {execution_id}")

        waiting = await stage.until(client, execution_id, State.SUSPENDED)
        assert waiting.suspension is not None
        stage.say("engine", f"suspended: {waiting.suspension.waits[0].condition}")
        await stage.kill(first)

        await decide(stage, people, execution_id, reject=reject)
        await stage.worker("worker-2")
        report = await client.result(execution_id, Report)
        stage.show_steps(await client.get(execution_id))
        judge(stage, report, lines_of(ledger), reject=reject)
        return stage


async def decide(stage: Stage, people: dict[str, Client], execution_id: str, *, reject: bool) -> None:
    """Ann approves, twice; then Ben has his say."""
    first = await people["ann"].approve(execution_id, "release", {"note": "looks good"})
    stage.say("ann", f"approves: {first.effect.value}")
    again = await people["ann"].approve(execution_id, "release")
    stage.say("ann", f"approves again: {again.effect.value}")
    stage.check(
        (first.effect, again.effect) == (SignalEffect.COUNTED, SignalEffect.REPEATED),
        f"Ann's two approvals should count once, but {first.effect.value} and {again.effect.value}",
    )
    ben = people["ben"]
    last = await (ben.reject if reject else ben.approve)(execution_id, "release")
    stage.say("ben", f"{'rejects' if reject else 'approves'}: {last.effect.value}")
    stage.check(last.effect is SignalEffect.RESUMED, f"Ben's word should resume, but it {last.effect.value}")


def lines_of(ledger: Path) -> list[str]:
    """What was really done."""
    return ledger.read_text().splitlines() if ledger.exists() else []


def judge(stage: Stage, report: Report, done: Sequence[str], *, reject: bool) -> None:
    """Compares what was reported with what was really done."""
    for line in done:
        stage.say("ledger", line)
    expected = ["plan shop 2.4.0"]
    if reject:
        stage.check(report.rejected_by == "user:ben", f"rejected by {report.rejected_by!r}, not by Ben")
        stage.check(not report.deployed, f"it was rejected, but {report.deployed}")
    else:
        expected += ["deploy web-1", "measure web-1", "deploy web-2", "deploy web-3", "deploy web-4"]
        stage.check(
            sorted(report.approved_by) == ["user:ann", "user:ben"], f"approved by {report.approved_by}"
        )
        stage.check(
            report.deployed == [f"{host} runs 2.4.0" for host in HOSTS], f"deployed {report.deployed}"
        )
    stage.check(list(done) == expected, f"done was {list(done)}, not each step once: {expected}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the show; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m examples.approval.run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--reject", action="store_true", help="Ben rejects")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return perform(show(Path(folder, "ledger"), reject=options.reject))


if __name__ == "__main__":
    sys.exit(main())
