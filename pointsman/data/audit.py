"""The audit: what in a set of labelled rows would make figures untrue, counted and said."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pointsman.core.types import SPLITS, Example
from pointsman.data.conventions import find_conventions
from pointsman.data.dedupe import drop_duplicates
from pointsman.data.findings import Texts, find_findings
from pointsman.data.languages import count_languages
from pointsman.data.leakage import Links, count_leakage, find_links, split_by_rows
from pointsman.data.licences import licence_standing
from pointsman.data.prepared import SLICES, PreparedData
from pointsman.data.sampling import row_hash
from pointsman.data.schema import SLICE
from pointsman.data.shortcuts import find_shortcuts, labels_of
from pointsman.tasks.spec import TaskSpec

FORMAT = "pointsman.audit/1"
UNSPLIT = "no split"
_WORD_BANDS = (12, 64, 256)
_CHARACTER_BANDS = (80, 400, 2000)
_TOKEN_BANDS = (64, 128, 256, 512)

Shown = Callable[[Example], str]
TokenLengths = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, slots=True)
class AuditedData:
    """What is audited.

    Attributes:
        spec: The task.
        rows: Rows by split, by `slices/NAME`, or under `no split`.
        sources: Name and licence of every source.
        repaired: Rows that were moved to the side of their group when the data was prepared.
        moved: Some of them, each with a row that it followed.
        contradicting: Texts that were left out then, since their copies contradict each other.
        conflicts: Some of them: the labels, and one copy.
    """

    spec: TaskSpec
    rows: Mapping[str, Sequence[Example]]
    sources: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    repaired: int = 0
    moved: Sequence[tuple[Example, Example]] = ()
    contradicting: int = 0
    conflicts: Sequence[tuple[Sequence[str], Example]] = ()

    @classmethod
    def from_prepared(cls, data: PreparedData) -> AuditedData:
        """Take prepared data, its slices with it, and what preparing it has mended."""
        rows = {name: getattr(data, name) for name in SPLITS}
        rows |= {f"{SLICES}/{name}": examples for name, examples in data.slices.items()}
        repair = data.manifest.get("leakage", {})
        return cls(
            data.spec,
            rows,
            data.manifest.get("sources", ()),
            repair.get("rows_moved", 0),
            _moved(repair.get("examples", ()), rows),
            data.manifest.get("duplicates", {}).get("conflicting_texts", 0),
            data.conflicts,
        )

    @classmethod
    def from_examples(
        cls, spec: TaskSpec, examples: Sequence[Example], sources: Sequence[Mapping[str, Any]]
    ) -> AuditedData:
        """Take rows as a source has them, by the splits that they name."""
        rows: dict[str, list[Example]] = defaultdict(list)
        for example in examples:
            split = example.split or UNSPLIT
            name = split.removeprefix(SLICE)
            rows[f"{SLICES}/{name}" if split.startswith(SLICE) else split].append(example)
        return cls(spec, rows, sources)


def _moved(
    pairs: Sequence[Mapping[str, str]], rows: Mapping[str, Sequence[Example]]
) -> list[tuple[Example, Example]]:
    """Find rows that moved by their hashes; one that was sampled out since is left out."""
    if not pairs:
        return []
    wanted = {digest for pair in pairs for digest in pair.values()}
    found = {row_hash(e): e for examples in rows.values() for e in examples}
    kept = {digest: found[digest] for digest in wanted if digest in found}
    return [
        (kept[pair["row"]], kept[pair["relative"]])
        for pair in pairs
        if pair["row"] in kept and pair["relative"] in kept
    ]


def audit(
    data: AuditedData,
    *,
    shown: Shown,
    token_lengths: TokenLengths | None = None,
    max_length: int | None = None,
) -> dict[str, Any]:
    """Audit labelled rows.

    Args:
        data: The rows.
        shown: How an example may be shown: the text with personal data masked.
        token_lengths: Length of each text in tokens, special ones included, where a tokenizer is
            at hand; characters and words are measured always.
        max_length: Longest input of the model, in tokens.

    Returns:
        What was counted, by check, and `findings`: check, severity (error, warning or info),
        what was found in words, and masked examples; the gravest first.
    """
    names = [name for name, rows in data.rows.items() for _ in rows]
    examples = [example for rows in data.rows.values() for example in rows]
    links = find_links(examples)
    sides = [name if name in SPLITS else None for name in names]
    learned = [e for e, name in zip(examples, names, strict=True) if not name.startswith(SLICES)]
    apart = [e for e, name in zip(examples, names, strict=True) if name.startswith(SLICES)]
    leakage = count_leakage(links, sides)
    counted: dict[str, Any] = {
        "format": FORMAT,
        "task": data.spec.name,
        "rows": {name: len(rows) for name, rows in data.rows.items()},
        "leakage": leakage | {"slices_near_train": _slices_near_train(links, names)},
        "repaired": data.repaired,
        "contradicting": data.contradicting,
        "duplicates": _duplicates(examples, links, data.spec),
        "labels": _labels(data),
        "shortcuts": find_shortcuts(learned, apart, data.spec),
        "conventions": find_conventions(learned) if data.spec.level == "token" else {},
        "languages": count_languages(learned),
        "lengths": _lengths(learned, token_lengths, max_length),
        "licences": _licences(data.sources),
    }
    if not any(sides):
        counted["split_by_rows"] = split_by_rows(links)
    texts = Texts(names, examples, learned, data.moved, data.conflicts, shown)
    counted["findings"] = find_findings(counted, texts)
    leakage.pop("leaking")
    return counted


def _slices_near_train(links: Links, names: Sequence[str]) -> dict[str, int]:
    """Count the rows of each slice that training has seen something of."""
    train = {g for g, name in zip(links.together, names, strict=True) if name == "train"}
    counts: Counter[str] = Counter()
    for group, name in zip(links.together, names, strict=True):
        if name.startswith(SLICES) and group in train:
            counts[name.partition("/")[2]] += 1
    return dict(counts)


def _duplicates(examples: Sequence[Example], links: Links, spec: TaskSpec) -> dict[str, Any]:
    copies, near = links.by["copies"], links.by["near-duplicates"]
    texts = Counter(near[row] for row, root in enumerate(copies) if row == root)
    sizes = Counter(copies)
    repeated = [row for row, root in enumerate(copies) if sizes[root] > 1]
    same = drop_duplicates([examples[i] for i in repeated], [str(i) for i in repeated], spec)
    return {
        "copies": len(examples) - len(sizes),
        "near_duplicates": sum(n for n in texts.values() if n > 1),
        "near_duplicate_groups": sum(n > 1 for n in texts.values()),
        "largest_group": max(texts.values(), default=0),
        "texts_under_two_labels": len(same.conflicts),
        "conflicts": [{k: v for k, v in entry.items() if k != "places"} | {"row": int(
            entry["places"][0])} for entry in same.conflicts[:20]],
        **_divided(examples, near, sizes, spec),
    }  # fmt: skip


def _divided(
    examples: Sequence[Example], near: Sequence[int], copies: Counter[int], spec: TaskSpec
) -> dict[str, Any]:
    """Count groups of near-duplicates whose rows, other than mere copies, are labelled apart."""
    first: dict[int, dict[str, int]] = defaultdict(dict)
    size = Counter(near)
    for row, (example, root) in enumerate(zip(examples, near, strict=True)):
        if spec.level == "sequence" and size[root] > copies[root]:
            first[root].setdefault(str(example.kind or example.label), row)
    groups = [list(rows.values())[:2] for rows in first.values() if len(rows) > 1]
    return {"near_duplicates_under_two_labels": len(groups), "divided": groups[:20]}


def _labels(data: AuditedData) -> dict[str, Any]:
    """Count rows by split and label; of a token task, rows that hold the type."""
    counts = {
        name: dict(sorted(Counter(x for e in rows for x in labels_of(e, data.spec)).items()))
        for name, rows in data.rows.items()
        if not name.startswith(SLICES)
    }
    total: Counter[str] = Counter()
    for found in counts.values():
        total.update(found)
    missing = {
        label: [split for split in SPLITS if data.rows.get(split) and label not in counts[split]]
        for label in data.spec.labels
        if total[label]
    }
    return {
        "rows": counts,
        "total": {label: total[label] for label in data.spec.labels},
        "empty": [label for label in data.spec.labels if not total[label]],
        "missing_in": {label: splits for label, splits in missing.items() if splits},
    }


def _lengths(
    examples: Sequence[Example], token_lengths: TokenLengths | None, max_length: int | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "words": banded([len(e.text.split()) for e in examples], _WORD_BANDS),
        "characters": banded([len(e.text) for e in examples], _CHARACTER_BANDS),
    }
    if token_lengths is not None:
        tokens = token_lengths([example.text for example in examples])
        found["tokens"] = banded(tokens, _TOKEN_BANDS)
        if max_length is not None:
            found["max_length"] = max_length
            found["cut"] = sum(length > max_length for length in tokens)
    return found


def banded(lengths: Sequence[int], bounds: Sequence[int]) -> dict[str, int]:
    """Count lengths by band; a bound belongs to the band below it."""
    edges = [0, *bounds]
    names = [f"{low + 1}-{high}" for low, high in zip(edges, bounds, strict=False)]
    names.append(f"over {bounds[-1]}")
    counts = Counter(sum(length > bound for bound in bounds) for length in lengths)
    return {name: counts[place] for place, name in enumerate(names)}


def _licences(sources: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    return {
        str(source["name"]): {
            "licence": str(source.get("licence") or "unknown"),
            "standing": licence_standing(source.get("licence")),
        }
        for source in sources
    }


def summarise(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the short account of an audit that a bundle, its card and its report carry.

    It holds no example: those stay in `audit.json` and in the reports, beside the data.

    Args:
        found: What `audit` returned, or `audit.json` as it was read.
    """
    standings = found["licences"]
    return {
        "leakage": found["leakage"]["rows"] if set(SPLITS) & set(found["rows"]) else None,
        "repaired": found["repaired"],
        "near_duplicates": found["duplicates"]["near_duplicates"],
        "licences": {name: entry["licence"] for name, entry in standings.items()},
        "non_commercial": [n for n, e in standings.items() if e["standing"] == "non-commercial"],
        "unknown_licence": [n for n, e in standings.items() if e["standing"] == "unknown"],
        "findings": [f"{entry['severity']}: {entry['text']}" for entry in found["findings"]],
        "labels": found["labels"]["rows"],
        "lengths": found["lengths"],
        "languages": found["languages"],
    }
