"""The figures of any task, and the metric that picks its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.core.errors import DataError
from pointsman.core.types import Example, Prediction
from pointsman.evaluation.span_metrics import score_spans
from pointsman.evaluation.text_metrics import score_texts
from pointsman.tasks.spec import TaskSpec


def score(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    """Return the task's figures on the given examples; see `score_texts` and `score_spans`.

    Raises:
        DataError: If an example has a label that the task does not know.
    """
    _refuse_unknown(spec, examples)
    if spec.level == "token":
        return score_spans(spec, examples, [p.spans for p in predictions])
    return score_texts(spec, [e.label or "" for e in examples], predictions)


def _refuse_unknown(spec: TaskSpec, examples: Sequence[Example]) -> None:
    if spec.level == "token":
        found = {span.label for example in examples for span in example.spans}
    else:
        found = {example.label or "(no label)" for example in examples}
    strange = sorted(found - set(spec.labels))
    if strange:
        raise DataError(
            f"rows of the labels of {spec.name}",
            got=", ".join(strange[:5]),
            fix=f"known: {', '.join(spec.labels)}",
        )


def scalars(figures: dict[str, Any]) -> dict[str, float]:
    """Return the figures that are plain numbers; counts stay whole numbers."""
    return {k: v for k, v in figures.items() if isinstance(v, int | float)}
