"""Slices: the same figures on parts of the data, each with its count and its interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pointsman.core.types import Example, Prediction
from pointsman.data.languages import NOT_TOLD, language_of
from pointsman.data.request import OOD
from pointsman.evaluation.intervals import Interval, intervals
from pointsman.evaluation.score import scalars, score
from pointsman.tasks.spec import TaskSpec

FEW_ROWS = 10
FLAGGED = "flagged"
BANDS = (8, 32, 128, 512)  # longest text of a band, in tokens
EXTRAS = (
    "accuracy",
    "macro_f1",
    "false_positive_rate",
    "false_negative_rate",
    "span_precision",
    "span_recall",
    "clean_share",
)

Answers = Sequence[Prediction]


def metric_of(spec: TaskSpec, examples: Sequence[Example]) -> str:
    """Return the figure that these rows can tell.

    It is one that a few hundred rows can tell, which macro F1 over rare labels and recall at a
    false-positive rate are not. Rows of one class alone tell a detector's share flagged, and rows
    without spans a token task's share left alone.
    """
    if spec.level == "token":
        return "span_f1" if any(example.spans for example in examples) else "clean_share"
    if spec.positive is None:
        return "accuracy"
    return "roc_auc" if len({example.label for example in examples}) > 1 else FLAGGED


def measure(spec: TaskSpec, examples: Sequence[Example], predictions: Answers) -> dict[str, Any]:
    """Return the figure of some rows with its bootstrap interval, and plain figures beside it.

    Args:
        spec: The task.
        examples: One row at least.
        predictions: Answers in the same order.

    Returns:
        `rows`, `metric`, `value`, `interval` (see `Interval.to_dict`), `few` where there are less
        than ten rows, and of `EXTRAS` and `flagged` what the task has. Of one class there is the
        share flagged alone: the label of rows that are kept out of training is no verdict.
    """
    figures = scalars(score(spec, examples, predictions))
    metric = metric_of(spec, examples)
    interval = _interval(spec, examples, predictions, metric)
    found: dict[str, Any] = {
        "rows": len(examples),
        "metric": metric,
        "value": interval.value,
        "interval": interval.to_dict(),
        "few": len(examples) < FEW_ROWS,
    }
    if spec.positive is not None:
        found[FLAGGED] = sum(p.label == spec.positive for p in predictions) / len(predictions)
    if metric == FLAGGED:
        return found
    return found | {name: figures[name] for name in EXTRAS if name in figures}


def _interval(
    spec: TaskSpec, examples: Sequence[Example], predictions: Answers, metric: str
) -> Interval:
    if metric != FLAGGED:
        return intervals(spec, examples, predictions, metrics=(metric,))[metric]
    if examples[0].label != spec.positive:
        rate = "false_positive_rate"
        return intervals(spec, examples, predictions, metrics=(rate,))[rate]
    rate = "false_negative_rate"
    missed = intervals(spec, examples, predictions, metrics=(rate,))[rate]
    return missed.complement()


def length_band(tokens: int) -> str:
    """Return the band of a length in tokens: `1-8`, `9-32`, and so on to `beyond 512`."""
    low = 1
    for high in BANDS:
        if tokens <= high:
            return f"{low}-{high} tokens"
        low = high + 1
    return f"beyond {BANDS[-1]} tokens"


def slice_figures(
    spec: TaskSpec, examples: Sequence[Example], predictions: Answers, lengths: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """Return the figures of the test rows by source, length, language and kind.

    A row's language is the one that it names, or that its text tells (`language_of`). A division
    that puts all rows into one slice would repeat the figures of the whole, and is left out; so is
    one of the rows of one language from those that tell none.

    Args:
        spec: The task.
        examples: The test rows.
        predictions: Answers in the same order.
        lengths: Tokens of each text, special ones not counted.
    """
    found = {}
    for by, names in _divisions(examples, lengths):
        members: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            members.setdefault(name, []).append(row)
        if len(set(members) - {NOT_TOLD}) < 2:
            continue
        for name in sorted(filter(None, members), key=_natural):
            rows = members[name]
            part = measure(spec, [examples[i] for i in rows], [predictions[i] for i in rows])
            found[f"{by}: {name}"] = {"by": by, **part}
    return found


def _divisions(
    examples: Sequence[Example], lengths: Sequence[int]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each way to divide the rows, with the slice of every row; none is the empty name."""
    yield "source", [example.source for example in examples]
    yield "length", [length_band(tokens) for tokens in lengths]
    yield "language", [language_of(example) for example in examples]
    yield "kind", [example.kind or "" for example in examples]


def _natural(name: str) -> tuple[bool, int, str]:
    """Sort bands by their lower end, before what begins with no number."""
    head = name.split("-")[0]
    return (not head.isdecimal(), int(head) if head.isdecimal() else 0, name)


def kept_out_figures(
    spec: TaskSpec,
    slices: Mapping[str, Sequence[Example]],
    answer: Callable[[list[str]], Answers],
) -> dict[str, dict[str, Any]]:
    """Return the figures of rows that were kept out of training, by slice.

    Args:
        spec: The task.
        slices: Rows by name; those of out-of-distribution sources are named `ood-SOURCE`.
        answer: From texts to predictions.
    """
    found = {}
    for name, rows in slices.items():
        if rows:
            by = "ood" if name.startswith(OOD) else "kept out"
            part = measure(spec, rows, answer([example.text for example in rows]))
            found[name] = {"by": by, **part}
    return found
