"""The figures of any task, and the metric that picks its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.span_metrics import score_spans
from pointsman.evaluation.text_metrics import score_texts
from pointsman.tasks.spec import TaskSpec


def score(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    """Return the task's figures on the given examples; see `score_texts` and `score_spans`."""
    if spec.level == "token":
        return score_spans(spec, examples, [p.spans for p in predictions])
    return score_texts(spec, [e.label or "" for e in examples], predictions)


def scalars(figures: dict[str, Any]) -> dict[str, float]:
    """Return the figures that are plain numbers."""
    return {k: float(v) for k, v in figures.items() if isinstance(v, int | float)}
