"""What a bundle says of its training, and the files that stand beside the weights."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pointsman.bundle.layout import ADAPTER, TOKENIZER_CONFIG, WEIGHTS
from pointsman.bundle.meta import Cost
from pointsman.core.files import write_jsonl
from pointsman.data.encode import TextEncoder
from pointsman.models.weights import Backbone
from pointsman.pipeline.pages import HISTORY
from pointsman.training.config import TrainOptions

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "datasets", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python, Pointsman and the libraries that matter to a result."""
    found = {"python": platform.python_version()}
    for name in ("pointsman", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def save_tokenizer(encoder: TextEncoder, backbone: Backbone, directory: Path) -> None:
    """Write the tokenizer, with the backbone's settings of it, for transformers."""
    encoder.save(directory)
    settings = backbone.path / TOKENIZER_CONFIG
    if settings.is_file():
        shutil.copyfile(settings, directory / TOKENIZER_CONFIG)


def write_history(directory: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Keep the training log beside the bundle, for plots and for reading."""
    write_jsonl(directory / HISTORY, history)


def cost_of(options: TrainOptions, outcome: Any, directory: Path) -> Cost:
    """Return what a training cost whose weights lie in `directory`."""
    adapter = list((directory / ADAPTER).glob("*"))
    return Cost(
        method=options.method,
        trainable_parameters=outcome.trainable,
        parameters=outcome.parameters,
        trainable_share=outcome.trainable / outcome.parameters,
        seconds=round(outcome.seconds, 1),
        peak_memory_mb=round(outcome.peak_memory_mb, 1),
        gpu_memory_mb=None if outcome.gpu_memory_mb is None else round(outcome.gpu_memory_mb, 1),
        weights_mb=round((directory / WEIGHTS).stat().st_size / 2**20, 2),
        adapter_mb=round(sum(f.stat().st_size for f in adapter) / 2**20, 2) if adapter else None,
        steps=outcome.steps,
        precision=outcome.precision,
    )


def best_figures(outcome: Any) -> dict[str, float]:
    """Return the validation figures of the best checkpoint."""
    for entry in outcome.history:
        if entry.get("step") == outcome.best_step and "eval_loss" in entry:
            return {
                key.removeprefix("eval_"): float(value)
                for key, value in entry.items()
                if key.startswith("eval_") and isinstance(value, int | float)
            }
    return {}
