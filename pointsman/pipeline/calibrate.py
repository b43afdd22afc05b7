"""Temperature and thresholds of a packed bundle, from labelled rows and without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointsman.bundle.meta import BundleMeta
from pointsman.bundle.update import update_bundle
from pointsman.core.errors import DataError
from pointsman.core.types import Example, Prediction
from pointsman.data.sampling import split_hash
from pointsman.evaluation.calibration import (
    can_calibrate,
    collect_scores,
    describe_calibration,
    fit_temperature,
)
from pointsman.evaluation.intervals import as_dicts, intervals
from pointsman.evaluation.thresholds import (
    Rule,
    choose_operating_point,
    default_rule,
    describe_point,
    parse_rule,
)
from pointsman.export.golden import GOLDEN
from pointsman.runtime.predictor import Predictor, Progress, Reading
from pointsman.tasks.spec import TaskSpec

NO_TEMPERATURE = "rows of one label cannot tell a temperature: it stays as it was"


def rule_for(spec: TaskSpec, at: str | None) -> Rule:
    """Return the rule that was asked for, or the task's own.

    Raises:
        ConfigError: If it does not fit the task.
    """
    return default_rule(spec) if at is None else parse_rule(at, spec)


def calibrate(
    predictor: Predictor,
    examples: Sequence[Example],
    rule: Rule,
    *,
    data: str,
    progress: Progress | None = None,
) -> BundleMeta:
    """Return the bundle's metadata with a temperature and thresholds from the given rows.

    Args:
        predictor: The loaded bundle.
        examples: Labelled rows that training did not see: validation, or a user's own traffic.
        rule: What the thresholds have to reach.
        data: What the rows are, in words, for the record.
        progress: Called with the number of texts that are done.

    Raises:
        DataError: If there are no rows, or they lack a label that the rule needs.
    """
    if not examples:
        raise DataError("rows to calibrate on", got="none")
    readings = predictor.read([e.text for e in examples], progress=progress)
    meta = _neutral(predictor.meta)
    notes = []
    if can_calibrate(meta.task, examples):
        temperature = fit_temperature(meta, examples, readings)
        meta = meta.model_copy(update={"temperature": temperature})
    else:
        notes.append(NO_TEMPERATURE)
    answers = predictor.with_meta(meta).decide(readings)
    point = choose_operating_point(meta.task, rule, examples, answers)
    meta = meta.model_copy(
        update={"thresholds": dict(point.thresholds), "abstain_below": point.abstain_below}
    )
    record = describe_point(point)
    record["note"] = "; ".join([*filter(None, [record["note"]]), *notes])
    decided = predictor.with_meta(meta).decide(readings)
    record |= {
        "chosen_on": {"data": data, "rows": len(examples), "sha256": split_hash(examples)},
        "validation": measure_point(meta.task, examples, decided),
    }
    return meta.model_copy(update={"operating_point": record})


def _neutral(meta: BundleMeta) -> BundleMeta:
    """Return the metadata without thresholds: they are about to be chosen from all answers."""
    return meta.model_copy(update={"thresholds": {}, "abstain_below": 0.0})


def measure_point(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    """Return what an operating point gives on some rows, each figure with its interval.

    Returns:
        Of a detector `false_positive_rate`, `recall` and `flagged`; of a task that abstains
        `coverage` and the `accuracy` of what is answered; of a token task precision, recall and
        F1 of its spans. A figure that the rows cannot tell is left out.
    """
    if spec.level == "token":
        spans = ("span_precision", "span_recall", "span_f1")
        return as_dicts(intervals(spec, examples, predictions, metrics=spans))
    if spec.positive is None:
        return _answered(spec, examples, predictions)
    errors = ("false_positive_rate", "false_negative_rate")
    found = intervals(spec, examples, predictions, metrics=errors)
    rates = {"false_positive_rate": found.get("false_positive_rate")}
    missed = found.get("false_negative_rate")
    if missed is not None:
        rates["recall"] = missed.complement()
    return {name: rate.to_dict() for name, rate in rates.items() if rate is not None}


def _answered(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    sure = [i for i, p in enumerate(predictions) if not p.unsure]
    rates: dict[str, Any] = {"coverage": {"value": len(sure) / len(predictions)}}
    if sure:
        found = intervals(
            spec, [examples[i] for i in sure], [predictions[i] for i in sure], metrics=["accuracy"]
        )
        rates["accuracy"] = found["accuracy"].to_dict()
    return rates


def calibration_figures(
    meta: BundleMeta, examples: Sequence[Example], readings: Sequence[Reading]
) -> dict[str, Any]:
    """Return calibration before (at temperature 1) and after, on rows that chose nothing."""
    cold = meta.model_copy(update={"temperature": 1.0})
    return {
        "temperature": meta.temperature,
        "before": describe_calibration(collect_scores(cold, examples, readings), examples),
        "after": describe_calibration(collect_scores(meta, examples, readings), examples),
    }


def write_calibrated(path: Path, meta: BundleMeta) -> None:
    """Write a bundle's new temperature and thresholds, and let its card say so.

    Its golden answers are those of the old ones and are disowned; `add_golden` writes new ones.
    """
    update_bundle(path, meta, disown=GOLDEN)
