"""Whether one model answers better than another: paired intervals, and McNemar's test by groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.cuts import threshold_at_fpr
from pointsman.evaluation.intervals import (
    DRAWS,
    group_numbers,
    group_weights,
    percentiles,
)
from pointsman.evaluation.statistics import statistics
from pointsman.evaluation.text_metrics import FALSE_POSITIVE_RATE, RANKING
from pointsman.tasks.spec import TaskSpec

EXACT = 25  # below so many groups that differ McNemar's test counts every outcome


@dataclass(frozen=True, slots=True)
class Difference:
    """One model's figure less another's on the same rows.

    Attributes:
        metric: Which figure.
        value: First less second.
        low: Lower end of the paired interval.
        high: Upper end.
        p_value: Of McNemar's test on which answers are right, or None for a token task.
    """

    metric: str
    value: float
    low: float
    high: float
    p_value: float | None

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `no difference` where the interval holds zero."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "verdict": self.verdict}


def paired_difference(
    spec: TaskSpec,
    examples: Sequence[Example],
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    *,
    metric: str | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Difference:
    """Return the difference of two models' figures, with a paired bootstrap interval.

    Args:
        spec: The task of both.
        examples: The rows that both answered.
        first: Answers of the first model.
        second: Answers of the second.
        metric: The figure; the task's headline when not given.
        draws: Bootstrap samples.
        seed: Of the draws.
    """
    name = metric or spec.headline
    ours = statistics(spec, examples, first)[name]
    theirs = statistics(spec, examples, second)[name]
    ones = np.ones(len(examples))
    _, weights = group_weights(examples, draws, seed)
    low, high = percentiles([ours(row) - theirs(row) for row in weights])
    p_value = None
    if spec.level == "sequence":
        p_value = mcnemar(
            right_answers(spec, examples, first, name),
            right_answers(spec, examples, second, name),
            group_numbers(examples),
        )
    return Difference(name, ours(ones) - theirs(ones), low, high, p_value)


def right_answers(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction], metric: str
) -> list[bool]:
    """Return which rows a model answers wholly right: the label, or all spans.

    Where a detector's ranking is compared, its own threshold is not asked: one that flags 1% of
    benign rows and one that flags 5% differ in what was chosen, and not in what they can. Both are
    then taken at the threshold that flags at most 1% of the benign rows here.

    Args:
        spec: The task.
        examples: The rows.
        predictions: The model's answers.
        metric: The figure that is compared.
    """
    if metric in RANKING and spec.positive is not None:
        truth = np.asarray([example.label == spec.positive for example in examples])
        if 0 < truth.sum() < len(truth):
            scores = np.asarray([p.probabilities.get(spec.positive, 0.0) for p in predictions])
            flagged = scores >= threshold_at_fpr(scores, truth, FALSE_POSITIVE_RATE)
            return [
                bool(right) and p.label is not None
                for right, p in zip(flagged == truth, predictions, strict=True)
            ]
    return [
        p.label == e.label
        and sorted((s.start, s.end, s.label) for s in p.spans)
        == sorted((s.start, s.end, s.label) for s in e.spans)
        for p, e in zip(predictions, examples, strict=True)
    ]


def mcnemar(
    first: Sequence[bool], second: Sequence[bool], groups: Sequence[int] | None = None
) -> float:
    """Return the two-sided p-value that both models err equally often (McNemar, 1947).

    Rows of one group win or lose together. What counts is each group's net result, and the test is
    whether their signs could be flipped: the same test where every row is its own group, and
    otherwise that of Yang, Sun and Hardin (2010), Statistics in Medicine 29, page 1563.

    Args:
        first: Whether each answer of the first model is right.
        second: The same of the second.
        groups: Group of each row; each row is its own when not given.
    """
    from scipy.stats import chi2

    won = np.asarray(first, dtype=np.int64) - np.asarray(second, dtype=np.int64)
    member = np.arange(len(won)) if groups is None else np.asarray(groups)
    nets = np.bincount(member, won).round().astype(np.int64)
    sizes, total = np.abs(nets[nets != 0]), int(nets.sum())
    if not len(sizes):
        return 1.0
    if len(sizes) < EXACT:
        return _flipped(sizes, abs(total))
    corrected = max(0, abs(total) - 1) ** 2 / float((sizes**2).sum())
    return float(chi2.sf(corrected, 1))


def _flipped(sizes: NDArray[np.int64], total: int) -> float:
    """Return how often random signs give a sum as large as `total`, all of them counted."""
    chances = np.ones(1)
    for size in sizes:
        step = np.zeros(2 * size + 1)
        step[0] = step[-1] = 0.5
        chances = np.convolve(chances, step)
    sums = np.abs(np.arange(len(chances)) - int(sizes.sum()))
    return float(min(1.0, chances[sums >= total].sum()))
