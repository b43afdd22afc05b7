"""Sources of a token task that label the same thing in two ways, or not at all.

One annotator calls a postal code ZIP_CODE, the next one STREET_ADDRESS, a third leaves ages alone.
No model can follow all of them, and what it learns from one is wrong by the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from pointsman.core.types import Example
from pointsman.data.dedupe import template_of

_EXPECTED = 20  # rows that a source should hold of a type, below which their absence is chance
_FEWEST = 5  # rows of a template in each of two sources
_USUAL = 0.8  # share of those rows that are labelled alike


def find_conventions(examples: Sequence[Example]) -> dict[str, Any]:
    """Compare how the sources of a token task label.

    Args:
        examples: The rows, of which those that are labelled in part count for the types they name.

    Returns:
        `unlabelled`: types that a source never labels though the other ones' rate makes 20 rows of
        it or more likely; `contradictions`: slots of one template that two sources label apart.
    """
    return {"unlabelled": unlabelled_types(examples), "contradictions": contradictions(examples)}


def unlabelled_types(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Return what sources never label, though they label other things."""
    holds: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        holds[example.source].update({span.label for span in example.spans})
    rows = Counter(example.source for example in examples)
    named = {e.source: set(e.annotated) for e in examples if e.annotated is not None}
    labelling = [source for source in sorted(rows) if holds[source]]
    types = sorted({label for found in holds.values() for label in found})
    found = []
    for source in labelling:
        others = [other for other in labelling if other != source]
        for label in types:
            if holds[source][label] or label not in named.get(source, {label}):
                continue
            asked = sum(rows[o] for o in others if label in named.get(o, {label}))
            share = sum(holds[other][label] for other in others) / max(1, asked)
            if share * rows[source] >= _EXPECTED:
                found.append(
                    {"source": source, "label": label, "rows": rows[source], "share": share}
                )
    return found


def contradictions(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Return slots of templates that two sources label apart, the most rows first.

    A source counts with the labels that four in five of its rows of a template have.
    """
    forms: dict[str, dict[str, Counter[tuple[str, ...]]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    first: dict[tuple[str, str], int] = {}
    for row, example in enumerate(examples):
        form = template_of(example, named=False)
        if form is None:
            continue
        labels = tuple(span.label for span in example.spans)
        forms[form][example.source][labels] += 1
        first.setdefault((form, example.source), row)
    pairs: dict[tuple[str, str, str, str], dict[str, int]] = {}
    for form, by_source in forms.items():
        usual = {
            source: labels for source, counts in by_source.items() if (labels := _usual(counts))
        }
        for one, other in combinations(sorted(usual), 2):
            slots = zip(usual[one], usual[other], strict=True)
            differing = {pair for pair in slots if pair[0] != pair[1]}
            rows = by_source[one].total() + by_source[other].total()
            for left, right in differing:
                entry = pairs.setdefault(
                    (one, left, other, right),
                    {"templates": 0, "rows": 0, "row": first[form, one]},
                )
                entry["templates"] += 1
                entry["rows"] += rows
    listed = [
        {"source": a, "label": x, "other_source": b, "other_label": y, **entry}
        for (a, x, b, y), entry in pairs.items()
    ]
    return sorted(listed, key=lambda e: (-e["rows"], e["source"], e["label"], e["other_label"]))


def _usual(counts: Counter[tuple[str, ...]]) -> tuple[str, ...]:
    labels, rows = counts.most_common(1)[0]
    return labels if counts.total() >= _FEWEST and rows >= _USUAL * counts.total() else ()
