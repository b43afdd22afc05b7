"""Temperature and thresholds of a packed bundle, from labelled rows and without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointsman.bundle.meta import BundleMeta
from pointsman.bundle.update import update_bundle
from pointsman.core.errors import DataError
from pointsman.core.types import Example
from pointsman.data.sampling import split_hash
from pointsman.evaluation.calibration import (
    can_calibrate,
    collect_scores,
    describe_calibration,
    few_to_calibrate,
    fit_temperature,
    lowers_loss,
)
from pointsman.evaluation.point import describe_point, measure_point
from pointsman.evaluation.rules import Rule, default_rule, parse_rule
from pointsman.evaluation.thresholds import choose_operating_point
from pointsman.export.golden import GOLDEN
from pointsman.runtime.predictor import Predictor, Progress, Reading
from pointsman.tasks.spec import TaskSpec

NO_TEMPERATURE = "rows of one label cannot tell a temperature: it stays as it was"
NO_GAIN = "no temperature makes the true labels likelier than 1 does: it is 1"


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
    meta, few, note = _with_temperature(_neutral(predictor.meta), examples, readings)
    answers = predictor.with_meta(meta).decide(readings)
    point = choose_operating_point(meta.task, rule, examples, answers)
    meta = meta.model_copy(
        update={"thresholds": dict(point.thresholds), "abstain_below": point.abstain_below}
    )
    record = describe_point(point)
    record["note"] = "; ".join(filter(None, (record["note"], few, note)))
    record["temperature_enough"] = not few
    decided = predictor.with_meta(meta).decide(readings)
    record |= {
        "chosen_on": {"data": data, "rows": len(examples), "sha256": split_hash(examples)},
        "validation": measure_point(meta.task, examples, decided),
    }
    return meta.model_copy(update={"operating_point": record})


def _with_temperature(
    meta: BundleMeta, examples: Sequence[Example], readings: Sequence[Reading]
) -> tuple[BundleMeta, str, str]:
    """Return the metadata with a fitted temperature, why the rows are too few, and a note."""
    if not can_calibrate(meta.task, examples):
        return meta, "", NO_TEMPERATURE
    few = few_to_calibrate(meta.task, examples)
    temperature = fit_temperature(meta, examples, readings)
    helps = lowers_loss(meta, temperature, examples, readings)
    chosen = meta.model_copy(update={"temperature": temperature if helps else 1.0})
    return chosen, few, "" if helps else NO_GAIN


def _neutral(meta: BundleMeta) -> BundleMeta:
    """Return the metadata without thresholds: they are about to be chosen from all answers."""
    return meta.model_copy(update={"thresholds": {}, "abstain_below": 0.0})


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
