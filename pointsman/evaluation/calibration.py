"""Whether probabilities mean what they say: temperature scaling, calibration error, Brier score.

One temperature divides the logits (Guo et al., 2017, arXiv:1706.04599). It is fitted on the
probability that is served: of a long text after its windows are merged, and of a token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.bundle.meta import BundleMeta
from pointsman.core.types import Example
from pointsman.data.encode import label_ids, label_tokens
from pointsman.evaluation.intervals import FEW_GROUPS, group_numbers, percentiles
from pointsman.runtime.predictor import Reading, token_probabilities
from pointsman.runtime.windows import merge_sequence, softmax
from pointsman.runtime.words import pool_words
from pointsman.tasks.spec import TaskSpec

BINS = 15
LEAST_IN_BIN = 10  # rows of a bin that is drawn
HISTOGRAM = 20  # bins of equal width that show where confidences lie
DRAWS = 300
FEW_TEXTS = 30  # below so many groups of texts a temperature is a guess
COLDEST, HOTTEST = 0.05, 20.0  # temperatures beyond these mean that something else is wrong
_SMALLEST = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """What calibration is measured on: one row a text, or one a token.

    Attributes:
        probabilities: Served probabilities `(rows, labels)`.
        gold: Index of the true label `(rows,)`.
        owner: Index of the example of each row `(rows,)`.
        positive: Index of a detector's positive label, or None.
    """

    probabilities: Floats
    gold: NDArray[np.int64]
    owner: NDArray[np.int64]
    positive: int | None = None

    @property
    def confidence(self) -> Floats:
        """Probability that is judged: of the positive label, or of the likeliest one."""
        if self.positive is not None:
            return np.asarray(self.probabilities[:, self.positive])
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def right(self) -> Floats:
        """1 where the judged label is the true one."""
        judged = self.probabilities.argmax(axis=1) if self.positive is None else self.positive
        return np.asarray(self.gold == judged, dtype=np.float64)

    def nll(self, *, doubt: float = 0.0) -> float:
        """Return the mean negative log-likelihood, in nats.

        Args:
            doubt: Share of the truth that is given to the other labels, in equal parts.
        """
        logs = np.log(np.maximum(self.probabilities, _SMALLEST))
        return _cross_entropy(logs, self.gold, doubt)

    def brier(self) -> float:
        """Return the Brier score: of the positive label, or summed over labels (Brier, 1950)."""
        if self.positive is not None:
            return float(np.mean((self.confidence - self.right) ** 2))
        squares = (self.probabilities**2).sum(axis=1)
        true = self.probabilities[np.arange(len(self.gold)), self.gold]
        return float(np.mean(squares - 2 * true + 1))


def collect_scores(
    meta: BundleMeta, examples: Sequence[Example], readings: Sequence[Reading]
) -> Scores:
    """Return the served probabilities of labelled examples at the bundle's temperature.

    Args:
        meta: Task and temperature.
        examples: Labelled rows.
        readings: Logits of their texts, in the same order.
    """
    spec = meta.task
    if spec.level == "token":
        return _token_scores(meta, examples, readings)
    rows = [
        merge_sequence(softmax(np.stack(r.logits) / meta.temperature), r.windows, spec)
        for r in readings
    ]
    index = {label: i for i, label in enumerate(spec.labels)}
    return Scores(
        np.asarray(rows, dtype=np.float64),
        np.asarray([index[e.label or ""] for e in examples]),
        np.arange(len(examples)),
        None if spec.positive is None else index[spec.positive],
    )


def _token_scores(
    meta: BundleMeta, examples: Sequence[Example], readings: Sequence[Reading]
) -> Scores:
    ids = label_ids(meta.task)
    probabilities, gold, owner = [], [], []
    for number, (example, reading) in enumerate(zip(examples, readings, strict=True)):
        found, offsets = token_probabilities(meta, reading.windows, reading.logits)
        pooled = pool_words(found, offsets, reading.text) if meta.pool_words else found
        probabilities.append(pooled)
        gold += label_tokens(offsets, example.spans, ids)
        owner += [number] * len(offsets)
    return Scores(
        np.concatenate(probabilities).astype(np.float64), np.asarray(gold), np.asarray(owner)
    )


def fit_temperature(
    meta: BundleMeta, examples: Sequence[Example], readings: Sequence[Reading]
) -> float:
    """Return the temperature that makes the true labels likeliest.

    A task whose words pool is fitted before pooling: pooling rules labels out, and the logarithm
    of zero would decide.

    Args:
        meta: The bundle; its own temperature does not matter.
        examples: Labelled rows that training did not see.
        readings: Logits of their texts.
    """
    if meta.task.level == "token":
        plain = meta.model_copy(update={"temperature": 1.0, "pool_words": False})
        return _best_temperature(_token_nll(plain, examples, readings))

    def loss(temperature: float) -> float:
        warmed = meta.model_copy(update={"temperature": temperature})
        scores = collect_scores(warmed, examples, readings)
        return scores.nll(doubt=_doubt(len(examples)))

    return _best_temperature(loss)


def lowers_loss(
    meta: BundleMeta, temperature: float, examples: Sequence[Example], readings: Sequence[Reading]
) -> bool:
    """Say whether a temperature makes the true labels likelier than 1 does, as they are served.

    A temperature is fitted to tokens before words pool, and pooling may turn its gain into a loss.

    Args:
        meta: The bundle; its own temperature does not matter.
        temperature: What was fitted.
        examples: The rows that it was fitted on.
        readings: Logits of their texts.
    """

    def loss(value: float) -> float:
        scores = collect_scores(meta.model_copy(update={"temperature": value}), examples, readings)
        return scores.nll(doubt=_doubt(len(scores.gold)))

    return loss(temperature) < loss(1.0)


def _token_nll(
    meta: BundleMeta, examples: Sequence[Example], readings: Sequence[Reading]
) -> Callable[[float], float]:
    """Return the loss of a temperature, from log-probabilities that are collected once.

    Dividing log-probabilities is dividing logits: they differ by a constant in each row. Tokens
    of overlapping windows come from one window each, so merging changes nothing in this.
    """
    scores = collect_scores(meta, examples, readings)
    logits = np.log(np.maximum(scores.probabilities, _SMALLEST))
    doubt = _doubt(len(scores.gold))

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        return _cross_entropy(scaled - _log_sum_exp(scaled)[:, None], scores.gold, doubt)

    return loss


def _doubt(rows: int) -> float:
    """Return how much of the truth is doubted: that the next row is the first one to be wrong.

    Rows that the model gets all right would ask for a temperature of 0, and probabilities of 1.
    The share is that of Platt (1999), Probabilistic outputs for support vector machines, 2.2.
    """
    return 1 / (rows + 2)


def _cross_entropy(logs: Floats, gold: NDArray[np.int64], doubt: float) -> float:
    """Return the mean cross-entropy of log-probabilities `(rows, labels)`, in nats."""
    true = logs[np.arange(len(gold)), gold]
    others = (logs.sum(axis=1) - true) / max(1, logs.shape[1] - 1)
    return float(-((1 - doubt) * true + doubt * others).mean())


def _log_sum_exp(rows: Floats) -> Floats:
    top = rows.max(axis=1)
    return np.asarray(top + np.log(np.exp(rows - top[:, None]).sum(axis=1)))


def _best_temperature(loss: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda x: loss(float(np.exp(x))),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return round(float(np.exp(found.x)), 4)


def describe_calibration(scores: Scores, examples: Sequence[Example]) -> dict[str, Any]:
    """Return how far probabilities are from frequencies.

    Args:
        scores: Served probabilities.
        examples: The rows they belong to; whole groups are drawn for the interval.

    Returns:
        `ece` with its interval, `brier`, `nll` (in nats), the `reliability` diagram's bins, and a
        `histogram`: rows by confidence, in 20 bins of equal width.
    """
    return {
        "ece": calibration_error(scores, examples),
        "brier": scores.brier(),
        "nll": scores.nll(),
        "reliability": reliability(scores),
        "histogram": np.histogram(scores.confidence, HISTOGRAM, (0, 1))[0].tolist(),
    }


def calibration_error(
    scores: Scores, examples: Sequence[Example], *, bins: int = BINS, seed: int = 0
) -> dict[str, float]:
    """Return the expected calibration error, debiased, over equal-mass bins, with its interval.

    The plain sum of absolute gaps is positive by noise alone. What noise adds is estimated from
    the normal approximation of each bin's frequency and taken off (Kumar, Liang and Ma, 2019,
    arXiv:1909.10155, section 5). Three changes: the mean of the folded normal stands for their
    simulation; it is taken at the gap whose square is free of bias, since the gap that was seen
    is too large already; and rows of one group (tokens of one text) err together, so that a
    bin's spread is at least what its groups show.

    The interval is the basic bootstrap's: what draws of the sample say is compared with the plain
    error of the sample, which is the truth that they are drawn from. Their percentiles alone
    would hold the noise twice, and hardly ever the 0 of a calibrated model. Beside 0 the basic
    bootstrap is too sure as well, so 0 is in the interval unless a calibrated model with the same
    spread would show less in 97.5% of samples.

    Args:
        scores: Served probabilities.
        examples: The rows they belong to; whole groups are drawn for the interval.
        bins: How many bins, at most.
        seed: Of the bootstrap.
    """
    sums = _sum_up(scores, group_numbers(examples), _bins(scores.confidence, bins))
    count = len(sums.rows)
    here = _gaps(sums, np.ones(count))
    value, plain = _debiased(here), float(here.mass @ here.gap)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(count, np.full(count, 1 / count), size=DRAWS)
    low, high = percentiles([_debiased(_gaps(sums, weights)) - plain for weights in drawn])
    noise = np.abs(random.normal(0, here.spread, (DRAWS, len(here.spread))))
    calibrated = [_debiased(replace(here, gap=gap)) for gap in noise]
    lowest = max(0.0, min(value - high, value))
    return {
        "value": value,
        "low": 0.0 if value <= percentiles(calibrated)[1] else lowest,
        "high": max(value - low, value),
    }


@dataclass(frozen=True, slots=True)
class _Sums:
    """Of each group in each bin `(groups, bins)`: rows, right ones, and what is claimed."""

    rows: Floats
    right: Floats
    claimed: Floats


def _sum_up(scores: Scores, groups: Sequence[int], place: NDArray[np.int64]) -> _Sums:
    member = np.asarray(groups)[scores.owner]
    shape = int(max(groups)) + 1, int(place.max()) + 1
    cell = member * shape[1] + place

    def per_cell(values: Floats | None) -> Floats:
        return np.bincount(cell, values, shape[0] * shape[1]).reshape(shape).astype(np.float64)

    return _Sums(per_cell(None), per_cell(scores.right), per_cell(scores.confidence))


def _bins(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """Return each row's equal-mass bin; equal confidences share one."""
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1])
    return np.asarray(np.searchsorted(np.unique(edges), confidence, side="right"))


