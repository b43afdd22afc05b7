"""Grouped and stratified splits: whole groups on one side, every label on every side.

The assignment follows iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011): the label
with the fewest groups goes first, and each of its groups goes to the split that still wants most
of that label. It is done on groups rather than rows. It depends on the rows and the seed, and
not on the order of the rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pointsman.core.errors import DataError
from pointsman.core.types import SPLITS, Example
from pointsman.data.sampling import NO_SPANS, draw, row_hash
from pointsman.data.schema import SLICE
from pointsman.tasks.spec import TaskSpec

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
NEAR_OFFICIAL = f"{SLICE}near_official"
_ROWS = "(rows)"
# A label that has groups for some splits only goes to training first, then to where it is scored.
_NEED = ("train", "test", "validation")


@dataclass(slots=True)
class _Unit:
    """A group of rows that moves as one."""

    rows: list[int] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    rank: str = ""


def assign_splits(
    examples: Sequence[Example],
    groups: Sequence[int],
    spec: TaskSpec,
    *,
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[str]:
    """Return the split of every row: train, validation, test, or the slice that it names.

    Official validation and test splits are kept as given. Rows without a split that are of one
    group with theirs become the slice `near_official`: they may be neither learned from nor added.
    The other rows (official train ones and those without a split) are divided by `fractions`
    between train and the splits that no source gave.

    Args:
        examples: The rows; their `split` is an official one, a `slice:NAME`, or None.
        groups: Their groups.
        spec: The task.
        fractions: Share of each split; a split without one stays empty unless it is given.
        seed: Of the order in which groups are dealt.

    Raises:
        DataError: If there is nothing to split, only one class, or a class too small to split.
    """
    splits: list[str | None] = [example.split for example in examples]
    rows = [i for i, split in enumerate(splits) if split is None or split in SPLITS]
    _check_labels(examples, rows, spec)
    _set_apart(splits, groups, rows)
    shares = {s: f for s, f in (fractions or FRACTIONS).items() if f > 0}
    parts = {s: f for s, f in shares.items() if s == "train" or s not in splits}
    pool = [i for i in rows if splits[i] in (None, "train")]
    for i in pool:
        splits[i] = None  # dealt anew: part of official train may become validation
    units = _units(examples, groups, pool, spec, seed)
    _check_groups(units, spec, parts)
    _deal(units, parts, splits)
    return [str(split) for split in splits]


def _units(
    examples: Sequence[Example],
    groups: Sequence[int],
    rows: Iterable[int],
    spec: TaskSpec,
    seed: int,
) -> list[_Unit]:
    by_group: dict[int, _Unit] = defaultdict(_Unit)
    for row in rows:
        unit = by_group[groups[row]]
        unit.rows.append(row)
        unit.labels.update(_labels(examples[row], spec))
        unit.labels.update([_ROWS, *([f"kind {examples[row].kind}"] * bool(examples[row].kind))])
        unit.rank = min(filter(None, (unit.rank, draw(row_hash(examples[row]), seed))))
    return sorted(by_group.values(), key=lambda unit: unit.rank)


def _labels(example: Example, spec: TaskSpec) -> list[str]:
    if spec.level == "token":
        return [span.label for span in example.spans] or [NO_SPANS]
    return [str(example.label)]


def _set_apart(splits: list[str | None], groups: Sequence[int], rows: list[int]) -> None:
    official = {groups[i] for i in rows if splits[i] in ("validation", "test")}
    for i in rows:
        if splits[i] is None and groups[i] in official:
            splits[i] = NEAR_OFFICIAL


def _deal(units: list[_Unit], shares: Mapping[str, float], splits: list[str | None]) -> None:
    """Give every unit a split and write it to `splits`."""
    total: Counter[str] = Counter()
    for unit in units:
        total.update(unit.labels)
    whole = sum(shares.values())
    wanted = {s: {name: n * f / whole for name, n in total.items()} for s, f in shares.items()}
    holders = {name: [u for u in units if u.labels[name]] for name in total}
    pending = {id(unit) for unit in units}

    def give(unit: _Unit, split: str) -> None:
        pending.discard(id(unit))
        for name, count in unit.labels.items():
            wanted[split][name] -= count
        for row in unit.rows:
            splits[row] = split

    for name in sorted(total, key=lambda name: (len(holders[name]), name)):
        for split in _unserved(holders[name], shares, splits):
            left = [unit for unit in holders[name] if id(unit) in pending]
            if left:
                give(_fitting(left, name, wanted[split]), split)
        for unit in sorted(holders[name], key=lambda unit: (-unit.labels[name], unit.rank)):
            if id(unit) in pending:
                give(unit, _keenest(wanted, name))


def _unserved(
    holders: list[_Unit], shares: Mapping[str, float], splits: Sequence[str | None]
) -> list[str]:
    """Return the splits that have nothing of a label yet, as far as its groups will reach.

    The rarest splits are served first, from the choice of all groups; train gets what it is owed.
    """
    due = [split for split in _NEED if split in shares][: len(holders)]
    served = {splits[unit.rows[0]] for unit in holders}
    return [split for split in reversed(due) if split not in served]


def _fitting(units: list[_Unit], name: str, wanted: Mapping[str, float]) -> _Unit:
    """Return the first unit in drawn order that a split has room for, else the smallest."""
    for unit in units:
        if unit.labels[name] <= max(1.0, wanted[name]) and unit.labels[_ROWS] <= wanted[_ROWS]:
            return unit
    return min(units, key=lambda unit: (unit.labels[_ROWS], unit.rank))


def _keenest(wanted: Mapping[str, Mapping[str, float]], name: str) -> str:
    """Return the split that wants most of a label, then most rows; train before the others."""
    return max(wanted, key=lambda s: (wanted[s][name], wanted[s][_ROWS], -SPLITS.index(s)))


def _check_labels(examples: Sequence[Example], rows: list[int], spec: TaskSpec) -> None:
    if not rows:
        slices = len(examples)
        raise DataError(
            f"rows to train the task {spec.name!r} on",
            got=f"none ({slices} rows are slices)" if slices else "an empty data set",
            fix="add a source, or loosen `where`, `limit`, `positive_kinds` or `labels`",
        )
    found = Counter(label for i in rows for label in _labels(examples[i], spec))
    del found[NO_SPANS]
    if spec.level == "token":
        if not found:
            raise DataError(
                f"at least one span to train the task {spec.name!r} on",
                got=f"{len(rows)} rows without any",
                fix="check the `spans` column and `label_map`",
            )
        return
    if len(found) == 1:
        raise DataError(
            f"two classes or more to train the task {spec.name!r} on",
            got=f"one only: {next(iter(found))} ({len(rows)} rows)",
            fix="add a source that has the other classes",
        )
    absent = [label for label in spec.labels if label not in found]
    if absent:
        raise DataError(
            f"rows of every class of the task {spec.name!r}",
            got=f"none of: {', '.join(absent)}",
            fix="add a source that has them, or keep the others with `labels:`",
        )


def _check_groups(units: list[_Unit], spec: TaskSpec, shares: Mapping[str, float]) -> None:
    """Refuse a class that cannot be on every side: its groups are fewer than the splits."""
    if not units:
        raise DataError("rows for train", got="none", fix="check `split_map` and `files`")
    if spec.level == "token":
        return  # a rare entity type is reported in the manifest, not refused
    small = []
    for label in spec.labels:
        rows = [unit.labels[label] for unit in units if unit.labels[label]]
        if len(rows) < len(shares):
            small.append(f"{label}: {sum(rows)} rows in {len(rows)} groups")
    if small:
        raise DataError(
            f"{len(shares)} groups or more of every class, one for each of {', '.join(shares)}",
            got="; ".join(small),
            fix="add rows of these classes, leave them out with `labels:`, or give official splits "
            "(rows of one template or document, and near-duplicates, are one group)",
        )


def slice_name(split: str) -> str | None:
    """Return NAME of `slice:NAME`, or None for a split."""
    return split.removeprefix(SLICE) if split.startswith(SLICE) else None
