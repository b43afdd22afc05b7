"""Figures of sequence tasks: from gold labels and predicted probabilities to named numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Prediction
from pointsman.tasks.spec import TaskSpec

FALSE_POSITIVE_RATE = 0.01
RANKING = ("roc_auc", "average_precision", "recall_at_fpr_1")  # need a score, not a label alone


def score_texts(
    spec: TaskSpec, gold: Sequence[str], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    """Return every figure of a sequence task.

    Args:
        spec: The task.
        gold: True label of each text.
        predictions: The predictor's answers, in the same order. A label of None is no answer: it
            is wrong, and no column of the confusion matrix.

    Returns:
        `rows`, `accuracy`, precision, recall and F1 `weighted_*` and `macro_*` (over the labels
        that occur in `gold`), `per_class`, `confusion` (rows are gold), `most_confused` and
        `best_separated` pairs; for a detector also those of `score_detector`.
    """
    from sklearn.metrics import precision_recall_fscore_support

    answers = [prediction.label or "" for prediction in predictions]
    present = [label for label in spec.labels if label in set(gold)]
    figures: dict[str, Any] = {
        "rows": len(gold),
        "accuracy": float(np.mean([g == a for g, a in zip(gold, answers, strict=True)])),
    }
    for average in ("weighted", "macro"):
        precision, recall, f1, _ = precision_recall_fscore_support(
            gold, answers, labels=present, average=average, zero_division=0
        )
        figures |= {
            f"{average}_precision": float(precision),
            f"{average}_recall": float(recall),
            f"{average}_f1": float(f1),
        }
    if spec.positive is not None:
        figures |= score_detector(spec, gold, predictions)
    figures["per_class"] = _per_class(spec, gold, answers)
    confusion = _confusion(spec, gold, answers)
    figures["confusion"] = confusion.tolist()
    return figures | pair_insights(spec.labels, confusion)


def score_detector(
    spec: TaskSpec, gold: Sequence[str], predictions: Sequence[Prediction]
) -> dict[str, float]:
    """Return the figures of a two-class detector.

    Returns:
        `roc_auc`, `average_precision`, `recall_at_fpr_1` (largest recall whose false-positive
        rate is at most 1%), `precision`, `false_positive_rate` and `false_negative_rate` at the
        threshold in use. Figures that need both classes are left out where there is one, and
        precision where nothing is flagged.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth = np.asarray([label == spec.positive for label in gold])
    flagged = np.asarray([p.label == spec.positive for p in predictions])
    scores = np.asarray([p.probabilities[spec.positive or ""] for p in predictions])
    figures: dict[str, float] = {}
    if flagged.any():
        figures["precision"] = float(truth[flagged].mean())
    if (~truth).any():
        figures["false_positive_rate"] = float(flagged[~truth].mean())
    if truth.any():
        figures["false_negative_rate"] = float((~flagged[truth]).mean())
    if truth.any() and (~truth).any():
        figures |= {
            "roc_auc": float(roc_auc_score(truth, scores)),
            "average_precision": float(average_precision_score(truth, scores)),
            "recall_at_fpr_1": recall_at_fpr(truth, scores, FALSE_POSITIVE_RATE),
        }
    return figures


def recall_at_fpr(truth: NDArray[np.bool_], scores: NDArray[np.floating], rate: float) -> float:
    """Return the largest recall whose false-positive rate is at most `rate`."""
    from sklearn.metrics import roc_curve

    false_positives, recall, _ = roc_curve(truth, scores, drop_intermediate=False)
    return float(recall[false_positives <= rate].max())


def _per_class(
    spec: TaskSpec, gold: Sequence[str], answers: Sequence[str]
) -> dict[str, dict[str, float]]:
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        gold, answers, labels=list(spec.labels), zero_division=0
    )
    return {
        label: {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "rows": int(rows),
        }
        for label, precision, recall, f1, rows in zip(spec.labels, *columns, strict=True)
    }


def _confusion(spec: TaskSpec, gold: Sequence[str], answers: Sequence[str]) -> NDArray[np.int64]:
    index = {label: i for i, label in enumerate(spec.labels)}
    table = np.zeros((len(index), len(index)), dtype=np.int64)
    for truth, answer in zip(gold, answers, strict=True):
        if answer in index:
            table[index[truth], index[answer]] += 1
    return table


def pair_insights(labels: Sequence[str], confusion: NDArray[np.int64]) -> dict[str, Any]:
    """Return the pairs of labels that are taken for each other most and least often.

    The rate of a pair is the share of both labels' rows that got the other label. Among pairs
    that are never confused, the one with the most rows says most. Of one pair alone nothing is
    said: it would be both.
    """
    sizes = confusion.sum(axis=1)
    pairs = []
    for a, b in combinations(range(len(labels)), 2):
        rows = int(sizes[a] + sizes[b])
        if sizes[a] and sizes[b]:
            rate = float(confusion[a, b] + confusion[b, a]) / rows
            pairs.append({"labels": [labels[a], labels[b]], "rate": rate, "rows": rows})
    if len(pairs) < 2:
        return {}
    return {
        "most_confused": max(pairs, key=lambda pair: (pair["rate"], pair["rows"])),
        "best_separated": min(pairs, key=lambda pair: (pair["rate"], -int(str(pair["rows"])))),
    }
