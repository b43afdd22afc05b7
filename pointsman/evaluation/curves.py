"""The curves behind a threshold, thin enough to be kept and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Example, Prediction
from pointsman.tasks.spec import TaskSpec

POINTS = 200


def describe_curves(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, list[Any]]:
    """Return a sequence task's curves, at most 200 points each.

    Returns:
        Of a detector with rows of both labels `roc` (false-positive rate, recall),
        `precision_recall` (recall, precision) and `threshold`; of another task `coverage`
        (share answered, accuracy of those, threshold). Of a token task nothing.
    """
    if spec.level == "token":
        return {}
    if spec.positive is None:
        return {"coverage": _coverage(examples, predictions)}
    truth = np.asarray([e.label == spec.positive for e in examples])
    scores = np.asarray([p.probabilities[spec.positive] for p in predictions])
    if truth.all() or not truth.any():
        return {}
    return _detector(truth, scores)


def _coverage(examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Any]:
    scores = np.asarray([p.score for p in predictions])
    right = np.asarray([p.label == e.label for p, e in zip(predictions, examples, strict=True)])
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    answered = np.arange(1, len(scores) + 1)
    accuracy = np.cumsum(right[order]) / answered
    columns = (answered[ends] / len(scores), accuracy[ends], scores[order][ends])
    return [list(map(float, row)) for row in thin(np.column_stack(columns))]


def _detector(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, list[Any]]:
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    caught = np.cumsum(truth[order])[ends]
    alarms = np.cumsum(~truth[order])[ends]
    recall, rate = caught / truth.sum(), alarms / (~truth).sum()
    table = thin(np.column_stack((rate, recall, caught / (caught + alarms), scores[order][ends])))
    return {
        "roc": [[0.0, 0.0], *([float(r[0]), float(r[1])] for r in table)],
        "precision_recall": [[float(r[1]), float(r[2])] for r in table],
        "threshold": [
            {"threshold": float(r[3]), "false_positive_rate": float(r[0]), "recall": float(r[1])}
            for r in table
        ],
    }


def thin(table: NDArray[np.float64], points: int = POINTS - 1) -> NDArray[np.float64]:
    """Return at most `points` rows: half of them evenly spaced, half where the first ones lie.

    Curves are read at their strict end, which a tenth of the rows makes.
    """
    if len(table) <= points:
        return table
    even = np.linspace(0, len(table) - 1, points // 2)
    dense = np.geomspace(1, len(table), points - points // 2) - 1
    return np.asarray(table[np.unique(np.concatenate((even, dense)).round().astype(int))])
