"""A deployment that two people have to approve: first one host, then, when that is well, the others.

The handler reads from top to bottom. What it has done is recorded, so it may be killed at any line and
goes on from there, and it holds no worker while it waits.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from flowfabric import Context, any_of, count, signal, task

CANARY_REST = timedelta(seconds=2)
PATIENCE = timedelta(days=3)


class Release(BaseModel):
    """What is to be deployed."""

    service: str
    version: str
    hosts: list[str]
    ledger: str
    """File with a line for everything that was really done; the hosts of this example."""


class Report(BaseModel):
    """How it ended."""

    version: str
    approved_by: list[str]
    rejected_by: str = ""
    deployed: list[str] = []


def plan(release: Release) -> list[str]:
    """The order of the hosts."""
    note(release, f"plan {release.service} {release.version}")
    return sorted(release.hosts)


def deploy(release: Release, host: str) -> str:
    """Puts the version on one host."""
    note(release, f"deploy {host}")
    return f"{host} runs {release.version}"


def measure(release: Release, host: str) -> float:
    """The share of failed requests of one host."""
    note(release, f"measure {host}")
    return 0.001


def note(release: Release, line: str) -> None:
    """Writes down what was really done."""
    with Path(release.ledger).open("a") as ledger:
        ledger.write(line + "\n")


@task
async def roll_out(release: Release, context: Context) -> Report:
    """Plans, waits for two approvals, tries one host, rests, and does the others."""
    hosts = await context.step("plan", plan, release)
    decision = await context.wait_for(
        "release",
        any_of(count(2, by="sources", names=["approved"]), signal("rejected")),
        timeout=PATIENCE,
        reason="waiting_for_approval",
    )
    report = Report(version=release.version, approved_by=[])
    for vote in decision.signals:
        if vote.name == "rejected":
            report.rejected_by = vote.source
            return report
        report.approved_by.append(vote.source)

    canary, *others = hosts
    report.deployed.append(await context.step("canary", deploy, release, canary))
    await context.sleep(CANARY_REST)
    if await context.step("measure", measure, release, canary) > 0.01:
        raise RuntimeError(f"{canary} is not well on {release.version}")
    for host in others:
        report.deployed.append(await context.step("deploy", deploy, release, host))
    return report
