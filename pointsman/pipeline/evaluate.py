"""Evaluate a packed bundle through the predictor that users call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointsman.bundle.card import write_card
from pointsman.bundle.layout import CARD, write_meta
from pointsman.core.errors import DataError
from pointsman.core.files import write_text
from pointsman.core.types import Example, Prediction
from pointsman.evaluation.account import Account
from pointsman.evaluation.mistakes import span_mistakes, text_mistakes
from pointsman.evaluation.score import scalars, score
from pointsman.pipeline.pages import TEST_SPLIT, read_history, write_evaluated
from pointsman.pipeline.progress import progress_bar
from pointsman.runtime.predictor import Predictor, Progress, load


@dataclass(slots=True)
class Evaluation:
    """Figures of a bundle on some data."""

    figures: dict[str, Any]
    mistakes: list[dict[str, Any]] = field(default_factory=list)
    revealed: bool = False


def evaluate(
    predictor: Predictor,
    examples: Sequence[Example],
    *,
    slices: Mapping[str, Sequence[Example]] | None = None,
    reveal: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a predictor's answers.

    Args:
        predictor: The loaded bundle.
        examples: Labelled rows.
        slices: Rows kept out of training, by name; each gets its own line.
        reveal: Show personal data in the mistakes.
        progress: Called with the number of texts that are done.

    Raises:
        DataError: If there are no examples.
    """
    if not examples:
        raise DataError("rows to evaluate on", got="none")
    spec = predictor.task
    predictions = predictor.predict([e.text for e in examples], progress=progress)
    figures = score(spec, examples, predictions)
    if slices:
        figures["slices"] = {name: _slice(predictor, rows) for name, rows in slices.items() if rows}
    if spec.level == "token":
        mistakes = span_mistakes(examples, predictions, reveal=reveal)
    else:
        mistakes = text_mistakes(spec, examples, predictions, reveal=reveal)
    return Evaluation(figures, mistakes, reveal)


def _slice(predictor: Predictor, rows: Sequence[Example]) -> dict[str, Any]:
    """Return how many rows of a slice a detector flags, or how another task answers them."""
    spec = predictor.task
    predictions = predictor.predict([example.text for example in rows])
    if spec.positive is None:
        return {"rows": len(rows), **_few(score(spec, rows, predictions))}
    return {"rows": len(rows), "flagged": flagged_share(predictor, predictions)}


def flagged_share(predictor: Predictor, predictions: Sequence[Prediction]) -> float:
    """Return the share of answers that are the positive label of a detector."""
    hits = sum(p.label == predictor.task.positive for p in predictions)
    return hits / max(1, len(predictions))


def _few(figures: dict[str, Any]) -> dict[str, float]:
    chosen = ("accuracy", "macro_f1", "span_f1", "clean_share")
    return {k: v for k, v in scalars(figures).items() if k in chosen}


def evaluate_bundle(
    path: Path, examples: Sequence[Example], *, slices: Mapping[str, Sequence[Example]], out: Path
) -> dict[str, Any]:
    """Evaluate a bundle on its test split and let the bundle and its card say so.

    Args:
        path: The bundle.
        examples: Its test split.
        slices: Kept-out rows.
        out: Directory for the figures and the reports.
    """
    predictor = load(path)
    with progress_bar("  evaluating", len(examples)) as progress:
        result = evaluate(predictor, examples, slices=slices, progress=progress)
    write_evaluation(predictor, result, out, TEST_SPLIT, beside=path.parent)
    meta = predictor.meta.model_copy(update={"metrics": result.figures})
    write_text(path / CARD, write_card(meta))
    write_meta(path, meta)  # last: figures in it say that the run is finished
    return result.figures


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
    history = read_history(beside or out)
    account = Account(
        predictor.meta, result.figures, data, result.mistakes, history, result.revealed
    )
    write_evaluated(out, account)
