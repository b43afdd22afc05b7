"""A moving average of the weights, which is evaluated and packed in place of the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pointsman.core.errors import TrainingError

AVERAGE = "average.safetensors"


class WeightAverage(TrainerCallback):
    """The exponential moving average of the parameters that train, in fp32, taken each step.

    After step t it is `d a + (1 - d) w` with `d = min(decay, (1 + t) / (10 + t))`, so that the
    fresh weights of a head are forgotten soon and the average follows the last tenth of a short
    run (averaging: Polyak and Juditsky, 1992; of networks: Izmailov et al., 2018, arXiv:1803.05407;
    the growing decay: `tf.train.ExponentialMovingAverage`). It depends on the step and on what the
    last checkpoint holds alone, so a run that is cut off goes on to the same average.

    Of LoRA the factors are averaged, each by itself, and not their product.

    Args:
        model: The model; its adapters are put in already.
        decay: The most that is kept of the average at a step, in (0, 1).
    """

    def __init__(self, model: Any, decay: float) -> None:
        self._decay = decay
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._average: dict[str, torch.Tensor] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Begin with the weights as they are, unless a checkpoint's average was loaded."""
        if not self._average:
            self._average = {n: p.detach().float().clone() for n, p in self._parameters.items()}

    @torch.no_grad()
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Take the weights after an optimiser step in."""
        step = state.global_step
        kept = min(self._decay, (1 + step) / (10 + step))
        for name, parameter in self._parameters.items():
            self._average[name].lerp_(parameter.float(), 1 - kept)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Let the model hold the average, and its own weights again afterwards."""
        own = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self.apply()
        try:
            yield
        finally:
            self._write(own)

    def apply(self) -> None:
        """Let the model hold the average from here on."""
        self._write(self._average)

    @torch.no_grad()
    def _write(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self._parameters[name].copy_(value)

    def save(self, checkpoint: Path) -> None:
        """Write the average into a checkpoint's directory."""
        save_file({n: t.contiguous() for n, t in self._average.items()}, checkpoint / AVERAGE)

    def load(self, checkpoint: Path) -> None:
        """Take the average of a checkpoint.

        Raises:
            TrainingError: If the checkpoint holds none.
        """
        file = checkpoint / AVERAGE
        if not file.is_file():
            raise TrainingError(
                f"averaged weights at {file}",
                got="no such file",
                fix="delete this checkpoint: the one before it is taken, or training begins anew",
            )
        held = load_file(file)
        self._average = {n: held[n].to(p.device) for n, p in self._parameters.items()}
