"""Figures of token tasks, on character spans and never on subwords."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pointsman.core.types import Example, PredictedSpan, Span
from pointsman.tasks.spec import TaskSpec

AnySpan = Span | PredictedSpan


def score_spans(
    spec: TaskSpec, gold: Sequence[Example], found: Sequence[Sequence[PredictedSpan]]
) -> dict[str, Any]:
    """Return every figure of a token task.

    Args:
        spec: The task.
        gold: Examples with their true spans.
        found: Predicted spans of each example, in the same order.

    Returns:
        `span_precision`, `span_recall`, `span_f1`: strict micro averages (start, end and type
        equal); `macro_span_f1` over the types that occur; `overlap_*`: blind to the type, a span
        counts when it shares a character with one of the other side; `clean_texts` and
        `clean_share`: texts without entities, and the share of them in which nothing was found;
        `per_type` with `groups`, the number of distinct templates that hold the type.
    """
    figures: dict[str, Any] = {"rows": len(gold)}
    figures |= _named("span", _strict(gold, found, spec.labels))
    figures["per_type"] = {
        label: _strict(gold, found, [label]) | {"groups": _groups(gold, label)}
        for label in spec.labels
    }
    present = [row for row in figures["per_type"].values() if row["spans"]]
    figures["macro_span_f1"] = sum(row["f1"] for row in present) / max(1, len(present))
    figures |= _named("overlap", _overlap(gold, found))
    clean = [not spans for example, spans in zip(gold, found, strict=True) if not example.spans]
    figures["clean_texts"] = len(clean)
    if clean:
        figures["clean_share"] = sum(clean) / len(clean)
    return figures


def _named(prefix: str, figures: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": figures[name] for name in ("precision", "recall", "f1")}


def _strict(
    gold: Sequence[Example], found: Sequence[Sequence[PredictedSpan]], labels: Sequence[str]
) -> dict[str, float]:
    wanted = set(labels)
    true = guessed = right = 0
    for example, spans in zip(gold, found, strict=True):
        a = Counter((s.start, s.end, s.label) for s in example.spans if s.label in wanted)
        b = Counter((s.start, s.end, s.label) for s in spans if s.label in wanted)
        true += a.total()
        guessed += b.total()
        right += (a & b).total()
    return _rates(right, right, guessed=guessed, true=true) | {"spans": true}


def _overlap(gold: Sequence[Example], found: Sequence[Sequence[PredictedSpan]]) -> dict[str, float]:
    true = guessed = hit = caught = 0
    for example, spans in zip(gold, found, strict=True):
        true += len(example.spans)
        guessed += len(spans)
        hit += sum(any(_touch(s, other) for other in example.spans) for s in spans)
        caught += sum(any(_touch(s, other) for other in spans) for s in example.spans)
    return _rates(hit, caught, guessed=guessed, true=true)


def _touch(a: AnySpan, b: AnySpan) -> bool:
    return a.start < b.end and b.start < a.end


def _rates(hit: int, caught: int, *, guessed: int, true: int) -> dict[str, float]:
    precision = hit / guessed if guessed else 0.0
    recall = caught / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def _groups(gold: Sequence[Example], label: str) -> int:
    holders = [e for e in gold if any(span.label == label for span in e.spans)]
    return len({e.group or e.text for e in holders})
