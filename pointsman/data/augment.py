"""Augmentation: further training rows, which are perturbed copies of some of the given ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman.core.types import Example
from pointsman.data.benign import TRAINED
from pointsman.data.perturb import LONGEST, PERTURBATIONS, perturb_example, refuse_lost_spans
from pointsman.data.sampling import strata_of, stratified_sample
from pointsman.tasks.spec import TaskSpec


def augment(
    spec: TaskSpec, examples: Sequence[Example], shares: Mapping[str, float], *, seed: int
) -> dict[str, list[Example]]:
    """Return perturbed copies of training rows, by perturbation.

    The rows of each perturbation are a draw of their own in which every label has its share. They
    come on top: the clean rows stay, so that what is served most often is still learned from.

    Args:
        spec: The task.
        examples: The training split.
        shares: Perturbation -> how many copies, as a share of the training rows.
        seed: Of the draws and of the perturbations.

    Raises:
        ConfigError: If a perturbation is not known, or does not keep the spans of a token task.
    """
    if spec.level == "token":
        refuse_lost_spans(shares)
    rows = [example for example in examples if len(example.text) <= LONGEST]
    strata = strata_of(rows, spec)
    order = list(PERTURBATIONS)
    made = {}
    for name, share in shares.items():
        own = seed + order.index(name)  # else every perturbation would draw the same rows
        drawn = stratified_sample(rows, strata, round(share * len(examples)), seed=own)
        made[name] = [perturb_example(rows[i], name, seed, TRAINED) for i in drawn]
    return made
