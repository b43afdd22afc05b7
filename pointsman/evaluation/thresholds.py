"""Operating points: thresholds with a reason, chosen on rows that training did not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pointsman.core.errors import DataError
from pointsman.core.types import Example, Prediction
from pointsman.evaluation.cuts import (
    Floats,
    Mask,
    above_order_statistic,
    allows_few,
    lowest_kept,
    ranked,
    threshold_at_fpr,
)
from pointsman.evaluation.intervals import FEW_GROUPS, group_numbers
from pointsman.evaluation.rules import OperatingPoint, Rule
from pointsman.evaluation.type_thresholds import choose_by_type
from pointsman.tasks.spec import TaskSpec

FEW_ROWS = 30  # below so many rows of a label what it costs is a guess


class Choice(NamedTuple):
    """What a rule chose: a threshold, why the rows are too few, and what else there is to know."""

    threshold: float
    few: str = ""
    note: str = ""
    reached: bool = True


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
        return choose_by_type(spec, rule, examples, predictions)
    if spec.positive is None:
        choice = _abstain(rule, examples, predictions)
        few = choice.few or _few_groups(examples, "rows")
        return _point(rule, choice, few, abstain_below=choice.threshold)
    truth = np.asarray([e.label == spec.positive for e in examples])
    scores = np.asarray([p.probabilities[spec.positive] for p in predictions])
    sides = _needed(rule)
    _need_rows(spec, rule, truth, sides)
    choice = _DETECTOR_RULES[rule.kind](scores, truth, rule)
    few = choice.few
    for side in sides:
        label = spec.positive if side else spec.negative
        own = [e for e, positive in zip(examples, truth, strict=True) if positive == side]
        few = few or _few_groups(own, f"rows of {label}")
    return _point(rule, choice, few, thresholds={spec.positive: choice.threshold})


def _point(
    rule: Rule,
    choice: Choice,
    few: str,
    *,
    thresholds: dict[str, float] | None = None,
    abstain_below: float = 0.0,
) -> OperatingPoint:
    notes = tuple(filter(None, (few, choice.note)))
    return OperatingPoint(
        rule, thresholds or {}, abstain_below, not few, reached=choice.reached, notes=notes
    )


def _needed(rule: Rule) -> tuple[bool, ...]:
    """Return the labels, positive or not, without rows of which a rule cannot choose."""
    return (False,) if rule.kind in ("fpr", "risk") else (True, False)


def _need_rows(spec: TaskSpec, rule: Rule, truth: Mask, sides: tuple[bool, ...]) -> None:
    for side in sides:
        if not (truth == side).any():
            label = spec.positive if side else spec.negative
            raise DataError(
                f"rows labelled {label!r}, to choose a threshold by {rule}",
                got=f"{len(truth)} rows without one",
                fix="give rows of both labels, or use fpr or risk, which need benign ones only",
            )


def _few_groups(examples: Sequence[Example], what: str) -> str:
    """Say that rows are too few to choose by, whatever the rule; nothing where they are enough."""
    groups = len(set(group_numbers(examples)))
    return f"{groups} independent groups of {what}: too few to say" if groups < FEW_GROUPS else ""


def _few_mistakes(rows: int, what: str, share: float, mistakes: str) -> str:
    """Say that a share of rows allows too few mistakes for their rate to be known."""
    if not allows_few(rows, share):
        return ""
    return f"{rows} {what}: {mistakes} is {share * rows:.3g} of them, too few to say"


def _at_fpr(scores: Floats, truth: Mask, rule: Rule) -> Choice:
    negatives = int((~truth).sum())
    few = _few_mistakes(negatives, "benign rows", rule.value, f"a rate of {rule.value:g}")
    return Choice(threshold_at_fpr(scores, truth, rule.value), few)


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
        return Choice(above_order_statistic(scores, truth, allowed))
    needed = int(np.ceil(np.log(1 - rule.more) / np.log(1 - rule.value)))
    few = f"{negatives} benign rows: the bound needs {needed}; the threshold is above all of them"
    return Choice(above_order_statistic(scores, truth, 0), few)


def _at_precision(scores: Floats, truth: Mask, rule: Rule) -> Choice:
    order, ends = ranked(scores)
    flagged = ends + 1
    precision = np.cumsum(truth[order])[ends] / flagged
    fitting = np.flatnonzero(precision >= rule.value)
    place = int(fitting[-1] if len(fitting) else precision.argmax())
    threshold = lowest_kept(scores, scores[order][ends[place]])
    wrong = f"at a precision of {rule.value:g} what is wrong"
    few = _few_mistakes(int(flagged[place]), "rows at or above it", 1 - rule.value, wrong)
    if len(fitting):
        return Choice(threshold, few)
    note = f"no threshold reaches a precision of {rule.value:g}; the best is {precision[place]:.3f}"
    return Choice(threshold, few, note, reached=False)


def _at_recall(scores: Floats, truth: Mask, rule: Rule) -> Choice:
    """Take the highest precision among the thresholds that keep the recall; of ties the lowest."""
    order, ends = ranked(scores)
    caught = np.cumsum(truth[order])[ends]
    positives = int(truth.sum())
    precision = caught / (ends + 1)
    fitting = np.flatnonzero(caught >= rule.value * positives - 1e-9)
    best = precision[fitting].max()
    place = int(fitting[precision[fitting] >= best - 1e-12][-1])
    missed = f"at a recall of {rule.value:g} what is missed"
    few = _few_mistakes(positives, "positive rows", 1 - rule.value, missed)
    note = f"precision {best:.3f} at the shares of these rows"
    return Choice(lowest_kept(scores, scores[order][ends[place]]), few, note)


def _at_cost(scores: Floats, truth: Mask, rule: Rule) -> Choice:
    order, ends = ranked(scores)
    caught = np.append(0, np.cumsum(truth[order])[ends])
    alarms = np.append(0, np.cumsum(~truth[order])[ends])
    cost = rule.value * (truth.sum() - caught) + rule.more * alarms
    best = int(cost.argmin())
    nothing = float(np.nextafter(1.0, 2))  # above a score of 1, which a sure model may give
    lowest = lowest_kept(scores, scores[order][ends[best - 1]]) if best else nothing
    rows = {"positive": int(truth.sum()), "benign": int((~truth).sum())}
    label = min(rows, key=lambda name: rows[name])
    few = f"{rows[label]} {label} rows: too few to weigh costs" if rows[label] < FEW_ROWS else ""
    note = f"mean cost {cost[best] / len(truth):.4f} a row at the shares of these rows"
    return Choice(lowest, few, note)


_DETECTOR_RULES: dict[str, Callable[[Floats, Mask, Rule], Choice]] = {
    "fpr": _at_fpr, "risk": _at_risk, "precision": _at_precision, "recall": _at_recall,
    "cost": _at_cost,
}  # fmt: skip


def _abstain(rule: Rule, examples: Sequence[Example], predictions: Sequence[Prediction]) -> Choice:
    scores = np.asarray([p.score for p in predictions])
    if rule.kind == "coverage":
        unsure = f"at a coverage of {rule.value:g} what is unsure"
        few = _few_mistakes(len(scores), "rows", 1 - rule.value, unsure)
        return Choice(float(np.quantile(scores, 1 - rule.value)), few)
    right = np.asarray([p.label == e.label for p, e in zip(predictions, examples, strict=True)])
    order, ends = ranked(scores)
    answered = ends + 1
    accuracy = np.cumsum(right[order])[ends] / answered
    fitting = np.flatnonzero(accuracy >= rule.value)
    kept = int(answered[fitting[-1]]) if len(fitting) else len(scores)
    wrong = f"at an accuracy of {rule.value:g} what is wrong"
    few = _few_mistakes(kept, "answers", 1 - rule.value, wrong)
    if not len(fitting):
        note = f"no threshold reaches an accuracy of {rule.value:g}: nothing is marked unsure"
        return Choice(0.0, few, note, reached=False)
    if kept == len(scores):
        return Choice(0.0, few, "every answer together reaches it: none is unsure")
    return Choice(lowest_kept(scores, scores[order][ends[fitting[-1]]]), few)
