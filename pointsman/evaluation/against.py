"""A model against its baselines, on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.baselines import Baseline, baselines_for
from pointsman.evaluation.pattern_baseline import NotRun
from pointsman.evaluation.score import scalars, score
from pointsman.evaluation.significance import paired_difference
from pointsman.tasks.spec import TaskSpec


def against_baselines(
    spec: TaskSpec,
    train: Sequence[Example],
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    baselines: Mapping[str, Baseline | NotRun] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return what each baseline reaches, and how far the model is above it.

    Args:
        spec: The task.
        train: Rows that the model learnt from: a baseline learns from the same ones.
        examples: Rows to answer.
        predictions: The model's answers.
        baselines: Those of the task, where they are made already.
        progress: Called with 1 for each baseline that is done.

    Returns:
        Name -> `figures` and the paired `difference` of the headline, ours less the baseline's;
        or `not_run` with the reason.
    """
    texts = [example.text for example in examples]
    found: dict[str, dict[str, Any]] = {}
    for name, baseline in (baselines or baselines_for(spec, train)).items():
        if isinstance(baseline, NotRun):
            found[name] = dict(baseline.to_dict())
        else:
            answers = baseline.fit(train).predict(texts)
            difference = paired_difference(spec, examples, predictions, answers)
            found[name] = {
                "figures": scalars(score(spec, examples, answers)),
                "difference": difference.to_dict(),
            }
        if progress is not None:
            progress(1)
    return found
