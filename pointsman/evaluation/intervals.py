"""How sure a figure is: bootstrap intervals by group.

Rows of one group (a template, a conversation) are not independent, so whole groups are drawn:
the cluster bootstrap of Davison and Hinkley (1997), section 3.8. Every metric is written as a
function of row weights, so that a draw costs one weighted sum and not a new evaluation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.text_metrics import FALSE_POSITIVE_RATE
from pointsman.tasks.spec import TaskSpec

DRAWS = 1000
LEVEL = 0.95
FEW_GROUPS = 10  # below it the spread of groups cannot be told from a sample of them

Weights = NDArray[np.float64]
Statistic = Callable[[Weights], float]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval.

    Attributes:
        value: The figure on the rows as they are.
        low: Lower end.
        high: Upper end.
        groups: How many independent groups it rests on.
    """

    value: float
    low: float
    high: float
    groups: int

    def to_dict(self) -> dict[str, float | int | bool]:
        """Return the JSON form; `few` says that the interval rests on too few groups."""
        return {**asdict(self), "few": self.groups < FEW_GROUPS}

    def complement(self) -> Interval:
        """Return the interval of the other share: of recall, given that of what is missed."""
        return Interval(1 - self.value, 1 - self.high, 1 - self.low, self.groups)


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


def intervals(
    spec: TaskSpec,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    metrics: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return bootstrap intervals (95%, percentile) of a task's main figures.

    Args:
        spec: The task.
        examples: Labelled rows; rows with the same `group` are drawn together.
        predictions: Answers in the same order.
        metrics: Which figures; all that have a statistic when not given.
        draws: Bootstrap samples.
        seed: Of the draws.
    """
    known = statistics(spec, examples, predictions)
    chosen = {name: known[name] for name in (metrics or known) if name in known}
    ones = np.ones(len(examples))
    groups, weights = group_weights(examples, draws, seed)
    found = {}
    for name, statistic in chosen.items():
        value = statistic(ones)
        if np.isnan(value):
            continue
        shared = _rows_of_share(spec, name, examples)
        if shared is not None and value in (0.0, 1.0):
            found[name] = _exact(value, len(set(group_numbers(shared))))
        else:
            low, high = percentiles([statistic(row) for row in weights])
            found[name] = Interval(value, low, high, groups)
    return found


def _rows_of_share(spec: TaskSpec, name: str, examples: Sequence[Example]) -> list[Example] | None:
    """Return the rows that a metric is a plain share of, or None where it is none."""
    if name == "accuracy":
        return list(examples)
    if name == "clean_share":
        return [example for example in examples if not example.spans]
    if name in ("false_positive_rate", "false_negative_rate"):
        positive = name == "false_negative_rate"
        return [e for e in examples if (e.label == spec.positive) == positive]
    return None


def _exact(share: float, groups: int) -> Interval:
    """Give a share of none or all the exact ends (Clopper and Pearson, 1934), over groups.

    Draws from rows that are all alike are all alike, too: the bootstrap would say that it is sure.
    """
    from scipy.stats import binomtest

    ends = binomtest(round(share * groups), groups).proportion_ci(LEVEL)
    return Interval(share, float(ends.low), float(ends.high), groups)


class Draws:
    """Row weights of bootstrap samples, drawn anew each time that they are gone through.

    A thousand weights for each of a million rows would not fit into memory.

    Args:
        member: Group number of every row.
        draws: How many samples.
        seed: Of the draws.
    """

    def __init__(self, member: NDArray[np.int64], draws: int, seed: int) -> None:
        self._member, self._draws, self._seed = member, draws, seed

    def __iter__(self) -> Iterator[Weights]:
        count = int(self._member.max()) + 1
        shares = np.full(count, 1 / count)
        random = np.random.default_rng(self._seed)
        for _ in range(self._draws):
            yield random.multinomial(count, shares)[self._member].astype(np.float64)


def group_weights(examples: Sequence[Example], draws: int, seed: int) -> tuple[int, Draws]:
    """Return how many groups there are, and the row weights of each draw, shape `(rows,)` each.

    Args:
        examples: Rows; those with the same `group` are drawn together.
        draws: How many samples.
        seed: Of the draws.
    """
    member = np.asarray(group_numbers(examples))
    return int(member.max()) + 1, Draws(member, draws, seed)


def group_numbers(examples: Sequence[Example]) -> list[int]:
    """Return each row's group as a number from 0; a row without one is its own."""
    numbers: dict[str, int] = {}
    return [
        numbers.setdefault(e.group if e.group is not None else f"row {i}", len(numbers))
        for i, e in enumerate(examples)
    ]


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the 95% interval of bootstrap values; NaN among them is left out."""
    known = np.asarray([value for value in values if not np.isnan(value)])
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


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
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # last row of each tied score

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
        return float(np.max(recall[false_positives <= FALSE_POSITIVE_RATE], initial=-np.inf))

    def rate(rows: NDArray[np.bool_], share: NDArray[np.float64]) -> Statistic:
        def measure(weights: Weights) -> float:
            mine = weights[rows]
            return float(np.average(share[rows], weights=mine)) if mine.any() else float("nan")

        return measure

    return {
        "roc_auc": area,
        "recall_at_fpr_1": lambda w: strict(w) if len(curve(w)[0]) > 1 else float("nan"),
        "false_positive_rate": rate(~truth, flagged),
        "false_negative_rate": rate(truth, 1 - flagged),
    }


def _span_statistics(
    examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Statistic]:
    rows = np.array(
        [_span_counts(e, p) for e, p in zip(examples, predictions, strict=True)], dtype=np.float64
    ).reshape(len(examples), 3)
    clean = np.asarray([not e.spans for e in examples])
    alone = np.asarray([not p.spans for p in predictions], dtype=np.float64)

    def ratio(numerator: float, denominator: float) -> float:
        return float(numerator / denominator) if denominator else 0.0

    def f1(weights: Weights) -> float:
        right, guessed, true = weights @ rows
        return ratio(2 * right, guessed + true)

    def untouched(weights: Weights) -> float:
        mine = weights[clean]
        return float(np.average(alone[clean], weights=mine)) if mine.any() else float("nan")

    return {
        "span_f1": f1,
        "span_precision": lambda w: ratio((w @ rows)[0], (w @ rows)[1]),
        "span_recall": lambda w: ratio((w @ rows)[0], (w @ rows)[2]),
        "clean_share": untouched,
    }


def _span_counts(example: Example, prediction: Prediction) -> tuple[int, int, int]:
    true = Counter((s.start, s.end, s.label) for s in example.spans)
    guessed = Counter((s.start, s.end, s.label) for s in prediction.spans)
    return (true & guessed).total(), guessed.total(), true.total()


def as_dicts(found: Mapping[str, Interval]) -> dict[str, dict[str, float | int | bool]]:
    """Return the JSON form of named intervals."""
    return {name: interval.to_dict() for name, interval in found.items()}
