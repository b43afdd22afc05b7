"""What one training run needs, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from pointsman.training.config import DistillOptions, TrainOptions
from pointsman.training.masking import TokenMasking
from pointsman.training.rows import Row

Metrics = Callable[[list[np.ndarray]], dict[str, float]]
MEAN = "mean"  # of the heads' checkpoint metrics: what picks the checkpoint of several


@dataclass(frozen=True, slots=True)
class Objective:
    """What one head learns, and how its progress is measured.

    Attributes:
        name: The head's name.
        validation: Encoded validation rows.
        metrics: Turns the logits of the validation rows, in their order and without padding, into
            named figures. The pipeline hands it in, so that training knows no metric.
        checkpoint_metric: The figure that picks the best checkpoint.
        classes: Outputs of the head.
        weighting: How its classes are weighted, as in `TrainOptions.class_weights`.
        open_labels: For labels of `IN_PART` and below, in turn, the classes that they leave open.
        weight: What its loss is multiplied with, beside other heads.
        distill: How it learns from a teacher, whose answers its training rows then hold.
    """

    name: str
    validation: Sequence[Row]
    metrics: Metrics
    checkpoint_metric: str
    classes: int
    weighting: str = "none"
    open_labels: Sequence[Sequence[int]] = ()
    weight: float = 1.0
    distill: DistillOptions | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Everything one training run needs.

    Attributes:
        model: The network; which parameters train is settled.
        train: Encoded training rows.
        objectives: What each head learns; a row's `head` is a place in it.
        pad_id: Id of the padding token.
        options: Resolved options.
        directory: Where checkpoints go.
        identity: What the run is: hashes of data, recipe and backbone. A directory that holds
            another run's checkpoints is refused.
        say: Prints a line of news.
        weights: How often each training row is drawn; None takes each once an epoch.
        shared: The model is a `SharedNetwork`, whose batches mix the rows of its heads.
        masking: Hides tokens of the training batches.
    """

    model: nn.Module
    train: Sequence[Row]
    objectives: Sequence[Objective]
    pad_id: int
    options: TrainOptions
    directory: Path
    identity: dict[str, Any]
    say: Callable[[str], None] = lambda line: None
    weights: Sequence[float] | None = None
    shared: bool = False
    masking: TokenMasking | None = None

    @property
    def checkpoint_metric(self) -> str:
        """The figure that picks the best checkpoint."""
        return MEAN if self.shared else self.objectives[0].checkpoint_metric


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run cost and reached.

    Attributes:
        model: The model with the best checkpoint's weights.
        seconds: Wall time of training; of a resumed run, up to its checkpoints and after.
        peak_memory_mb: Largest resident set of the process meanwhile, in MiB.
        gpu_memory_mb: Most memory that tensors took on the GPU, in MiB; None without one.
        trainable: Parameters that trained.
        parameters: Parameters in all.
        best_metric: Checkpoint metric of the best checkpoint.
        best_step: Its step.
        steps: Steps that were made in all.
        history: The Trainer's log.
        precision: Arithmetic.
    """

    model: Any
    seconds: float
    peak_memory_mb: float
    gpu_memory_mb: float | None
    trainable: int
    parameters: int
    best_metric: float | None
    best_step: int | None
    steps: int
    history: list[dict[str, Any]]
    precision: str
