"""Seeded samples that depend on the rows and never on their order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

from pointsman.core.files import sha256_json
from pointsman.core.types import Example
from pointsman.tasks.spec import TaskSpec

NO_SPANS = "(no spans)"


def row_hash(example: Example) -> str:
    """Return the SHA-256 of what a model learns from a row."""
    spans = [[span.start, span.end, span.label] for span in example.spans]
    in_part = [] if example.annotated is None else [example.annotated]
    return sha256_json([example.text, example.label, spans, *in_part])


def split_hash(examples: Sequence[Example]) -> str:
    """Return the SHA-256 of a split: over its rows in any order."""
    lines = "\n".join(sorted(row_hash(example) for example in examples))
    return hashlib.sha256(lines.encode("ascii")).hexdigest()


def draw(key: str, seed: int) -> str:
    """Return a pseudo-random rank for a row: seeded, and the same wherever the row stands."""
    return hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogatepass")).hexdigest()


def strata_of(examples: Sequence[Example], spec: TaskSpec) -> list[str]:
    """Return the stratum of every row: its kind or label, or whether it has spans."""
    if spec.level == "token":
        return ["(spans)" if example.spans else NO_SPANS for example in examples]
    return [f"{example.kind or example.label}" for example in examples]


def stratified_sample(
    examples: Sequence[Example], strata: Sequence[Hashable], size: int, *, seed: int
) -> list[int]:
    """Return the places of `size` rows in which every stratum has its share.

    Args:
        examples: The rows.
        strata: The stratum of every row.
        size: How many rows to keep.
        seed: Of the draw.

    Returns:
        Indices in ascending order; all of them if there are no more than `size`.
    """
    if len(examples) <= size:
        return list(range(len(examples)))
    members = ranked_by_stratum(examples, strata, seed=seed)
    quotas = allocate({name: len(rows) for name, rows in members.items()}, size)
    return sorted(i for name, rows in members.items() for i in rows[: quotas[name]])


def ranked_by_stratum(
    examples: Sequence[Example], strata: Sequence[Hashable], *, seed: int
) -> dict[Hashable, list[int]]:
    """Return the indices of every stratum, in the order in which they are drawn."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, stratum in enumerate(strata):
        members[stratum].append(index)
    for rows in members.values():
        rows.sort(key=lambda index: (draw(row_hash(examples[index]), seed), index))
    return members


def allocate(sizes: Mapping[Hashable, int], total: int) -> dict[Hashable, int]:
    """Share `total` out in proportion to `sizes`, by largest remainder, at least one each.

    Where `total` is less than the number of shares, the largest ones get one each.
    """
    everything = sum(sizes.values())
    exact = {name: total * size / everything for name, size in sizes.items()}
    order = sorted(sizes, key=lambda name: (-sizes[name], str(name)))
    quotas = {
        name: max(1, int(exact[name])) if place < total else 0 for place, name in enumerate(order)
    }
    while sum(quotas.values()) > total:
        spare = [name for name in order if quotas[name] > 1]
        quotas[max(spare, key=lambda name: quotas[name] - exact[name])] -= 1
    while sum(quotas.values()) < total:
        open_ = [name for name in order if quotas[name] < sizes[name]]
        quotas[max(open_, key=lambda name: exact[name] - quotas[name])] += 1
    return quotas