@dataclass(frozen=True, slots=True)
class _Gaps:
    """Of each bin: its share of the rows, its gap without sign, and the gap's standard error."""

    mass: Floats
    gap: Floats
    spread: Floats


def _gaps(sums: _Sums, weights: NDArray[Any]) -> _Gaps:
    """Return the bins' gaps, the groups counted by weight."""
    total = weights @ sums.rows
    held = total > 0
    total, rows = total[held], sums.rows[:, held]
    right, claimed = sums.right[:, held], sums.claimed[:, held]
    frequency, mean = weights @ right / total, weights @ claimed / total
    gap = frequency - mean
    likely = (total * frequency + mean) / (total + 1)  # a row as claimed: none wrong is not never
    alone = np.maximum(likely * (1 - likely), _SMALLEST) / total
    together = weights @ (right - claimed - rows * gap) ** 2 / total**2
    return _Gaps(total / total.sum(), np.abs(gap), np.sqrt(np.maximum(alone, together)))


def _debiased(bins: _Gaps) -> float:
    """Return the expected calibration error without what noise adds."""
    from scipy.stats import norm

    true_gap = np.sqrt(np.maximum(bins.gap**2 - bins.spread**2, 0))
    ratio = true_gap / bins.spread
    folded = bins.spread * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + true_gap * (
        1 - 2 * norm.cdf(-ratio)
    )
    return max(0.0, float(bins.mass @ (bins.gap - folded + true_gap)))


