"""Evaluate a packed bundle through the predictor that users call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pointsman.bundle.meta import BundleMeta
from pointsman.bundle.update import update_bundle
from pointsman.core.errors import DataError
from pointsman.core.files import read_json
from pointsman.core.types import Example, Prediction
from pointsman.data.audit import AuditedData, summarise
from pointsman.data.prepared import AUDIT, PreparedData
from pointsman.evaluation.account import Account
from pointsman.evaluation.against import against_baselines
from pointsman.evaluation.baselines import baselines_for
from pointsman.evaluation.curves import describe_curves
from pointsman.evaluation.intervals import as_dicts, intervals
from pointsman.evaluation.mistakes import error_account, span_mistakes, text_mistakes
from pointsman.evaluation.perturbed import EvaluateOptions, perturbed_figures, sample_rows
from pointsman.evaluation.point import measure_point
from pointsman.evaluation.postprocessing import postprocessing_effect
from pointsman.evaluation.score import score
from pointsman.evaluation.slices import kept_out_figures, slice_figures
from pointsman.pipeline.audit import audit_data
from pointsman.pipeline.calibrate import calibration_figures
from pointsman.pipeline.pages import TEST_SPLIT, history_of, read_history, write_evaluated
from pointsman.pipeline.progress import progress_bar
from pointsman.runtime.predictor import Predictor, Progress, Reading
from pointsman.tasks.spec import TaskSpec


@dataclass(slots=True)
class Evaluation:
    """Figures of a bundle on some data."""

    figures: dict[str, Any]
    mistakes: list[dict[str, Any]] = field(default_factory=list)
    revealed: bool = False
    predictions: list[Prediction] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)


def evaluate(
    predictor: Predictor,
    examples: Sequence[Example],
    *,
    slices: Mapping[str, Sequence[Example]] | None = None,
    perturbations: EvaluateOptions | None = None,
    reveal: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a predictor's answers, on all rows, on parts of them, and written differently.

    Args:
        predictor: The loaded bundle.
        examples: Labelled rows.
        slices: Rows kept out of training, by name; each gets its own line.
        perturbations: Which perturbations of how many rows; none when not given.
        reveal: Show personal data in the mistakes.
        progress: Called with the number of texts that are done; `texts_to_answer` are all.

    Raises:
        DataError: If there are no examples.
    """
    if not examples:
        raise DataError("rows to evaluate on", got="none")
    spec = predictor.task
    readings = predictor.read([example.text for example in examples], progress=progress)
    predictions = predictor.decide(readings)
    figures = score(spec, examples, predictions)
    figures |= _certainty(predictor.meta, examples, readings, predictions)
    answer = partial(predictor.predict, progress=progress)
    parts = slice_figures(spec, examples, predictions, [r.tokens for r in readings])
    parts |= kept_out_figures(spec, slices or {}, answer)
    if parts:
        figures["slices"] = parts
    if perturbations is not None and perturbations.names(spec):
        figures["perturbations"] = _perturbed(
            predictor, examples, predictions, answer=answer, options=perturbations
        )
    effect = postprocessing_effect(spec, examples, predictions)
    if effect is not None:
        figures["postprocess"] = effect
    figures["errors"] = error_account(spec, examples, predictions, reveal=reveal)
    mistakes = _mistakes(spec, examples, predictions, reveal=reveal)
    return Evaluation(figures, mistakes, reveal, predictions)


def _certainty(
    meta: BundleMeta,
    examples: Sequence[Example],
    readings: Sequence[Reading],
    predictions: Sequence[Prediction],
) -> dict[str, Any]:
    """Return intervals, calibration, what the operating point gives, and its curves."""
    spec = meta.task
    return {
        "intervals": as_dicts(intervals(spec, examples, predictions)),
        "calibration": calibration_figures(meta, examples, readings),
        "operating_point": {
            **meta.operating_point,
            "test": measure_point(spec, examples, predictions),
        },
        "curves": describe_curves(spec, examples, predictions),
    }


def _mistakes(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction], *, reveal: bool
) -> list[dict[str, Any]]:
    if spec.level == "token":
        return span_mistakes(examples, predictions, reveal=reveal)
    return text_mistakes(spec, examples, predictions, reveal=reveal)


