"""Rows that know each other across splits: copies, near-duplicates, groups and templates."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pointsman.core.errors import DataError
from pointsman.core.types import SPLITS, Example
from pointsman.data.dedupe import Groups, template_of
from pointsman.data.neardup import near_duplicate_pairs, normalised
from pointsman.data.sampling import row_hash

OnLeakage = Literal["repair", "stop"]
MEANS = ("copies", "near-duplicates", "groups", "templates")
_HELD_OUT = 5  # of a split by rows, one row in five is held out
_PAIRS = 5  # of relatives in two splits, or of rows that moved, to be shown


@dataclass(frozen=True, slots=True)
class Links:
    """Which rows belong together, and by what.

    Attributes:
        by: Means (see `MEANS`) -> the group of every row by that means alone.
        together: The group of every row by all of them.
    """

    by: dict[str, list[int]]
    together: list[int]


def find_links(examples: Sequence[Example]) -> Links:
    """Link rows that are copies, near-duplicates, of one given group or of one template."""
    copies = _groups_by([_digest(normalised(example.text)) for example in examples])
    by = {
        "copies": copies,
        "near-duplicates": _near(examples, copies),
        "groups": _groups_by([example.group for example in examples]),
        "templates": _groups_by([template_of(example) for example in examples]),
    }
    everything = Groups(len(examples))
    for roots in by.values():
        for row, root in enumerate(roots):
            if row != root:
                everything.join(row, root)
    return Links(by, everything.roots())


def _digest(text: str) -> bytes:
    """Stand for a text in a table: a million texts a second time would be half a gigabyte."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _groups_by(keys: Sequence[Hashable]) -> list[int]:
    """Return the first row of the same key for every row; a row without a key is alone."""
    first: dict[Hashable, int] = {}
    return [
        row if key is None else first.setdefault(key, row)
        for row, key in enumerate(keys)
    ]  # fmt: skip


def _near(examples: Sequence[Example], copies: Sequence[int]) -> list[int]:
    """Link near-duplicates; of copies, one is compared and stands for all."""
    firsts = [row for row, root in enumerate(copies) if row == root]
    groups = Groups(len(examples))
    texts = [examples[row].text for row in firsts]

    def known(left: int, right: int) -> bool:
        return groups.together(firsts[left], firsts[right])

    for left, right in near_duplicate_pairs(texts, skip=known):
        groups.join(firsts[left], firsts[right])
    return [groups.root(root) for root in copies]


def count_leakage(links: Links, sides: Sequence[str | None]) -> dict[str, Any]:
    """Count rows of test and validation that training, or choosing, has seen something of.

    Args:
        links: Which rows belong together.
        sides: The split of every row; None for rows of slices and rows without a split.

    Returns:
        `rows`: of validation and test with a group that is also in a less protected split;
        `groups` on two sides or more, and how many `groups_of_two_or_more` there are;
        `pairs`: `test~train` and so on -> rows of the first; `by`: the same rows for each means
        alone, and the groups on two sides; `leaking`: the numbers of some of those rows, each
        with that of a relative, the nearest kind of relatives first.
    """
    pairs, leaking, groups = _crossing(links.together, sides)
    by, shown = {}, dict[int, int]()
    for means, roots in links.by.items():
        _, rows, crossing = _crossing(roots, sides)
        by[means] = {"rows": len(rows), "groups": crossing}
        shown |= _with_relatives(rows, roots, sides, shown)
    shown |= _with_relatives(leaking, links.together, sides, shown)
    return {
        "rows": len(leaking),
        "groups": groups,
        "groups_of_two_or_more": sum(n > 1 for n in Counter(links.together).values()),
        "pairs": pairs,
        "by": by,
        "leaking": list(shown.items()),
    }


def _with_relatives(
    rows: Sequence[int],
    roots: Sequence[int],
    sides: Sequence[str | None],
    shown: Mapping[int, int],
) -> dict[int, int]:
    """Return rows that leak with a relative each, one row a group, as far as some are wanted."""
    told = {roots[row] for row in shown}
    found: dict[int, int] = {}
    for row in rows:
        if len(shown) + len(found) >= _PAIRS:
            break
        if row in shown or roots[row] in told:
            continue
        told.add(roots[row])
        before = SPLITS[: SPLITS.index(str(sides[row]))]
        found[row] = next(
            other
            for other, (root, side) in enumerate(zip(roots, sides, strict=True))
            if root == roots[row] and side in before
        )
    return found