def reliability(scores: Scores, *, bins: int = BINS) -> list[dict[str, float]]:
    """Return the equal-mass bins of a reliability diagram: what was claimed, and what came true.

    Args:
        scores: Served probabilities.
        bins: How many bins, at most; of few rows fewer, so that each holds ten.
    """
    confidence, right = scores.confidence, scores.right
    place = _bins(confidence, max(1, min(bins, len(confidence) // LEAST_IN_BIN)))
    rows = []
    for number in np.unique(place):
        mine = place == number
        rows.append(
            {
                "low": float(confidence[mine].min()),
                "high": float(confidence[mine].max()),
                "confidence": float(confidence[mine].mean()),
                "accuracy": float(right[mine].mean()),
                "rows": int(mine.sum()),
            }
        )
    return rows


def can_calibrate(spec: TaskSpec, examples: Sequence[Example]) -> bool:
    """Say whether rows can tell a temperature: with one label alone any confidence looks right."""
    if spec.level == "token":
        return any(example.spans for example in examples)
    return len({example.label for example in examples}) > 1


def few_to_calibrate(spec: TaskSpec, examples: Sequence[Example]) -> str:
    """Say that rows are too few to tell a temperature; nothing where they are enough."""
    rows, what, needed = list(examples), "texts", FEW_TEXTS
    if spec.level == "token":
        rows, what = [e for e in examples if e.spans], "texts with spans"
    groups = len(set(group_numbers(rows)))
    if groups >= needed and spec.positive is not None:
        needed = FEW_GROUPS
        for label in spec.labels:
            own = len(set(group_numbers([e for e in examples if e.label == label])))
            if own < groups:
                groups, what = own, f"texts of {label}"
    if groups >= needed:
        return ""
    return f"a temperature from {groups} independent {what}: too few to say"
