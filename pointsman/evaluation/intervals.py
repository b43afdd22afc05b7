"""How sure a figure is: bootstrap intervals by group.

Rows of one group (a template, a conversation) are not independent, so whole groups are drawn:
the cluster bootstrap of Davison and Hinkley (1997), section 3.8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.statistics import Statistic, Weights, span_counts, statistics
from pointsman.tasks.spec import TaskSpec

DRAWS = 1000
LEVEL = 0.95
FEW_GROUPS = 10  # below it the spread of groups cannot be told from a sample of them


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval.

    Attributes:
        value: The figure on the rows as they are.
        low: Lower end.
        high: Upper end.
        groups: How many independent groups it rests on: of a detector's ranking those of its
            scarcer label, of a share those of its rows.
        exact: Whether the ends are those of Clopper and Pearson, in place of the bootstrap's.
    """

    value: float
    low: float
    high: float
    groups: int
    exact: bool = False

    def to_dict(self) -> dict[str, float | int | bool]:
        """Return the JSON form; `few` says that the interval rests on too few groups."""
        return {**asdict(self), "few": self.groups < FEW_GROUPS}

    def complement(self) -> Interval:
        """Return the interval of the other share: of recall, given that of what is missed."""
        return replace(self, value=1 - self.value, low=1 - self.high, high=1 - self.low)


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
    rests = _rests_on(spec, examples, predictions)
    _, weights = group_weights(examples, draws, seed)
    return {
        name: found
        for name, statistic in chosen.items()
        if (found := _interval(statistic, rests(name), weights)) is not None
    }


def share_interval(
    examples: Sequence[Example], chosen: Sequence[bool], *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Return the share of rows that are chosen, with its interval.

    Args:
        examples: One row at least; those with the same `group` are drawn together.
        chosen: Whether each row is.
        draws: Bootstrap samples.
        seed: Of the draws.
    """
    share = np.asarray(chosen, dtype=np.float64)
    groups, weights = group_weights(examples, draws, seed)
    found = _interval(lambda row: float(np.average(share, weights=row)), groups, weights)
    assert found is not None  # rows have a share
    return found


def type_intervals(
    spec: TaskSpec,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Return `precision` and `recall` of each type of a token task, with their intervals.

    Args:
        spec: The task.
        examples: Labelled rows; rows with the same `group` are drawn together.
        predictions: Answers in the same order.
        draws: Bootstrap samples.
        seed: Of the draws.

    Returns:
        By label, in the task's order. A label that has neither a true nor a found span is left
        out; without true spans there is no recall, and without found ones no precision.
    """
    # right, found, true spans `(types, rows, 3)`; a draw is one product for all types
    counts = np.zeros((len(spec.labels), len(examples), 3))
    place = {label: number for number, label in enumerate(spec.labels)}
    for row, (example, prediction) in enumerate(zip(examples, predictions, strict=True)):
        named = {s.label for s in example.spans} | {s.label for s in prediction.spans}
        for label in named & set(place):
            counts[place[label], row] = span_counts(example, prediction, label)
    _, weights = group_weights(examples, draws, seed)
    drawn = np.asarray([row @ counts for row in weights])  # (draws, types, 3)
    groups = np.asarray(group_numbers(examples))
    return {
        label: own
        for label, number in place.items()
        if (own := _type_interval(counts[number], drawn[:, number], groups))
    }


def _type_interval(
    counts: Weights, drawn: Weights, groups: NDArray[np.int64]
) -> dict[str, Interval]:
    found = {}
    for name, column in (("precision", 1), ("recall", 2)):
        right, whole = counts[:, 0].sum(), counts[:, column].sum()
        if not whole:
            continue
        held = drawn[:, column] > 0
        low, high = percentiles(list(drawn[held, 0] / drawn[held, column]))
        rests = len(set(groups[counts[:, column] > 0].tolist()))
        found[name] = _ends(float(right / whole), low, high, rests)
    return found


def _interval(statistic: Statistic, groups: int, weights: Draws) -> Interval | None:
    """Return a figure with its interval, or None where it has no value."""
    value = statistic(np.ones(weights.rows))
    if np.isnan(value):
        return None
    return _ends(value, *percentiles([statistic(row) for row in weights]), groups)


def _ends(value: float, low: float, high: float, groups: int) -> Interval:
    """Return a figure with the bootstrap's ends, or exact ones where those fall together."""
    if value in (0.0, 1.0) and low == high == value:
        return _exact(value, groups)
    return Interval(value, low, high, groups)


def _rests_on(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> Callable[[str], int]:
    """Return how many groups a figure rests on, by its name: those of the rows that can move it."""
    groups = group_numbers(examples)
    sides: dict[str, list[bool]] = {}
    if spec.level == "token":
        true, found = [bool(e.spans) for e in examples], [bool(p.spans) for p in predictions]
        sides = {"span_recall": true, "span_precision": found}
        sides["span_f1"] = [a or b for a, b in zip(true, found, strict=True)]
        sides["clean_share"] = [not held for held in true]
    elif spec.positive is not None:
        positive = [e.label == spec.positive for e in examples]
        negative = [not held for held in positive]
        sides = {"false_positive_rate": negative, "false_negative_rate": positive}
        sides["precision"] = [p.label == spec.positive for p in predictions]
        scarcer = min(positive, negative, key=lambda side: _count(groups, side))
        sides |= {"roc_auc": scarcer, "recall_at_fpr_1": scarcer}
    return lambda name: _count(groups, sides.get(name, [True] * len(groups)))


def _count(groups: Sequence[int], held: Sequence[bool]) -> int:
    return len({group for group, mine in zip(groups, held, strict=True) if mine})


def _exact(share: float, groups: int) -> Interval:
    """Give a share of none or all the exact ends (Clopper and Pearson, 1934), over groups.

    Draws from rows that are all alike are all alike, too: the bootstrap would say that it is sure.
    Of what is no plain share (an F1, the area under a curve) they are those of the share of groups
    without a mistake, which is as near to an exact interval as such a figure has.
    """
    from scipy.stats import binomtest

    if not groups:  # nothing was seen: any share would do
        return Interval(share, 0.0, 1.0, 0, exact=True)
    ends = binomtest(round(share * groups), groups).proportion_ci(LEVEL)
    return Interval(share, float(ends.low), float(ends.high), groups, exact=True)


def share_ends(share: float, rows: int) -> tuple[float, float]:
    """Return the 95% interval of a share of independent rows (Wilson, 1927)."""
    from scipy.stats import binomtest

    ends = binomtest(round(share * rows), rows).proportion_ci(LEVEL, method="wilson")
    return float(ends.low), float(ends.high)


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

    @property
    def rows(self) -> int:
        """How many rows have a weight."""
        return len(self._member)

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


def as_dicts(found: Mapping[str, Interval]) -> dict[str, dict[str, float | int | bool]]:
    """Return the JSON form of named intervals."""
    return {name: interval.to_dict() for name, interval in found.items()}
