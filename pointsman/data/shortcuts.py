"""What tells the label without the text being understood: source, length, first words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from pointsman.core.types import Example
from pointsman.data.neardup import normalised
from pointsman.data.sampling import NO_SPANS
from pointsman.tasks.spec import TaskSpec

OWNED = 0.9  # share of a label's rows that makes one source its owner
_FEWEST = 20  # rows of a label, below which a share is chance
_PREFIX = 3  # words
_PREFIX_SHARE = 0.05  # of a label's rows
_PURE = 0.95  # of a prefix's rows have its label
_LISTED = 10


def labels_of(example: Example, spec: TaskSpec) -> list[str]:
    """Return what a row is labelled with: its class, or the types of its spans."""
    if spec.level == "token":
        return sorted({span.label for span in example.spans}) or [NO_SPANS]
    return [str(example.label)]


def find_shortcuts(
    examples: Sequence[Example], apart: Sequence[Example], spec: TaskSpec
) -> dict[str, Any]:
    """Look for what gives labels away.

    Args:
        examples: The rows that are trained and tested on.
        apart: The rows that are reported as slices.
        spec: The task.

    Returns:
        `owned`: labels that one source has nearly all rows of; `source`: how well a classifier does
        that sees the source's name alone; `length`: for each label, how well the number of words
        tells it (ROC-AUC), and `typical`, the row of each that is of middle length; `prefixes`:
        first words that nearly always go with one label; `one_sided`: see there.
    """
    labels = [labels_of(example, spec) for example in examples]
    classes = labels
    if spec.level == "token":  # whether there is anything to find is what a shortcut would tell
        classes = [["(spans)"] if example.spans else [NO_SPANS] for example in examples]
    lengths = [len(example.text.split()) for example in examples]
    return {
        "owned": owned_labels([example.source for example in examples], labels),
        "source": source_alone([example.source for example in examples], classes),
        "length": length_alone(lengths, classes),
        "typical": _typical(lengths, classes),
        "prefixes": telling_prefixes([example.text for example in examples], classes),
        "one_sided": one_sided(examples, apart) if spec.level == "sequence" else [],
    }


def _typical(lengths: Sequence[int], classes: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return for each class the row whose length has as many above it as below."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, names in enumerate(classes):
        rows[names[0]].append(row)
    return {
        name: sorted(found, key=lambda row: lengths[row])[len(found) // 2]
        for name, found in sorted(rows.items())
    }


def one_sided(learned: Sequence[Example], apart: Sequence[Example]) -> list[dict[str, Any]]:
    """Return sources of which all learned rows have one label and other rows are set apart.

    Where the rows of a source that would contradict are left out, its manner of writing comes to
    stand for the label of those that stay.

    Args:
        learned: The rows that are trained and tested on.
        apart: The rows that are reported as slices.

    Returns:
        `source`, `label`, `rows` that are learned and `apart`, the largest first, and `row`, the
        first that is learned.
    """
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[str, int] = {}
    for row, example in enumerate(learned):
        labels[example.source][str(example.label)] += 1
        first.setdefault(example.source, row)
    left = Counter(example.source for example in apart)
    found = [
        {
            "source": source,
            "label": next(iter(counts)),
            "rows": counts.total(),
            "apart": left[source],
            "row": first[source],
        }
        for source, counts in labels.items()
        if len(counts) == 1 and min(counts.total(), left[source]) >= _FEWEST
    ]
    return sorted(found, key=lambda entry: (-entry["rows"], entry["source"]))


def owned_labels(sources: Sequence[str], labels: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Return labels of which one source has at least nine rows in ten, and most rows it has not.

    A source that holds nearly all rows of every label owns none: there the labels are not told
    apart by it. `row` is the first that the owner has of the label.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[tuple[str, str], int] = {}
    for row, (source, names) in enumerate(zip(sources, labels, strict=True)):
        for name in names:
            counts[name][source] += 1
            first.setdefault((name, source), row)
    totals = Counter(sources)
    owned = []
    for label, by_source in sorted(counts.items()):
        source, rows = by_source.most_common(1)[0]
        share, overall = rows / by_source.total(), totals[source] / totals.total()
        if by_source.total() >= _FEWEST and share >= OWNED and 1 - overall > 2 * (1 - share):
            owned.append({
                "label": label, "source": source, "rows": by_source.total(), "share": share,
                "share_of_all_rows": overall, "row": first[label, source],
            })  # fmt: skip
    return owned


def source_alone(sources: Sequence[str], classes: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Score a classifier that answers each source with its commonest class.

    Returns:
        Its `accuracy`, the `majority` class's, and `gain`: the share of the majority's errors that
        knowing the source takes away.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for (source, name), number in Counter(
        (source, names[0]) for source, names in zip(sources, classes, strict=True)
    ).items():
        counts[source][name] += number
    rows = max(1, len(sources))
    whole = sum(counts.values(), Counter[str]())
    majority = max(whole.values(), default=0) / rows
    accuracy = sum(max(found.values()) for found in counts.values()) / rows
    gain = (accuracy - majority) / (1 - majority) if majority < 1 else 0.0
    return {"sources": len(counts), "accuracy": accuracy, "majority": majority, "gain": gain}


def length_alone(lengths: Sequence[int], classes: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return for each class the ROC-AUC of the number of words, that class against the rest.

    0.5 tells nothing; near 1 the class's texts are longer than the others, near 0 shorter.
    """
    from sklearn.metrics import roc_auc_score

    names = [found[0] for found in classes]
    counts = Counter(names)
    return {
        name: float(roc_auc_score([found == name for found in names], lengths))
        for name in sorted(counts)
        if _FEWEST <= counts[name] < len(names)
    }


def telling_prefixes(
    texts: Sequence[str], classes: Sequence[Sequence[str]]
) -> list[dict[str, Any]]:
    """Return first words that one row in twenty of a class begins with and hardly any other row.

    Returns:
        `label`, `rows` and `share` of the label's rows of each, and `row`, the first that has it.
        The words are not given: a text's beginning is part of a text.
    """
    found: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    first: dict[tuple[str, ...], int] = {}
    totals = Counter(names[0] for names in classes)
    for row, (text, names) in enumerate(zip(texts, classes, strict=True)):
        words = tuple(normalised(" ".join(text.split(maxsplit=_PREFIX)[:_PREFIX])).split(" "))
        found[words][names[0]] += 1
        first.setdefault(words, row)
    telling: list[dict[str, Any]] = []
    for words, by_class in found.items():
        label, rows = by_class.most_common(1)[0]
        enough = rows >= max(_FEWEST / 2, _PREFIX_SHARE * totals[label])
        pure = rows >= _PURE * by_class.total() and totals[label] < _PURE * len(texts)
        if len(words) == _PREFIX and enough and pure:
            telling.append(
                {"label": label, "rows": rows, "share": rows / totals[label], "row": first[words]}
            )
    return sorted(telling, key=lambda entry: (-entry["share"], entry["row"]))[:_LISTED]
