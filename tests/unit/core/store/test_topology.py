"""Where keys are: what is remembered of them is bounded, though every execution has keys of its own."""

from __future__ import annotations

from ff_core import keys
from ff_core.store.topology import REMEMBERED, slot_of


def test_slots_are_remembered_for_so_many_keys_only() -> None:
    slots = {slot_of(f"{keys.partition_prefix(3)}payload:3-{number}") for number in range(REMEMBERED + 10)}

    assert slots == {slot_of(keys.anchor(3))}
    assert slot_of.cache_info().currsize <= REMEMBERED
