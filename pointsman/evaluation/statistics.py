"""Metrics as functions of row weights, so that a bootstrap draw costs one weighted sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.cuts import ranked
from pointsman.evaluation.text_metrics import FALSE_POSITIVE_RATE
from pointsman.tasks.spec import TaskSpec

Weights = NDArray[np.float64]
Statistic = Callable[[Weights], float]


def statistics(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Statistic]:
    """Return each metric that has an interval, as a function of row weights `(rows,)`.

    With weights of one they equal the figures of `pointsman.evaluation.score`. A draw in which a
    metric has no value (no positive row, say) gives NaN.
    """
    if spec.level == "token":
        return _span_statistics(examples, predictions)
    found = _text_statistics(spec, examples, predictions)
    if spec.positive is not None:
        found |= _detector_statistics(spec, examples, predictions)
    return found


def _text_statistics(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Statistic]:
    index = {label: i for i, label in enumerate(spec.labels)}
    gold = np.asarray([index[e.label or ""] for e in examples])
    count = len(spec.labels)
    given = np.asarray([index.get(p.label or "", count) for p in predictions])  # count: no answer
    right = (gold == given).astype(np.float64)

    def f1(weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        true = np.asarray(np.bincount(gold, weights, count), dtype=np.float64)
        guessed = np.bincount(given, weights, count + 1)[:count]
        hits = np.bincount(gold, weights * right, count)
        total = true + guessed
        return np.divide(2 * hits, total, out=np.zeros(count), where=total > 0), true

    def macro(weights: Weights) -> float:
        scores, true = f1(weights)
        return float(scores[true > 0].mean())

    def weighted(weights: Weights) -> float:
        scores, true = f1(weights)
        return float(np.average(scores, weights=true))

    return {
        "accuracy": lambda weights: float(np.average(right, weights=weights)),
        "macro_f1": macro,
        "weighted_f1": weighted,
    }


def _detector_statistics(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Statistic]:
    truth = np.asarray([e.label == spec.positive for e in examples])
    flagged = np.asarray([p.label == spec.positive for p in predictions], dtype=np.float64)
    scores = np.asarray([p.probabilities[spec.positive or ""] for p in predictions])
    order, ends = ranked(scores)

    def curve(weights: Weights) -> tuple[Weights, Weights]:
        """Return false-positive rate and recall at every distinct score, from (0, 0)."""
        w = weights[order]
        hits = np.cumsum(w * truth[order])[ends]
        alarms = np.cumsum(w * ~truth[order])[ends]
        if not hits[-1] or not alarms[-1]:
            return np.full(1, np.nan), np.full(1, np.nan)
        return np.append(0, alarms / alarms[-1]), np.append(0, hits / hits[-1])

    def area(weights: Weights) -> float:
        false_positives, recall = curve(weights)
        return float(np.trapezoid(recall, false_positives)) if len(recall) > 1 else float("nan")

    def strict(weights: Weights) -> float:
        false_positives, recall = curve(weights)
        if len(recall) == 1:
            return float("nan")
        return float(np.max(recall[false_positives <= FALSE_POSITIVE_RATE], initial=-np.inf))

    return {
        "roc_auc": area,
        "recall_at_fpr_1": strict,
        "precision": _share(flagged > 0, truth.astype(np.float64)),
        "false_positive_rate": _share(~truth, flagged),
        "false_negative_rate": _share(truth, 1 - flagged),
    }


def _share(rows: NDArray[np.bool_], held: NDArray[np.float64]) -> Statistic:
    """Return the share of some rows that hold, as a function of row weights; NaN without a row."""

    def measure(weights: Weights) -> float:
        mine = weights[rows]
        return float(np.average(held[rows], weights=mine)) if mine.any() else float("nan")

    return measure


def _span_statistics(
    examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Statistic]:
    rows = np.array(
        [span_counts(e, p) for e, p in zip(examples, predictions, strict=True)], dtype=np.float64
    ).reshape(len(examples), 3)
    clean = np.asarray([not e.spans for e in examples])
    alone = np.asarray([not p.spans for p in predictions], dtype=np.float64)

    def ratio(numerator: float, denominator: float) -> float:
        return float(numerator / denominator) if denominator else 0.0

    def f1(weights: Weights) -> float:
        right, guessed, true = weights @ rows
        return ratio(2 * right, guessed + true)

    return {
        "span_f1": f1,
        "span_precision": lambda w: ratio((w @ rows)[0], (w @ rows)[1]),
        "span_recall": lambda w: ratio((w @ rows)[0], (w @ rows)[2]),
        "clean_share": _share(clean, alone),
    }


def span_counts(
    example: Example, prediction: Prediction, label: str | None = None
) -> tuple[int, int, int]:
    """Return how many spans are right, found and true: of one label, or of all."""
    true = _bag(s for s in example.spans if label in (None, s.label))
    guessed = _bag(s for s in prediction.spans if label in (None, s.label))
    return (true & guessed).total(), guessed.total(), true.total()


def _bag(spans: Iterable[Span | PredictedSpan]) -> Counter[tuple[int, int, str]]:
    return Counter((s.start, s.end, s.label) for s in spans)
