"""What post-processing does to the figures: the same answers scored with it and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.score import scalars, score
from pointsman.tasks.spec import TaskSpec


def postprocessing_effect(
    spec: TaskSpec, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Any] | None:
    """Return the figures with post-processing and without it, or None where there was none.

    Args:
        spec: The task.
        examples: Labelled rows.
        predictions: Answers to them; each keeps its spans from before post-processing.

    Returns:
        `with` and `without`, both plain figures, and `per_type` with the strict F1 of each type
        that occurs in the rows or among the answers.
    """
    if not any(p.unprocessed is not None for p in predictions):
        return None
    before = [p if p.unprocessed is None else replace(p, spans=p.unprocessed) for p in predictions]
    done, plain = score(spec, examples, predictions), score(spec, examples, before)
    found = {span.label for p in (*predictions, *before) for span in p.spans}
    found |= {span.label for example in examples for span in example.spans}
    return {
        "with": scalars(done),
        "without": scalars(plain),
        "per_type": {
            label: {
                "with": done["per_type"][label]["f1"],
                "without": plain["per_type"][label]["f1"],
            }
            for label in spec.labels
            if label in found
        },
    }
