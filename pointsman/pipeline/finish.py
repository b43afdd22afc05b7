"""What a finished run needs after training: temperature, thresholds, figures, reports."""

from __future__ import annotations

from pathlib import Path

from pointsman.bundle.doubts import doubts
from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import DataError
from pointsman.data.prepared import PreparedData, missing_splits
from pointsman.evaluation.rules import Rule
from pointsman.evaluation.wording import calibration_note
from pointsman.export.golden import ensure_golden
from pointsman.pipeline.calibrate import calibrate, rule_for, write_calibrated
from pointsman.pipeline.evaluate import evaluate_bundle
from pointsman.pipeline.progress import progress_bar
from pointsman.pipeline.steps import Say, TrainRequest, train_and_pack
from pointsman.runtime.predictor import Predictor, load_head


def train_and_evaluate(request: TrainRequest, say: Say) -> Path:
    """Train, pack, and evaluate on the test split; a finished training is not done again.

    Raises:
        DataError: If a split is empty.
    """
    data = request.data
    check_splits(data)
    rule = rule_for(data.spec, request.terms.at)  # before hours of training, not after
    bundle = train_and_pack(request, say)
    finish(load_head(bundle), bundle, request, rule, say)
    ensure_golden(bundle)
    return bundle


def check_splits(data: PreparedData) -> None:
    """Refuse data that has no rows to train on, to choose by, or to measure on.

    Raises:
        DataError: With the splits that are empty.
    """
    empty = missing_splits({"train": data.train, "validation": data.validation, "test": data.test})
    if empty:
        raise DataError(
            f"rows of {data.spec.name} in every split",
            got=f"none in {' and '.join(empty)}",
            fix="give each a share with `fractions`, or a file with `files`",
        )


def finish(predictor: Predictor, bundle: Path, request: TrainRequest, rule: Rule, say: Say) -> None:
    """Calibrate a trained head and evaluate it on the test split."""
    predictor = _calibrate_once(predictor, bundle, request, rule, say)
    say(f"{request.data.spec.name}: evaluating on {len(request.data.test):,} test rows")
    figures = evaluate_bundle(
        predictor,
        bundle,
        request.data,
        perturbations=request.terms.evaluation,
        out=request.directory,
    )
    if (worse := calibration_note(figures["calibration"])) is not None:
        say(f"  {request.data.spec.name}: {worse.text[0].lower()}{worse.text[1:]}")


def _calibrate_once(
    predictor: Predictor, bundle: Path, request: TrainRequest, rule: Rule, say: Say
) -> Predictor:
    """Choose temperature and thresholds on the validation split, unless they are chosen.

    Of a finished run that is repeated they stay as they are, unless another rule is asked for.
    """
    held = predictor.meta.operating_point
    if held and (request.terms.at is None or held["rule"] == str(rule)):
        return predictor
    rows = request.data.validation
    say(f"{request.data.spec.name}: calibrating on {len(rows):,} validation rows, {rule}")
    with progress_bar("  calibrating", len(rows)) as progress:
        meta = calibrate(predictor, rows, rule, data="its validation split", progress=progress)
    write_calibrated(bundle, meta)
    say(f"  temperature {meta.temperature:g}{_thresholds(meta)}")
    for words in doubts(meta.operating_point):
        say(f"  {words}")
    if meta.operating_point["note"]:
        say(f"  {meta.operating_point['note']}")
    return predictor.with_meta(meta)


def _thresholds(meta: BundleMeta) -> str:
    chosen = [f"{label} {value:.3f}" for label, value in meta.thresholds.items()]
    if meta.abstain_below:
        chosen.append(f"unsure below {meta.abstain_below:.3f}")
    return f"; thresholds: {', '.join(chosen)}" if chosen else ""
