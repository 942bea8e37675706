"""Ownership: everybody computes the same owners, and a change moves no more than it must."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_core.backend import EngineBackend
from ff_core.membership import Membership, Ownership, owned_partitions, parse_partitions
from ff_core.worker import Member

MEMBERS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True)


def owners(members: list[str], partitions: int) -> dict[int, str]:
    """Owner of each partition; fails when one has two."""
    found: dict[int, str] = {}
    for member in members:
        for partition in owned_partitions(member, members, partitions):
            assert partition not in found
            found[partition] = member
    return found


@given(MEMBERS, st.integers(1, 256))
def test_every_partition_has_one_owner(members: list[str], partitions: int) -> None:
    assert sorted(owners(members, partitions)) == list(range(partitions))


@given(MEMBERS)
def test_a_member_that_leaves_moves_only_its_own(members: list[str]) -> None:
    before = owners(members, 64)
    gone, *rest = members

    after = owners(rest, 64) if rest else {}

    for partition, owner in after.items():
        assert before[partition] in (owner, gone)


@given(MEMBERS, st.text(min_size=1, max_size=12))
def test_a_member_that_joins_takes_only_for_itself(members: list[str], new: str) -> None:
    before = owners(members, 64)

    after = owners([*members, new] if new not in members else members, 64)

    for partition, owner in after.items():
        assert owner in (before[partition], new)


@given(MEMBERS, st.randoms())
def test_the_order_in_which_members_are_known_does_not_matter(members: list[str], random: object) -> None:
    shuffled = list(members)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert owners(shuffled, 64) == owners(members, 64)


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_partitions_are_shared_about_evenly(count: int) -> None:
    members = [f"scheduler-{number:012x}" for number in range(count)]

    shares = [len(owned_partitions(member, members, 4096)) for member in members]

    assert sum(shares) == 4096
    assert min(shares) > 4096 / count * 0.8
    assert max(shares) < 4096 / count * 1.2


def test_who_is_not_a_member_owns_nothing() -> None:
    assert owned_partitions("stranger", ["a", "b"], 64) == frozenset()
    assert owned_partitions("stranger", [], 64) == frozenset()


class Registry:
    """Who said to be there."""

    library = "ff_1"

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}

    async def member_beat(self, _service: str, member: Member, ttl_ms: int, _library: str) -> list[Member]:
        if ttl_ms:
            self.members[member.member_id] = member
        else:
            self.members.pop(member.member_id, None)
        return list(self.members.values())


async def test_who_left_does_not_come_back_with_the_next_beat() -> None:
    registry = Registry()
    membership = Membership(cast("EngineBackend", registry), "gateway", Member("g1", "host:1"), 1000)
    await membership.beat()
    assert list(registry.members) == ["g1"]

    await membership.leave()
    await membership.beat()

    assert registry.members == {}


def test_ownership_follows_the_members() -> None:
    ownership = Ownership("a", 64)
    assert ownership.owned == frozenset()

    ownership.update([Member("a", "host:1")])
    assert ownership.owned == frozenset(range(64))

    ownership.update([Member("a", "host:1"), Member("b", "host:2")])
    assert ownership.owned == owned_partitions("a", ["a", "b"], 64)


def test_a_static_range_ignores_the_members() -> None:
    ownership = Ownership("a", 64, frozenset({1, 2}))

    ownership.update([Member("b", "host:2")])

    assert ownership.owned == {1, 2}


@pytest.mark.parametrize(
    ("text", "found"),
    [("", None), ("0", {0}), ("0-3", {0, 1, 2, 3}), ("0-1,5", {0, 1, 5}), ("3,1-2,2", {1, 2, 3})],
)
def test_a_range_is_read(text: str, found: set[int] | None) -> None:
    assert parse_partitions(text, 8) == found


@pytest.mark.parametrize("text", ["x", "1-", "-1", "8", "0-8", ",", "1,,2", "1-2-3", "3-1"])
def test_a_malformed_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_partitions(text, 8)
