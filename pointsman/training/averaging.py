"""A running average of the weights, which is what is evaluated, kept and packed.

The optimiser goes on from the weights themselves; only what others see is the average.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pointsman.core.errors import TrainingError

# What the optimiser goes on from, in a checkpoint whose own weights are the average.
RAW_WEIGHTS = "raw_weights.safetensors"


class WeightAverage:
    """The exponential moving average of the weights that train.

    After step t: average = d * average + (1 - d) * weights, d = min(decay, (1 + t) / (10 + t)),
    so that the first steps do not weigh for ever (Polyak and Juditsky, 1992; the warm-up is that of
    TensorFlow's `ExponentialMovingAverage`).

    Args:
        model: Whose parameters are averaged: those that require gradients, looked up by name each
            time, since resuming replaces modules.
        decay: Above 0 and below 1; the average reaches back about 1 / (1 - decay) steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        self._average: dict[str, torch.Tensor] = {}
        self._raw: dict[str, torch.Tensor] | None = None

    @torch.no_grad()
    def start(self) -> None:
        """Begin with the model's weights as they are."""
        self._average = self._copy()

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimiser step `step`, counted from 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, parameter in self._parameters().items():
            self._average[name].lerp_(parameter.detach().float(), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averaged weights, and its own again afterwards."""
        self._raw = self._copy()
        self._load(self._average)
        try:
            yield
        finally:
            self._load(self._raw)
            self._raw = None

    def save(self, checkpoint: Path) -> None:
        """Write the model's own weights beside a checkpoint of averaged ones."""
        assert self._raw is not None, "checkpoints are written while the average is in place"
        checkpoint.mkdir(parents=True, exist_ok=True)
        save_file({k: v.cpu() for k, v in self._raw.items()}, checkpoint / RAW_WEIGHTS)

    def resume(self, checkpoint: Path) -> None:
        """Take up a checkpoint whose averaged weights the model has just loaded.

        Raises:
            TrainingError: If the weights to go on from are not there.
        """
        file = checkpoint / RAW_WEIGHTS
        if not file.is_file():
            raise TrainingError(
                str(file), got="no such file", fix="delete this checkpoint; an older one is taken"
            )
        self.start()
        self._load(load_file(file))

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self._model.named_parameters() if p.requires_grad}

    def _copy(self) -> dict[str, torch.Tensor]:
        return {name: p.detach().float().clone() for name, p in self._parameters().items()}

    @torch.no_grad()
    def _load(self, weights: dict[str, torch.Tensor]) -> None:
        for name, parameter in self._parameters().items():
            parameter.copy_(weights[name])
