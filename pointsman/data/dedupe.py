"""Exact duplicates, contradicting labels, and groups that must share a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pointsman.core.types import SPLITS, Example
from pointsman.data.neardup import THRESHOLD, near_duplicate_pairs, normalised
from pointsman.data.sampling import row_hash
from pointsman.tasks.spec import TaskSpec

_LISTED = 100
_LISTED_PLACES = 10
_TEMPLATE_WORDS = 3
_KEPT_OUT = "(kept out of training)"


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """What is left of a pool of rows.

    Attributes:
        kept: Indices of the rows that are kept, ascending.
        duplicates: How many copies were dropped.
        conflicts: One entry for each text that came with several labels: the labels and where
            the copies stand. None of its copies is kept. The text is not repeated here.
        contradicting: Index of one copy of each of those texts, that with most spans.
    """

    kept: list[int]
    duplicates: int
    conflicts: list[dict[str, Any]]
    contradicting: list[int]

    def report(self) -> dict[str, Any]:
        """Return the manifest's entry; long lists are cut, and their length is said."""
        return {
            "exact_duplicates_dropped": self.duplicates,
            "conflicting_texts": len(self.conflicts),
            "conflicting_rows_dropped": sum(entry["rows"] for entry in self.conflicts),
            "conflicts": self.conflicts[:_LISTED],
        }


def drop_duplicates(
    examples: Sequence[Example], places: Sequence[str], spec: TaskSpec
) -> Deduplicated:
    """Drop exact duplicates, and every copy of a text whose copies contradict each other.

    Two texts are the same if they are after NFC, case folding and squeezing of blanks. Of several
    copies the one in the most protected place stays: test before validation before train before
    rows that are not yet split before slices, so that no test row is ever also a training row.

    Args:
        examples: The rows.
        places: Where each of them came from, for the report.
        spec: The task.
    """
    copies: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        copies[normalised(example.text)].append(index)
    kept: list[int] = []
    conflicts: list[dict[str, Any]] = []
    contradicting: list[int] = []
    for same in copies.values():
        verdicts = Counter(_verdict(examples[i], spec) for i in same)
        if len(verdicts) > 1:
            conflicts.append(_conflict(same, examples, places, spec))
            contradicting.append(max(same, key=lambda i: len(examples[i].spans)))
            continue
        kept.append(min(same, key=lambda i: (_protection(examples[i].split), i)))
    dropped = len(examples) - len(kept) - sum(entry["rows"] for entry in conflicts)
    return Deduplicated(sorted(kept), dropped, conflicts, contradicting)


def _protection(split: str | None) -> int:
    order = (*reversed(SPLITS), None)
    return order.index(split) if split in order else len(order)


def _verdict(example: Example, spec: TaskSpec) -> Hashable:
    """Return what a row says of its text; all kinds that are kept out of training say the same."""
    if spec.level == "token":
        return tuple((normalised(example.text[s.start : s.end]), s.label) for s in example.spans)
    if example.kind and spec.label_of_kind(example.kind) is None:
        return _KEPT_OUT
    return example.label


def _conflict(
    same: list[int], examples: Sequence[Example], places: Sequence[str], spec: TaskSpec
) -> dict[str, Any]:
    if spec.level == "token":
        labels = sorted({",".join(s.label for s in examples[i].spans) or "O" for i in same})
    else:
        labels = sorted({examples[i].kind or str(examples[i].label) for i in same})
    listed = [places[i] for i in same[:_LISTED_PLACES]]
    return {"rows": len(same), "labels": labels, "places": listed}


class Groups:
    """Sets of rows that belong together, joined as links are found (union-find)."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, row: int) -> int:
        """Return the row that stands for the group."""
        while self._parent[row] != row:
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return row

    def join(self, left: int, right: int) -> None:
        """Make one group of two; the smaller row number stands for it, whatever the order."""
        low, high = sorted((self.root(left), self.root(right)))
        self._parent[high] = low

    def together(self, left: int, right: int) -> bool:
        """Say whether two rows are of one group already."""
        return self.root(left) == self.root(right)

    def roots(self) -> list[int]:
        """Return the group of every row."""
        return [self.root(row) for row in range(len(self._parent))]


def group_rows(
    examples: Sequence[Example], *, threshold: float | None = THRESHOLD
) -> tuple[list[int], dict[str, Any]]:
    """Return the group of every row: given groups, merged by templates and near-duplicates.

    Args:
        examples: Rows without exact duplicates.
        threshold: Least similarity of a near-duplicate; None looks for none.

    Returns:
        A group number for every row, and the manifest's entry on near-duplicates.
    """
    groups = Groups(len(examples))
    first: dict[str, int] = {}
    for index, example in enumerate(examples):
        if example.group is not None:
            groups.join(first.setdefault(example.group, index), index)
    given = len(set(groups.roots()))
    _join_templates(examples, groups)
    if threshold is not None:
        texts = [example.text for example in examples]
        for left, right in near_duplicate_pairs(texts, threshold=threshold, skip=groups.together):
            groups.join(left, right)
    roots = groups.roots()
    sizes = Counter(roots)
    return roots, {
        "threshold": threshold,
        "groups_given": given,
        "groups": len(sizes),
        "rows_in_groups_of_two_or_more": sum(n for n in sizes.values() if n > 1),
        "largest_group": max(sizes.values(), default=0),
        "rows_of_official_test_near_train": leaking_rows(examples, roots),
    }


def name_groups(examples: Sequence[Example], groups: Sequence[int]) -> list[Example]:
    """Return the rows with the groups that were found, so that all who read them know of these.

    Rows of one group are one draw for an interval, whether or not their source says so. A group
    takes the name that its first named row has; a row alone stays as it is.

    Args:
        examples: The rows.
        groups: Group number of every row, as `group_rows` gives them.
    """
    sizes = Counter(groups)
    names: dict[int, str] = {}
    for example, group in zip(examples, groups, strict=True):
        if example.group is not None:
            names.setdefault(group, example.group)
    for example, group in zip(examples, groups, strict=True):
        if sizes[group] > 1:
            names.setdefault(group, f"like:{row_hash(example)[:12]}")
    return [
        replace(example, group=names.get(group))
        for example, group in zip(examples, groups, strict=True)
    ]


def template_of(example: Example, *, named: bool = True) -> str | None:
    """Return what is left of a text when its spans are taken out, or None if that is too little.

    Texts that were made from one template differ in their spans alone, whether or not anybody
    says so. What has fewer than three words of its own is no template.

    Args:
        example: A row of a token task.
        named: Keep the types of the spans where they stood; else slots are all alike.
    """
    if not example.spans:
        return None
    pieces, position = [], 0
    for span in example.spans:
        pieces += [example.text[position : span.start], f" [{span.label if named else ''}] "]
        position = span.end
    rest = [*pieces[::2], example.text[position:]]
    if len(" ".join(rest).split()) < _TEMPLATE_WORDS:
        return None
    return normalised("".join([*pieces, example.text[position:]]))


def _join_templates(examples: Sequence[Example], groups: Groups) -> None:
    first: dict[str, int] = {}
    for index, example in enumerate(examples):
        template = template_of(example)
        if template is not None:
            groups.join(first.setdefault(template, index), index)


def leaking_rows(examples: Sequence[Example], groups: Sequence[int]) -> int:
    """Count official test rows whose group also has an official train row."""
    train = {g for g, example in zip(groups, examples, strict=True) if example.split == "train"}
    return sum(
        example.split == "test" and group in train
        for group, example in zip(groups, examples, strict=True)
    )
