"""Classifiers side by side: what each reached on the same rows, and which differences are real.

Every pair is told apart by the paired bootstrap interval of its metric and by McNemar's test on
which texts were answered wholly right. Several pairs are several chances to be fooled, so the
p-values are corrected by Holm's method (1979), and a verdict needs both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any

import numpy as np

from pointsman.core.errors import ConfigError
from pointsman.core.types import Example, PredictedSpan, Prediction
from pointsman.evaluation.intervals import DRAWS, group_numbers, intervals
from pointsman.evaluation.score import scalars, score
from pointsman.evaluation.significance import (
    Difference,
    mcnemar,
    paired_difference,
    right_answers,
)
from pointsman.evaluation.statistics import statistics
from pointsman.evaluation.text_metrics import RANKING
from pointsman.tasks.spec import TaskSpec

ALPHA = 0.05
SEQUENCE_METRICS = ("accuracy", "macro_f1")
TOKEN_METRICS = ("span_f1", "span_precision", "span_recall")


@dataclass(frozen=True, slots=True)
class Entrant:
    """One classifier's answers to the rows of a comparison.

    Attributes:
        name: What it is called in the tables.
        predictions: Its answers, in row order; `no_answer` where there was none.
        ranks: Whether its probabilities rank texts; answers that are labels alone do not.
        facts: What was measured beside: latency, memory, cost.
    """

    name: str
    predictions: Sequence[Prediction]
    ranks: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two entrants to tell apart: the first against the second."""

    first: str
    second: str


def no_answer(spec: TaskSpec) -> Prediction:
    """Return the prediction that stands for a missing answer, which is always wrong.

    For a token task it holds one empty span: equal to no true span, and still a span where
    nothing should have been found.
    """
    if spec.level == "token":
        return Prediction(spec.name, None, 0.0, spans=(empty_span(spec.labels[0]),))
    nothing = dict.fromkeys(spec.labels, 0.0)
    return Prediction(spec.name, None, 0.0, nothing)


def empty_span(label: str, at: int = 0) -> PredictedSpan:
    """Return a span of no character: a guess that is always wrong."""
    return PredictedSpan(at, at, label, "", 0.0)


def is_missing(prediction: Prediction) -> bool:
    """Say whether a prediction stands for a missing answer."""
    if prediction.spans:
        return [(s.start, s.end) for s in prediction.spans] == [(0, 0)]
    return prediction.label is None and bool(prediction.probabilities)