def _crossing(
    roots: Sequence[int], sides: Sequence[str | None]
) -> tuple[dict[str, int], list[int], int]:
    held: dict[int, set[str]] = defaultdict(set)
    for root, side in zip(roots, sides, strict=True):
        if side is not None:
            held[root].add(side)
    pairs: Counter[str] = Counter()
    leaking = []
    shared = {root for root, found in held.items() if len(found) > 1}
    for row, (root, side) in enumerate(zip(roots, sides, strict=True)):
        if side is None or root not in shared:
            continue
        met = [other for other in SPLITS[: SPLITS.index(side)] if other in held[root]]
        pairs.update(f"{side}~{other}" for other in met)
        if met:
            leaking.append(row)
    return dict(pairs), leaking, len(shared)


def split_by_rows(links: Links) -> dict[str, float]:
    """Say what a split of the rows at random, one in five held out, would do to the groups.

    It is worked out from the sizes of the groups and not tried.

    Returns:
        How many `groups_of_two_or_more` there are, how many of them would lie `on_both_sides`, and
        the share of the held-out rows that would have a row of their group in train, both as
        expected.
    """
    sizes = list(Counter(links.together).values())
    held = 1 / _HELD_OUT
    both = sum(1 - (1 - held) ** n - held**n for n in sizes)
    leaking = sum(n * (1 - held ** (n - 1)) for n in sizes)
    return {
        "groups_of_two_or_more": sum(n > 1 for n in sizes),
        "on_both_sides": round(both),
        "held_out_rows_that_leak": leaking / max(1, sum(sizes)),
    }


def repair_splits(
    examples: Sequence[Example], groups: Sequence[int], *, on_leakage: OnLeakage
) -> tuple[list[Example], dict[str, Any]]:
    """Move each group that official splits share to its most protected split.

    Test goes before validation and validation before train, as with duplicates: no row of test is
    ever lost to training. Rows without an official split are left to `assign_splits`.

    Args:
        examples: The rows.
        groups: Their groups.
        on_leakage: `repair`, or `stop` where there is anything to repair.

    Returns:
        The rows, and the manifest's entry: how many rows moved, from where to where, and of some
        the hash with that of a row of their group which stood where they moved to.

    Raises:
        DataError: If the splits share groups and that is to stop the run.
    """
    best: dict[int, str] = {}
    for example, group in zip(examples, groups, strict=True):
        if example.split in SPLITS:
            best[group] = max(best.get(group, SPLITS[0]), example.split, key=SPLITS.index)
    repaired, moves, moved = list(examples), Counter[str](), dict[int, int]()
    for row, (example, group) in enumerate(zip(examples, groups, strict=True)):
        if example.split in SPLITS and example.split != best[group]:
            repaired[row] = replace(example, split=best[group])
            moves[f"{example.split} to {best[group]}"] += 1
            moved.setdefault(group, row)
    if moves and on_leakage == "stop":
        raise DataError(
            "official splits that share no copy, near-duplicate, group or template",
            got=f"{len(moved)} groups on two sides; to mend it: {_told(moves)}",
            fix="set `on_leakage: repair` to have whole groups moved, or leave the rows out",
        )
    return repaired, {
        "on_leakage": on_leakage,
        "groups": len(moved),
        "rows_moved": sum(moves.values()),
        "moves": dict(moves),
        "examples": _followed(examples, groups, moved, best),
    }


def _followed(
    examples: Sequence[Example],
    groups: Sequence[int],
    moved: Mapping[int, int],
    best: Mapping[int, str],
) -> list[dict[str, str]]:
    """Return hashes of some rows that moved, each with that of a row that it followed."""
    wanted = dict(list(moved.items())[:_PAIRS])
    met: dict[int, int] = {}
    for row, (example, group) in enumerate(zip(examples, groups, strict=True)):
        if group in wanted and example.split == best[group]:
            met.setdefault(group, row)
    return [
        {"row": row_hash(examples[row]), "relative": row_hash(examples[met[group]])}
        for group, row in wanted.items()
    ]


def _told(moves: Counter[str]) -> str:
    return ", ".join(f"{count} rows from {what}" for what, count in sorted(moves.items()))
