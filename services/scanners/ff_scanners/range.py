"""FF_PARTITION_RANGE: which partitions a process owns by settings."""

from __future__ import annotations

import re

from ff_core.membership import parse_partitions

_RANGE = re.compile(r"^\d+(-\d+)?(,\d+(-\d+)?)*$")
_ORDINAL = re.compile(r"^ordinal:([1-9]\d*)$")
_ORDINAL_OF = re.compile(r"(?:^|-)(\d+)$")


def parse_range(text: str, partitions: int, replica: str) -> frozenset[int] | None:
    """The partitions that `text` names; None for "", which means a live share.

    Raises ValueError with a sentence. `replica` is the name whose trailing number "ordinal:<replicas>" takes.
    """
    text = text.replace(" ", "")
    if not text:
        return None
    ordinal = _ORDINAL.match(text)
    if ordinal is not None:
        return _share(int(ordinal[1]), partitions, replica)
    if not _RANGE.match(text):
        raise ValueError(
            f'FF_PARTITION_RANGE={text} is neither a range as "0-31,40" nor "ordinal:<replicas>"'
        )
    try:
        found = parse_partitions(text, partitions)
    except ValueError as error:
        raise ValueError(f"FF_PARTITION_RANGE={text}: {error}") from error
    if not found:
        raise ValueError(f"FF_PARTITION_RANGE={text} names no partition")
    return found


def _share(replicas: int, partitions: int, replica: str) -> frozenset[int]:
    number = _ORDINAL_OF.search(replica)
    if number is None:
        raise ValueError(
            f"FF_PARTITION_RANGE=ordinal:{replicas} needs a name that ends in -<number>, not {replica!r}"
        )
    ordinal = int(number[1])
    if ordinal >= replicas:
        raise ValueError(
            f"FF_PARTITION_RANGE=ordinal:{replicas}, but {replica!r} would be replica {ordinal + 1}"
        )
    if replicas > partitions:
        raise ValueError(f"FF_PARTITION_RANGE=ordinal:{replicas}, but there are only {partitions} partitions")
    return frozenset(range(ordinal, partitions, replicas))
