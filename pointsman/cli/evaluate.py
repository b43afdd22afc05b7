"""`pointsman evaluate`: a bundle against labelled data, or against the document's prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pointsman.cli.console import say, show_table
from pointsman.cli.options import OnBadRow, parse_pairs

if TYPE_CHECKING:
    from pointsman.evaluation.perturbed import EvaluateOptions
    from pointsman.evaluation.reference import Check
    from pointsman.pipeline.evaluate import Evaluation
    from pointsman.pipeline.labelled import Labelled
    from pointsman.runtime.predictor import Predictor

DATA = "data.json"  # beside metrics.json: what was evaluated
WITH_TRAINING = "Of the data that was evaluated on, with all of its splits."
WITHOUT_TRAINING = (
    "Of the rows that were evaluated on. Whether the model has learned from their like cannot be "
    "told from them."
)
ROWS = 500  # that are perturbed: more than in a run, since here figures are all that is waited for


def evaluate_cli(
    bundle: Path = typer.Argument(help="Bundle or run directory."),
    data: Path | None = typer.Option(
        None, "--data", help="Labelled JSONL, CSV, Parquet or Presidio JSON; or prepared data."
    ),
    reference: bool = typer.Option(False, "--reference", help="Run the document's own prompts."),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="Where the figures and reports go; beside the bundle."
    ),
    head: str | None = typer.Option(
        None, help="Which head of a shared bundle; that of prepared data when not given."
    ),
    on_bad_row: OnBadRow = "stop",
    columns: list[str] = typer.Option([], "--column", help="FIELD=COLUMN, as in text=prompt."),
    reveal: bool = typer.Option(False, help="Show personal data in the listed mistakes."),
    perturb: bool = typer.Option(True, help="Also score rows that are written differently."),
    overrides: list[str] = typer.Option(
        [], "--set", help="Any evaluation option, as in --set rows=100 --set perturbations=[typos]."
    ),
) -> None:
    """Evaluate a bundle through the predictor that users call."""
    from pointsman.bundle.layout import find_bundles
    from pointsman.cli.results import show_evaluation
    from pointsman.core.config import apply_overrides
    from pointsman.core.errors import ConfigError
    from pointsman.core.files import write_json
    from pointsman.evaluation.perturbed import EvaluateOptions
    from pointsman.evaluation.reference import run_reference
    from pointsman.evaluation.wording import verdict
    from pointsman.pipeline.evaluate import write_evaluation
    from pointsman.pipeline.labelled import head_of, read_labelled
    from pointsman.runtime.predictor import load_head

    if data is None and not reference:
        raise ConfigError("--data FILE or --reference", got="neither")
    options = EvaluateOptions.parse(apply_overrides({"rows": ROWS}, overrides), where="options")
    asked = options if perturb else None
    predictor = load_head(bundle, head or head_of(bundle, data))
    if reference:
        _show_reference(predictor.task.name, run_reference(predictor))
    if data is None:
        return
    named = parse_pairs(columns, option="--column")
    labelled = read_labelled(predictor.task, data, columns=named, on_bad_row=on_bad_row, say=say)
    result = _evaluate(predictor, labelled, asked, reveal=reveal)
    show_evaluation(predictor.meta, result.figures)
    say(verdict(result.figures).text)
    beside = find_bundles([bundle])[0].resolve().parent
    place = output or _free_place(beside / f"evaluation-{data.stem}", data)
    write_evaluation(predictor, result, place, str(data.name), beside=beside)
    write_json(place / DATA, _what(data))
    say(f"written to {place}")


def _evaluate(
    predictor: Predictor,
    labelled: Labelled,
    asked: EvaluateOptions | None,
    *,
    reveal: bool,
) -> Evaluation:
    """Evaluate under a progress bar, beside the baselines and with an audit of the data."""
    from pointsman.pipeline.evaluate import add_audit, add_baselines, evaluate, texts_to_answer
    from pointsman.pipeline.progress import progress_bar

    total = texts_to_answer(predictor.task, labelled.rows, labelled.slices, asked)
    with progress_bar("evaluating", total) as progress:
        result = evaluate(
            predictor,
            labelled.rows,
            slices=labelled.slices,
            perturbations=asked,
            reveal=reveal,
            progress=progress,
        )
    add_baselines(result, predictor.task, labelled.rows, labelled.train)
    about = WITHOUT_TRAINING if labelled.train is None else WITH_TRAINING
    add_audit(result, labelled.everything, about=about)
    return result


def _what(data: Path) -> dict[str, str]:
    """Say which data was evaluated: its name, and a hash of it or of its manifest."""
    from pointsman.core.files import sha256_file
    from pointsman.data.prepared import MANIFEST

    return {"name": data.name, "sha256": sha256_file(data / MANIFEST if data.is_dir() else data)}


def _free_place(place: Path, data: Path) -> Path:
    """Return where a report goes: another one for other data of the same name."""
    from pointsman.core.files import read_json

    what = _what(data)
    if not (place / DATA).is_file() or read_json(place / DATA) == what:
        return place
    return place.with_name(f"{place.name}-{what['sha256'][:8]}")


def _show_reference(task: str, checks: list[Check]) -> None:
    if not checks:
        say(f"the document has no prompts for {task}")
        return
    rows = [(c.text, c.expected, c.given, "yes" if c.right else "NO") for c in checks]
    right = sum(check.right for check in checks)
    title = f"The document's prompts for {task}: {right} of {len(checks)}"
    show_table(title, ("prompt", "expected", "given", "right"), rows)