def compare(
    spec: TaskSpec,
    examples: Sequence[Example],
    entrants: Sequence[Entrant],
    pairs: Sequence[Pair],
    *,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """Compare entrants on the same labelled rows.

    Args:
        spec: The task of all of them.
        examples: The rows; those of one group are drawn together.
        entrants: Their answers.
        pairs: Whom to tell apart from whom.
        draws: Bootstrap samples.

    Returns:
        `task`, `rows`, `headline`; `entrants`: for each its `name`, `metrics` (each with its
        interval), `confidence` (mean score of its answers, or None), `missing` answers and its
        facts; `differences`: for each pair the metric, value, interval, `p_value`, `corrected`
        p-value and `verdict`, with `words` that say it.

    Raises:
        ConfigError: If two entrants have one name.
    """
    by_name = {entrant.name: entrant for entrant in entrants}
    if len(by_name) != len(entrants):
        raise ConfigError("a name of its own for each", got=", ".join(e.name for e in entrants))
    found = [
        _difference(spec, examples, by_name[pair.first], by_name[pair.second], draws=draws)
        for pair in pairs
    ]
    corrected = holm([p for _, p in found])
    return {
        "task": spec.name,
        "level": spec.level,
        "rows": len(examples),
        "headline": spec.headline,
        "entrants": [_account(spec, examples, entrant, draws) for entrant in entrants],
        "differences": [
            _say(pair, difference, p_value, after, len(pairs))
            for pair, (difference, p_value), after in zip(pairs, found, corrected, strict=True)
        ],
    }


def metrics_to_show(spec: TaskSpec, *, ranks: bool = True) -> tuple[str, ...]:
    """Return the metrics of a comparison, the headline first where it can be told."""
    plain = TOKEN_METRICS if spec.level == "token" else SEQUENCE_METRICS
    names = dict.fromkeys((spec.headline, *plain))
    return tuple(name for name in names if ranks or name not in RANKING)


def _account(
    spec: TaskSpec, examples: Sequence[Example], entrant: Entrant, draws: int
) -> dict[str, Any]:
    names = metrics_to_show(spec, ranks=entrant.ranks)
    figures = scalars(score(spec, examples, entrant.predictions))
    sure = intervals(spec, examples, entrant.predictions, metrics=names, draws=draws)
    metrics: dict[str, Any] = {n: {"value": figures[n]} for n in names if n in figures}
    return {
        "name": entrant.name,
        "metrics": metrics | {name: found.to_dict() for name, found in sure.items()},
        "confidence": confidence(entrant),
        "missing": sum(map(is_missing, entrant.predictions)),
        **entrant.facts,
    }


def confidence(entrant: Entrant) -> float | None:
    """Return the mean score of the answers (of the spans, for a token task), where there are any.

    It says how sure a classifier is and not how often it is right.
    """
    if not entrant.ranks:
        return None
    given = [p for p in entrant.predictions if not is_missing(p)]
    spans = [span.score for p in given for span in p.spans]
    scores = spans or [p.score for p in given if p.label is not None]
    return fmean(scores) if scores else None


def _difference(
    spec: TaskSpec, examples: Sequence[Example], first: Entrant, second: Entrant, *, draws: int
) -> tuple[Difference, float]:
    """Return the difference in the headline, or in a metric that both have, and McNemar's p."""
    names = metrics_to_show(spec, ranks=first.ranks and second.ranks)
    known = statistics(spec, examples, first.predictions)
    ones = np.ones(len(examples))
    # NaN: these rows cannot tell it, as a detector's ranking where there are no positive rows
    metric = next(name for name in names if name in known and not np.isnan(known[name](ones)))
    difference = paired_difference(
        spec, examples, first.predictions, second.predictions, metric=metric, draws=draws
    )
    p_value = mcnemar(
        right_answers(spec, examples, first.predictions, metric),
        right_answers(spec, examples, second.predictions, metric),
        group_numbers(examples),
    )
    return difference, p_value


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method, in the given order."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected


def _say(
    pair: Pair, difference: Difference, p_value: float, corrected: float, pairs: int
) -> dict[str, Any]:
    verdict = difference.verdict
    doubt = ""
    if verdict != "no difference" and pairs > 1 and corrected >= ALPHA:
        doubt = f"; the interval alone says {verdict}, which {pairs} comparisons can do by chance"
        verdict = "no difference"
    words = {
        "better": f"{pair.first} is better than {pair.second}",
        "worse": f"{pair.first} is worse than {pair.second}",
        "no difference": f"these rows show no difference between {pair.first} and {pair.second}",
    }
    return {
        "first": pair.first,
        "second": pair.second,
        **asdict(difference),
        "p_value": p_value,
        "corrected": corrected,
        "verdict": verdict,
        "words": words[verdict] + doubt,
    }


def over_seeds(accounts: Sequence[Mapping[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Return mean, standard deviation and range of a metric over the seeds of each variant.

    Args:
        accounts: `entrants` of a comparison; those with a `variant` count.
        metric: The figure. The deviation is that of a sample, over n - 1.
    """
    values: dict[str, list[float]] = {}
    for account in accounts:
        if "variant" in account and metric in account["metrics"]:
            values.setdefault(account["variant"], []).append(account["metrics"][metric]["value"])
    return [
        {
            "variant": variant,
            "seeds": len(found),
            "mean": fmean(found),
            "deviation": stdev(found) if len(found) > 1 else None,
            "low": min(found),
            "high": max(found),
        }
        for variant, found in values.items()
    ]
