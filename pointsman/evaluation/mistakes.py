"""Mistakes worth reading, with personal data hidden unless the user asks to see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.runtime.masking import mask_patterns, mask_spans, merge_spans
from pointsman.tasks.spec import TaskSpec

WIDTH = 160  # characters of a text that are shown


def text_mistakes(
    spec: TaskSpec,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    reveal: bool = False,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Return the mistakes that the model was surest of."""
    wrong = [
        (p.score, e, p) for e, p in zip(examples, predictions, strict=True) if e.label != p.label
    ]
    wrong.sort(key=lambda item: -item[0])
    return [
        {
            "text": _short(e.text if reveal else mask_patterns(e.text)),
            "expected": e.label,
            "given": p.label,
            "score": round(score, 4),
            "source": e.source,
        }
        for score, e, p in wrong[:limit]
    ]


def span_mistakes(
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    reveal: bool = False,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Return wrong spans by kind: missed, spurious, wrong type, boundary."""
    found: list[dict[str, Any]] = []
    for example, prediction in zip(examples, predictions, strict=True):
        for kind, span, other in _span_errors(example.spans, prediction.spans):
            hidden = _hide(example, prediction)
            shown = example.text[span.start : span.end] if reveal else f"[{len(span_text(span))}]"
            found.append(
                {
                    "kind": kind,
                    "expected": span.label if isinstance(span, Span) else None,
                    "given": other.label if other else None,
                    "span": shown,
                    "text": _short(example.text if reveal else hidden),
                    "source": example.source,
                }
            )
    kinds = sorted({row["kind"] for row in found})
    return [row for kind in kinds for row in [r for r in found if r["kind"] == kind][: limit // 4]]


def span_text(span: Span | PredictedSpan) -> range:
    """Return the code points of a span, for its length."""
    return range(span.start, span.end)


def _span_errors(
    gold: Sequence[Span], found: Sequence[PredictedSpan]
) -> list[tuple[str, Span | PredictedSpan, PredictedSpan | None]]:
    errors: list[tuple[str, Span | PredictedSpan, PredictedSpan | None]] = []
    for span in gold:
        touching = [f for f in found if f.start < span.end and span.start < f.end]
        exact = [f for f in touching if (f.start, f.end) == (span.start, span.end)]
        if any(f.label == span.label for f in exact):
            continue
        if not touching:
            errors.append(("missed", span, None))
        elif exact:
            errors.append(("wrong type", span, exact[0]))
        else:
            errors.append(("boundary", span, touching[0]))
    for guess in found:
        if not any(g.start < guess.end and guess.start < g.end for g in gold):
            errors.append(("spurious", guess, guess))
    return errors


def _hide(example: Example, prediction: Prediction) -> str:
    """Mask what is personal by the labels or by the model, whichever says more."""
    spans = merge_spans([*example.spans, *prediction.spans])
    return mask_patterns(mask_spans(example.text, spans))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= WIDTH else flat[: WIDTH - 1] + "…"
