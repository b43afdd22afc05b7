"""Operating points: a threshold with the reason for it, chosen on rows that training did not see.

A rule is written `fpr=0.01`, `precision=0.9`, `cost=20:1`, `risk=0.01@0.95` (a detector),
`accuracy=0.95`, `coverage=0.9` (one label of several: below it an answer is unsure), or `f1` and
`precision=0.9` (spans: one threshold a type).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, DataError
from pointsman.core.types import Example, Prediction
from pointsman.evaluation.intervals import Draws, group_weights, percentiles
from pointsman.tasks.spec import TaskSpec

CONFIDENCE = 0.95  # of a risk bound, where the rule names none
FEW_FALSE = 5  # below so many allowed false positives their rate is a guess
FEW_SPANS = 30  # below so many true spans of a type its threshold stays 0
DRAWS = 1000

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_RULE = re.compile(r"(?P<kind>[a-z0-9]+)(?:=(?P<value>[^:@]+)(?:[:@](?P<more>.+))?)?")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a threshold has to reach.

    Attributes:
        kind: `fpr`, `precision`, `cost`, `risk`, `accuracy`, `coverage` or `f1`.
        value: The target; of `cost`, what a missed positive costs.
        more: Of `cost`, what a false alarm costs; of `risk`, the confidence.
    """

    kind: str
    value: float = 0.0
    more: float = 1.0

    def __str__(self) -> str:
        """Return the form that `parse_rule` reads."""
        tail = {"cost": f":{self.more:g}", "risk": f"@{self.more:g}"}.get(self.kind, "")
        return self.kind if self.kind == "f1" else f"{self.kind}={self.value:g}{tail}"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A rule and what it chose.

    Attributes:
        rule: The rule.
        thresholds: Label -> least probability; of a task that abstains, none.
        abstain_below: Score below which an answer is unsure.
        enough: Whether the rows were enough to say.
        notes: What a person should know: too few rows, a target out of reach.
    """

    rule: Rule
    thresholds: Mapping[str, float] = field(default_factory=dict)
    abstain_below: float = 0.0
    enough: bool = True
    notes: tuple[str, ...] = ()


def rules_of(spec: TaskSpec) -> tuple[str, ...]:
    """Return the kinds of rules that fit a task, the default first."""
    if spec.level == "token":
        return ("f1", "precision")
    return ("fpr", "precision", "cost", "risk") if spec.positive else ("accuracy", "coverage")


def default_rule(spec: TaskSpec) -> Rule:
    """Return the rule of a task where none is given."""
    if spec.level == "token":
        return Rule("f1")
    return Rule("fpr", 0.01) if spec.positive else Rule("accuracy", 0.95)


def parse_rule(text: str, spec: TaskSpec) -> Rule:
    """Read a rule.

    Raises:
        ConfigError: If it is no rule, does not fit the task, or its numbers make no sense.
    """
    found = _RULE.fullmatch(text.strip())
    kind = found["kind"] if found else text
    if found is None or kind not in rules_of(spec):
        raise ConfigError(
            f"a rule for {spec.name}: {', '.join(rules_of(spec))}",
            got=text,
            fix=f"{suggest(kind, rules_of(spec))}; as in {default_rule(spec)}",
        )
    if kind == "f1":
        return Rule("f1")
    try:
        value = float(found["value"] or "nan")
        more = float(found["more"]) if found["more"] else _default_more(kind)
    except ValueError:
        value = more = float("nan")
    if not _makes_sense(kind, value, more):
        raise ConfigError(
            f"numbers that make sense for {kind}", got=text, fix=f"as in {_EXAMPLES[kind]}"
        )
    return Rule(kind, value, more)


_EXAMPLES = {
    "fpr": "fpr=0.01", "precision": "precision=0.9", "cost": "cost=20:1",
    "risk": "risk=0.01@0.95", "accuracy": "accuracy=0.95", "coverage": "coverage=0.9",
}  # fmt: skip


def _default_more(kind: str) -> float:
    return CONFIDENCE if kind == "risk" else 1.0


def _makes_sense(kind: str, value: float, more: float) -> bool:
    if kind == "cost":
        return bool(0 < value < np.inf and 0 < more < np.inf)
    return bool(0 < value < 1 and (kind != "risk" or 0 < more < 1))


def choose_operating_point(
    spec: TaskSpec, rule: Rule, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> OperatingPoint:
    """Return the thresholds that a rule asks for.

    Args:
        spec: The task.
        rule: What to reach.
        examples: Labelled rows that training did not see.
        predictions: Their answers at the bundle's temperature; of a token task with no threshold.

    Raises:
        DataError: If the rows lack a label that the rule needs.
    """
    if spec.level == "token":
        return _by_type(spec, rule, examples, predictions)
    if spec.positive is None:
        return _abstain(rule, examples, predictions)
    truth = np.asarray([e.label == spec.positive for e in examples])
    scores = np.asarray([p.probabilities[spec.positive] for p in predictions])
    _need_rows(spec, rule, truth)
    threshold, enough, notes = _DETECTOR_RULES[rule.kind](scores, truth, rule)
    return OperatingPoint(rule, {spec.positive: threshold}, enough=enough, notes=notes)


def _need_rows(spec: TaskSpec, rule: Rule, truth: Mask) -> None:
    needed = {"fpr": (False,), "risk": (False,)}.get(rule.kind, (True, False))
    for side in needed:
        if not (truth == side).any():
            label = spec.positive if side else spec.negative
            raise DataError(
                f"rows labelled {label!r}, to choose a threshold by {rule}",
                got=f"{len(truth)} rows without one",
                fix="give rows of both labels, or use fpr or risk, which need benign ones only",
            )


Choice = tuple[float, bool, tuple[str, ...]]


def threshold_at_fpr(scores: Floats, truth: Mask, rate: float) -> float:
    """Return the lowest threshold whose false-positive rate is at most `rate`.

    Args:
        scores: Probability of the positive label `(rows,)`.
        truth: Whether each row is positive `(rows,)`.
        rate: Largest share of negative rows at or above the threshold.
    """
    return _above_order_statistic(scores, truth, int(rate * (~truth).sum() + 1e-9))


def _above_order_statistic(scores: Floats, truth: Mask, allowed: int) -> float:
    """Return the threshold that leaves at most `allowed` negative rows at or above it.

    It lies midway between the highest score that must not count and the next one above, so that
    it does not hang on the last digit of either.
    """
    negatives = np.sort(scores[~truth])[::-1]
    if allowed >= len(negatives):
        return 0.0
    barred = negatives[allowed]
    above = scores[scores > barred]
    top = float(above.min()) if len(above) else 1.0
    middle = (float(barred) + top) / 2
    return middle if middle > barred else float(np.nextafter(barred, 2))


def _at_fpr(scores: Floats, truth: Mask, rule: Rule) -> Choice:
    negatives = int((~truth).sum())
    allowed = rule.value * negatives
    notes: tuple[str, ...] = ()
    if allowed < FEW_FALSE:
        notes = (
            f"{negatives} benign rows: a rate of {rule.value:g} is {allowed:.1f} of them, too few "
            "to say",
        )
    return threshold_at_fpr(scores, truth, rule.value), allowed >= FEW_FALSE, notes


def _at_risk(scores: Floats, truth: Mask, rule: Rule) -> Choice:
    """Bound the false-positive rate on new rows with confidence (conformal risk control).

    With `n` exchangeable benign rows and the threshold above all but the `k` highest of them, the
    rate of a new row is at most Beta(k + 1, n - k) distributed (Vovk, 2012, arXiv:1209.2673):
    the largest `k` whose quantile stays under the bound is taken.
    """
    from scipy.stats import beta

    negatives = int((~truth).sum())
    allowed = -1
    while allowed + 1 < negatives and (
        beta.ppf(rule.more, allowed + 2, negatives - allowed - 1) <= rule.value
    ):
        allowed += 1
    if allowed >= 0:
        return _above_order_statistic(scores, truth, allowed), True, ()
    needed = int(np.ceil(np.log(1 - rule.more) / np.log(1 - rule.value)))
    note = f"{negatives} benign rows: the bound needs {needed}; the threshold is above all of them"
    return _above_order_statistic(scores, truth, 0), False, (note,)


def _at_precision(scores: Floats, truth: Mask, rule: Rule) -> Choice:
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    precision = (np.cumsum(truth[order]) / np.arange(1, len(scores) + 1))[ends]
    fitting = np.flatnonzero(precision >= rule.value)
    if len(fitting):
        return _below(scores, scores[order][ends[fitting[-1]]]), True, ()
    best = int(precision.argmax())
    note = f"no threshold reaches a precision of {rule.value:g}; the best is {precision[best]:.3f}"
    return _below(scores, scores[order][ends[best]]), False, (note,)


def _at_cost(scores: Floats, truth: Mask, rule: Rule) -> Choice:
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    caught = np.append(0, np.cumsum(truth[order])[ends])
    alarms = np.append(0, np.cumsum(~truth[order])[ends])
    cost = rule.value * (truth.sum() - caught) + rule.more * alarms
    best = int(cost.argmin())
    nothing = float(np.nextafter(1.0, 2))  # above a score of 1, which a sure model may give
    lowest = _below(scores, scores[order][ends[best - 1]]) if best else nothing
    note = f"mean cost {cost[best] / len(truth):.4f} a row at the shares of these rows"
    return lowest, True, (note,)


def _below(scores: Floats, lowest: float) -> float:
    """Return the midpoint between the lowest score that counts and the next one below."""
    below = scores[scores < lowest]
    bottom = float(below.max()) if len(below) else 0.0
    middle = (float(lowest) + bottom) / 2
    return middle if bottom < middle else float(lowest)


_DETECTOR_RULES: dict[str, Callable[[Floats, Mask, Rule], Choice]] = {
    "fpr": _at_fpr, "risk": _at_risk, "precision": _at_precision, "cost": _at_cost,
}  # fmt: skip


def _abstain(
    rule: Rule, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> OperatingPoint:
    scores = np.asarray([p.score for p in predictions])
    right = np.asarray([p.label == e.label for p, e in zip(predictions, examples, strict=True)])
    if rule.kind == "coverage":
        threshold = float(np.quantile(scores, 1 - rule.value))
        return OperatingPoint(rule, abstain_below=threshold)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    accuracy = (np.cumsum(right[order]) / np.arange(1, len(scores) + 1))[ends]
    fitting = np.flatnonzero(accuracy >= rule.value)
    if not len(fitting):
        note = f"no threshold reaches an accuracy of {rule.value:g}: nothing is marked unsure"
        return OperatingPoint(rule, enough=False, notes=(note,))
    if fitting[-1] == len(ends) - 1:
        return OperatingPoint(rule, notes=("every answer together reaches it: none is unsure",))
    return OperatingPoint(rule, abstain_below=_below(scores, scores[order][ends[fitting[-1]]]))


def _by_type(
    spec: TaskSpec, rule: Rule, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> OperatingPoint:
    _, weights = group_weights(examples, DRAWS, 0)
    thresholds: dict[str, float] = {}
    few: list[str] = []
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
        if chosen is None:
            missed.append(label)
        elif chosen > 0:
            thresholds[label] = chosen
    notes = []
    if few:
        notes.append(f"fewer than {FEW_SPANS} spans, no threshold: {', '.join(few)}")
    if missed:
        notes.append(f"no threshold reaches a precision of {rule.value:g}: {', '.join(missed)}")
    return OperatingPoint(rule, thresholds, enough=not missed, notes=tuple(notes))


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
    order = np.argsort(-spans.scores, kind="stable")
    ends = np.flatnonzero(np.diff(spans.scores[order], append=-np.inf))
    guessed = np.arange(1, len(order) + 1)
    f1 = (2 * np.cumsum(spans.right[order]) / (spans.true.sum() + guessed))[ends]
    best = int(f1.argmax())
    if best == len(f1) - 1:
        return 0.0
    threshold = _below(spans.scores, spans.scores[order][ends[best]])
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
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    precision = (np.cumsum(right[order]) / np.arange(1, len(scores) + 1))[ends]
    fitting = np.flatnonzero(precision >= target)
    return _below(scores, scores[order][ends[fitting[-1]]]) if len(fitting) else None


def describe_point(point: OperatingPoint) -> dict[str, Any]:
    """Return the JSON form of an operating point."""
    return {
        "rule": str(point.rule),
        "target": point.rule.value,
        "threshold": dict(point.thresholds),
        "abstain_below": point.abstain_below,
        "enough": point.enough,
        "note": "; ".join(point.notes),
    }