def _perturbed(
    predictor: Predictor,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    answer: Callable[[list[str]], list[Prediction]],
    options: EvaluateOptions,
) -> dict[str, dict[str, Any]]:
    """Return the figures of perturbed rows, and which perturbations the model was trained with."""
    spec = predictor.task
    learned = predictor.meta.recipe.get("train", {}).get("augment", {})
    found = perturbed_figures(spec, examples, predictions, answer=answer, options=options)
    return {name: {**figures, "trained_with": name in learned} for name, figures in found.items()}


def texts_to_answer(
    spec: TaskSpec,
    examples: Sequence[Example],
    slices: Mapping[str, Sequence[Example]],
    perturbations: EvaluateOptions | None,
) -> int:
    """Return how many texts an evaluation answers: rows, kept-out slices, perturbed copies."""
    total = len(examples) + sum(map(len, slices.values()))
    if perturbations is None:
        return total
    rows = len(sample_rows(spec, examples, perturbations))
    return total + rows * len(perturbations.names(spec))


def evaluate_bundle(
    predictor: Predictor,
    path: Path,
    data: PreparedData,
    *,
    perturbations: EvaluateOptions | None = None,
    out: Path,
) -> dict[str, Any]:
    """Evaluate a bundle on its test split and let the bundle and its card say so.

    Args:
        predictor: The loaded bundle.
        path: The bundle.
        data: What it was trained on; baselines learn from the same training rows.
        perturbations: Which perturbations of how many rows; none when not given.
        out: Directory for the figures and the reports, where the training log lies.
    """
    spec, slices = predictor.task, data.slices
    total = texts_to_answer(spec, data.test, slices, perturbations)
    with progress_bar("  evaluating", total) as progress:
        result = evaluate(
            predictor, data.test, slices=slices, perturbations=perturbations, progress=progress
        )
    add_baselines(result, spec, data.test, data.train)
    if "audit" in predictor.meta.provenance:
        result.figures["audit"] = predictor.meta.provenance["audit"]
    if (out / AUDIT).is_file():
        result.findings = read_json(out / AUDIT)["findings"]
    write_evaluation(predictor, result, out, TEST_SPLIT)
    update_bundle(path, predictor.meta.model_copy(update={"metrics": result.figures}))
    return result.figures


def add_baselines(
    result: Evaluation,
    spec: TaskSpec,
    examples: Sequence[Example],
    train: Sequence[Example] | None,
) -> None:
    """Add to an evaluation what its baselines reach on the same rows, or why they were not run.

    Args:
        result: The evaluation.
        spec: The task.
        examples: The rows that were evaluated.
        train: Rows that the baselines learn from; None where there are none at hand.
    """
    baselines = baselines_for(spec, train)
    with progress_bar("  baselines", len(baselines)) as progress:
        result.figures["baselines"] = against_baselines(
            spec,
            train or (),
            examples,
            result.predictions,
            baselines=baselines,
            progress=progress,
        )


def add_audit(result: Evaluation, data: AuditedData, *, about: str) -> None:
    """Add to an evaluation the audit of the data that it was made on.

    Args:
        result: The evaluation; its examples are masked unless it reveals.
        data: The data, all of it.
        about: What it is and what it cannot tell, in a sentence.
    """
    found = audit_data(data, reveal=result.revealed)
    result.figures["audit"] = {"data": about, **summarise(found)}
    result.findings = found["findings"]


def write_evaluation(
    predictor: Predictor, result: Evaluation, out: Path, data: str, *, beside: Path | None = None
) -> None:
    """Write the figures and the reports of an evaluation.

    Args:
        predictor: The bundle that was evaluated.
        result: What was found.
        out: Directory for `metrics.json`, `report.json`, `report.md` and `report.html`.
        data: What it was evaluated on, in words.
        beside: Directory of the bundle, where its training log lies.
    """
    history = history_of(predictor.task.name, read_history(beside or out))
    account = Account(
        predictor.meta,
        result.figures,
        data,
        result.mistakes,
        history,
        result.revealed,
        result.findings,
    )
    write_evaluated(out, account)
