"""Losses: cross-entropy with class weights that does not change with accumulation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError
from pointsman.data.encode import IGNORED, IN_PART, OUTSIDE

WEIGHTINGS = ("none", "ratio", "balanced")


def class_weights(labels: Sequence[int], classes: int, weighting: str) -> torch.Tensor | None:
    """Return one weight a class, shape `(classes,)`, or None.

    Args:
        labels: Training labels.
        classes: How many classes the model has.
        weighting: `none`; `balanced`: n / (classes * n_k), as scikit-learn's; `ratio`: 1 for the
            commonest class and n_max / n_k for the others (the document's n_benign / n_jailbreak).

    Raises:
        ConfigError: If the weighting is not known.
    """
    if weighting not in WEIGHTINGS:
        raise ConfigError(
            f"unknown class weighting {weighting!r}", fix=suggest(weighting, WEIGHTINGS)
        )
    if weighting == "none":
        return None
    counts = Counter(label for label in labels if label >= 0)
    total = sum(counts.values())
    most = max(counts.values())
    # A class without a row never enters the loss: its weight only has to be a number.
    sizes = [counts.get(index, most) for index in range(classes)]
    if weighting == "balanced":
        return torch.tensor([total / (classes * size) for size in sizes])
    return torch.tensor([most / size for size in sizes])


class Distillation:
    """What a student's answers cost beside a teacher's (Hinton et al., 2015, arXiv:1503.02531).

    The divergence KL(teacher || student) of the distributions at a temperature, times its square:
    so that the gradient's size does not depend on it.

    Args:
        weight: Share of the whole loss, in (0, 1].
        temperature: What both sides' logits are divided by.
    """

    def __init__(self, weight: float, temperature: float) -> None:
        self.weight = weight
        self._temperature = temperature

    def __call__(self, logits: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the summed divergence of items.

        Args:
            logits: The student's, shape `(items, classes)`.
            teacher: The teacher's logits or log-probabilities, of the same shape.
        """
        divergence = functional.kl_div(
            functional.log_softmax(logits / self._temperature, dim=-1),
            functional.log_softmax(teacher / self._temperature, dim=-1),
            reduction="sum",
            log_target=True,
        )
        return divergence * self._temperature**2


class WeightedCrossEntropy:
    """Cross-entropy over the labelled items of a whole optimiser step.

    The sum of the weighted losses is divided by the items of all accumulated batches times the
    mean weight, so that accumulation gives what one large batch gives (a mean of means does not),
    and class weights change the balance between classes but not the step size.

    Args:
        weights: One weight a class, or None.
        frequencies: Share of each class in the training data, for the mean weight.
        smoothing: Label smoothing in [0, 1).
        open_labels: Classes that each label of `IN_PART` and below leaves open. Such an item's loss
            is that of the sum of their probabilities: whichever of them is true, no other is
            (the partial likelihood of Tsuboi et al., 2008, of a single token).
        distillation: What answers cost beside a teacher's; None where there is no teacher. Class
            weights and smoothing are for labels: a teacher's answers stand as they are.
    """

    def __init__(
        self,
        weights: torch.Tensor | None = None,
        frequencies: torch.Tensor | None = None,
        *,
        smoothing: float = 0.0,
        open_labels: Sequence[Sequence[int]] = (),
        distillation: Distillation | None = None,
    ) -> None:
        self._distillation = distillation
        self._open = open_labels
        self._smoothing = smoothing
        self._weights = weights
        if weights is not None and frequencies is not None:
            self._weights = weights / (weights * frequencies).sum()

    def __call__(
        self,
        outputs: Any,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
        teacher: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the loss of one batch.

        Args:
            outputs: Model output with `logits`, shape `(batch, classes)` or
                `(batch, length, classes)`.
            labels: Shape `(batch,)` or `(batch, length)`.
            num_items_in_batch: Labelled items of the optimiser step; this batch's when not given.
            teacher: A teacher's log-probabilities, of the logits' shape. Needed where there is one
                while training; evaluation, which has none, gives the loss of the labels.
        """
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        weights = None if self._weights is None else self._weights.to(logits.device, torch.float32)
        flat, targets = logits.float().flatten(0, -2), labels.flatten()
        total = functional.cross_entropy(
            flat,
            targets.masked_fill(targets <= IN_PART, IGNORED),
            weight=weights,
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=self._smoothing,
        )
        total = total + self._in_part(flat, targets, weights)
        if self._distillation is not None and teacher is not None:
            known = targets != IGNORED
            taught = self._distillation(flat[known], teacher.flatten(0, -2)[known])
            share = self._distillation.weight
            total = (1 - share) * total + share * taught
        items = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        return total / items

    def _in_part(
        self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the summed loss of the items whose labels leave several classes open.

        Args:
            logits: Shape `(items, classes)`.
            targets: Shape `(items,)`.
            weights: Shape `(classes,)`; such an item weighs what `OUTSIDE` does.
        """
        total = logits.new_zeros(())
        for place, classes in enumerate(self._open):
            rows = logits[targets == IN_PART - place]
            open_ = torch.tensor(list(classes), device=logits.device)
            total = total + (rows.logsumexp(1) - rows[:, open_].logsumexp(1)).sum()
        return total if weights is None else total * weights[OUTSIDE]


def frequencies(labels: Sequence[int], classes: int) -> torch.Tensor:
    """Return the share of every class, shape `(classes,)`."""
    counts = Counter(label for label in labels if label >= 0)
    total = max(1, sum(counts.values()))
    return torch.tensor([counts.get(index, 0) / total for index in range(classes)])
