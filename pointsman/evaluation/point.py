"""An operating point in figures: what was chosen, and what it gives on some rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.intervals import as_dicts, intervals, share_interval, type_intervals
from pointsman.evaluation.rules import OperatingPoint
from pointsman.tasks.spec import TaskSpec

BY_TYPE = "per_type"


def describe_point(point: OperatingPoint) -> dict[str, Any]:
    """Return the JSON form of an operating point."""
    return {
        "rule": str(point.rule),
        "target": point.rule.value,
        "threshold": dict(point.thresholds),
        "abstain_below": point.abstain_below,
        "enough": point.enough,
        "reached": point.reached,
        "note": "; ".join(point.notes),
    }


def threshold_in_use(spec: TaskSpec, point: Mapping[str, Any]) -> float | None:
    """Return the one threshold of a described point; None of spans, and where none was chosen.

    Args:
        spec: The task.
        point: What `describe_point` gave, or nothing.
    """
    if spec.level == "token" or not point.get("rule"):
        return None
    if spec.positive is None:
        return float(point.get("abstain_below", 0.0))
    found = point.get("threshold", {}).get(spec.positive)
    return None if found is None else float(found)


def measure_point(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    """Return what an operating point gives on some rows, each figure with its interval.

    Args:
        spec: The task.
        examples: One labelled row at least.
        predictions: Answers at the point, in the same order.

    Returns:
        Of a detector `false_positive_rate`, `recall` and `precision`; of a task that abstains
        `coverage` and the `accuracy` of what is answered; of a token task precision, recall and
        F1 of its spans, and `per_type` (see `type_intervals`). A figure that the rows cannot tell
        is left out.
    """
    if spec.level == "token":
        spans = ("span_precision", "span_recall", "span_f1")
        found: dict[str, Any] = as_dicts(intervals(spec, examples, predictions, metrics=spans))
        types = type_intervals(spec, examples, predictions)
        return found | {BY_TYPE: {label: as_dicts(row) for label, row in types.items()}}
    if spec.positive is None:
        return _answered(spec, examples, predictions)
    names = ("false_positive_rate", "false_negative_rate", "precision")
    rates = intervals(spec, examples, predictions, metrics=names)
    if "false_negative_rate" in rates:
        rates["recall"] = rates.pop("false_negative_rate").complement()
    order = ("false_positive_rate", "recall", "precision")
    return {name: rates[name].to_dict() for name in order if name in rates}


def _answered(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    sure = [not p.unsure for p in predictions]
    rates: dict[str, Any] = {"coverage": share_interval(examples, sure).to_dict()}
    if any(sure):
        kept = [i for i, held in enumerate(sure) if held]
        found = intervals(
            spec, [examples[i] for i in kept], [predictions[i] for i in kept], metrics=["accuracy"]
        )
        rates["accuracy"] = found["accuracy"].to_dict()
    return rates


def rates_of(measured: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the figures of `measure_point` that are of all rows, without those by type."""
    return {name: rate for name, rate in measured.items() if name != BY_TYPE}
