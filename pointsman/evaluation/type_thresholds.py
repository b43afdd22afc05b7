"""Thresholds of spans: one a type, where the rows can tell one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.cuts import Floats, Mask, allows_few, lowest_kept, ranked
from pointsman.evaluation.intervals import Draws, group_weights, percentiles
from pointsman.evaluation.rules import OperatingPoint, Rule
from pointsman.tasks.spec import TaskSpec

FEW_SPANS = 30  # below so many true spans of a type its threshold stays 0
DRAWS = 1000


def choose_by_type(
    spec: TaskSpec, rule: Rule, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> OperatingPoint:
    """Return one threshold a type, where the rows can tell one.

    Args:
        spec: A token task.
        rule: `f1` or `precision`.
        examples: Labelled rows that training did not see.
        predictions: Their answers with no threshold.
    """
    _, weights = group_weights(examples, DRAWS, 0)
    thresholds: dict[str, float] = {}
    few: list[str] = []
    thin: list[str] = []
    missed: list[str] = []
    for label in spec.labels:
        spans = _spans_of(label, examples, predictions)
        if spans.true.sum() < FEW_SPANS:
            few.append(label)
            continue
        if rule.kind == "f1":
            chosen: float | None = _best_f1(spans, weights)
        else:
            chosen = _span_precision(spans.scores, spans.right, rule.value)
            if chosen is not None and allows_few(
                int((spans.scores >= chosen).sum()), 1 - rule.value
            ):
                thin.append(label)
        if chosen is None:
            missed.append(label)
        elif chosen > 0:
            thresholds[label] = chosen
    notes = []
    if few:
        notes.append(f"fewer than {FEW_SPANS} spans, no threshold: {', '.join(few)}")
    if thin:
        notes.append(
            f"too few spans to tell a precision of {rule.value:g} from another: {', '.join(thin)}"
        )
    if missed:
        notes.append(f"no threshold reaches a precision of {rule.value:g}: {', '.join(missed)}")
    enough = len(few) < len(spec.labels) and not thin
    return OperatingPoint(rule, thresholds, enough=enough, reached=not missed, notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class _Spans:
    """One type's spans: true ones by row, predicted ones with row, score and verdict."""

    true: Floats
    row: NDArray[np.int64]
    scores: Floats
    right: Mask


def _spans_of(label: str, examples: Sequence[Example], predictions: Sequence[Prediction]) -> _Spans:
    true = np.zeros(len(examples))
    found: list[tuple[int, float, bool]] = []
    for number, (example, prediction) in enumerate(zip(examples, predictions, strict=True)):
        gold = {(s.start, s.end) for s in example.spans if s.label == label}
        true[number] = len(gold)
        found += [
            (number, s.score, (s.start, s.end) in gold)
            for s in prediction.spans
            if s.label == label
        ]
    rows, scores, right = zip(*found, strict=True) if found else ((), (), ())
    return _Spans(
        true,
        np.asarray(rows, dtype=np.int64),
        np.asarray(scores, dtype=np.float64),
        np.asarray(right, dtype=bool),
    )


def _best_f1(spans: _Spans, weights: Draws) -> float:
    """Return the threshold of the best F1, or 0 where it does not beat none beyond doubt.

    Dropping spans always looks good on the rows that chose what to drop. It counts only if the
    95% interval of its gain, over draws of whole groups, lies above zero.
    """
    if not len(spans.scores):
        return 0.0
    order, ends = ranked(spans.scores)
    guessed = np.arange(1, len(order) + 1)
    f1 = (2 * np.cumsum(spans.right[order]) / (spans.true.sum() + guessed))[ends]
    best = int(f1.argmax())
    if best == len(f1) - 1:
        return 0.0
    threshold = lowest_kept(spans.scores, spans.scores[order][ends[best]])
    low, _ = percentiles([_gain(spans, threshold, draw) for draw in weights])
    return threshold if low > 0 else 0.0


def _gain(spans: _Spans, threshold: float, weights: Floats) -> float:
    """Return the F1 at a threshold less the F1 without one, under row weights."""
    mine = weights[spans.row]
    kept = mine * (spans.scores >= threshold)
    true = weights @ spans.true
    with_it = 2 * (kept @ spans.right) / max(true + kept.sum(), 1e-9)
    return float(with_it - 2 * (mine @ spans.right) / max(true + mine.sum(), 1e-9))


def _span_precision(scores: Floats, right: Mask, target: float) -> float | None:
    """Return the lowest threshold of a precision, or None where there is none."""
    if not len(scores) or right.mean() >= target:
        return 0.0
    order, ends = ranked(scores)
    precision = (np.cumsum(right[order]) / np.arange(1, len(scores) + 1))[ends]
    fitting = np.flatnonzero(precision >= target)
    return lowest_kept(scores, scores[order][ends[fitting[-1]]]) if len(fitting) else None
