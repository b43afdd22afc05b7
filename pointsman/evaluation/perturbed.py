"""How much of a figure is left when the same texts are written differently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from pydantic import Field, PositiveInt, model_validator

from pointsman.core.config import Closed, suggest
from pointsman.core.types import Example, Prediction
from pointsman.data.perturb import LONGEST, PERTURBATIONS, find, names_for, perturb_example
from pointsman.data.sampling import strata_of, stratified_sample
from pointsman.evaluation.point import measure_point
from pointsman.evaluation.significance import paired_difference
from pointsman.evaluation.slices import FLAGGED, measure
from pointsman.tasks.spec import TaskSpec


class EvaluateOptions(Closed):
    """What an evaluation asks beside the test split."""

    perturbations: tuple[str, ...] | None = Field(
        None,
        description="Perturbations of the test rows; null: all; `[]`: none. A token task has those "
        "that keep spans.",
    )
    rows: PositiveInt = Field(200, description="At most so many test rows are perturbed.")
    seed: int = Field(0, description="Of the rows that are drawn and of the perturbations.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.perturbations or ():
            if name not in PERTURBATIONS:
                hint = suggest(name, PERTURBATIONS)
                raise ValueError(f"unknown perturbation {name!r}; {hint}")
        return self

    def names(self, spec: TaskSpec) -> tuple[str, ...]:
        """Return the perturbations that are run for a task."""
        fitting = names_for(spec.level)
        if self.perturbations is None:
            return fitting
        return tuple(name for name in self.perturbations if name in fitting)


def sample_rows(spec: TaskSpec, examples: Sequence[Example], options: EvaluateOptions) -> list[int]:
    """Return the places of the rows that are perturbed: a seeded sample of every label.

    Texts beyond `LONGEST` code points are left out.
    """
    places = [i for i, example in enumerate(examples) if len(example.text) <= LONGEST]
    rows = [examples[i] for i in places]
    drawn = stratified_sample(rows, strata_of(rows, spec), options.rows, seed=options.seed)
    return [places[i] for i in drawn]


def perturbed_figures(
    spec: TaskSpec,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    answer: Callable[[list[str]], Sequence[Prediction]],
    options: EvaluateOptions,
) -> dict[str, dict[str, Any]]:
    """Return the figures of perturbed test rows, by perturbation.

    Args:
        spec: The task.
        examples: The test rows.
        predictions: Answers to them as they are.
        answer: From texts to predictions.
        options: Which perturbations, on how many rows.

    Returns:
        For each: `strength`, `seed`, what `measure` gives of the perturbed rows, `clean` (that
        figure of the rows as they are), `drop` (clean less perturbed) and `drop_interval`, which
        token tasks and rows of one class do not have. Of a detector also `at_threshold`: `clean`
        and `perturbed`, each what `measure_point` gives at the threshold in use. A ranking may
        stay as it was while every score moves past that threshold.
    """
    drawn = sample_rows(spec, examples, options)
    if not drawn:
        return {}
    rows, clean = [examples[i] for i in drawn], [predictions[i] for i in drawn]
    before = measure(spec, rows, clean)["value"]
    point = measure_point(spec, rows, clean) if spec.positive is not None else None
    found = {}
    for name in options.names(spec):
        moved = [perturb_example(row, name, options.seed) for row in rows]
        answers = answer([row.text for row in moved])
        figures = measure(spec, moved, answers)
        found[name] = {
            "strength": find(name).strength,
            "seed": options.seed,
            **figures,
            "clean": before,
            "drop": before - figures["value"],
            **_paired(spec, rows, clean, answers, metric=figures["metric"]),
        }
        if point is not None:
            moved_point = measure_point(spec, moved, answers)
            found[name]["at_threshold"] = {"clean": point, "perturbed": moved_point}
    return found


def _paired(
    spec: TaskSpec,
    rows: Sequence[Example],
    clean: Sequence[Prediction],
    answers: Sequence[Prediction],
    *,
    metric: str,
) -> dict[str, Any]:
    """Return the interval of the drop; spans move, so that answers of token tasks do not pair."""
    if spec.level == "token" or metric == FLAGGED:
        return {}
    drop = paired_difference(spec, rows, clean, answers, metric=metric)
    return {"drop_interval": {"low": drop.low, "high": drop.high}}
