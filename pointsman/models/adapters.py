"""Low-rank adapters: which parameters train, and how they become plain weights again."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pointsman.core.config import Closed
from pointsman.core.errors import ConfigError
from pointsman.core.files import read_json, write_json
from pointsman.models.backbones import Family, lora_pattern

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


class LoraOptions(Closed):
    """LoRA, as `W + B A * alpha / rank` (Hu et al., 2021, arXiv:2106.09685)."""

    rank: int | None = Field(
        None, gt=0, description="Rank of the update; the task's own when not given."
    )
    alpha: int | None = Field(None, gt=0, description="Scale; twice the rank when not given.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the adapters.")
    targets: tuple[str, ...] | None = Field(
        None, description="Linear layers to adapt; all of the family's when not given."
    )
    top_layers: int | None = Field(
        None, gt=0, description="Adapt only so many upper encoder layers; all when not given."
    )

    @property
    def width(self) -> int:
        """The rank in use."""
        return 8 if self.rank is None else self.rank

    @property
    def scale(self) -> int:
        """The alpha in use."""
        return 2 * self.width if self.alpha is None else self.alpha


def add_lora(
    model: PreTrainedModel, family: Family, options: LoraOptions, fresh: Sequence[str]
) -> PeftModel:
    """Wrap a model so that only its adapters and its fresh modules train.

    Args:
        model: The model with its head.
        family: Row of the family table.
        options: Rank, alpha, dropout and targets.
        fresh: Paths of the modules that the checkpoint did not hold. peft by itself would save
            `classifier` alone: a pooler or head dense left out here would come back random.

    Raises:
        ConfigError: If the encoder has fewer layers than are to be adapted.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=options.width,
        lora_alpha=options.scale,
        lora_dropout=options.dropout,
        target_modules=lora_pattern(family, options.targets, top_layers(model, options)),
        modules_to_save=list(fresh),
    )
    with warnings.catch_warnings():  # peft 0.21 asks transformers 5 for a property by its old name
        warnings.filterwarnings("ignore", ".is_gradient_checkpointing.", FutureWarning)
        return get_peft_model(model, config)


def top_layers(model: Any, options: LoraOptions) -> range | None:
    """Return the places of the layers to adapt; None for all.

    Raises:
        ConfigError: If the encoder has fewer.
    """
    if options.top_layers is None:
        return None
    layers = int(model.config.num_hidden_layers)
    if options.top_layers > layers:
        raise ConfigError(f"top_layers of at most {layers}", got=options.top_layers)
    return range(layers - options.top_layers, layers)


def merge_lora(model: Any) -> PreTrainedModel:
    """Return the plain model with the adapters added into its weights.

    A model without adapters comes back as it is, so merging twice changes nothing.
    """
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def save_adapter(model: Any, directory: Path, *, origin: str) -> None:
    """Write the adapter (and the fresh modules) of a LoRA model beside its bundle.

    Args:
        model: The model with its adapters.
        directory: Where to write.
        origin: Hub id or name of the backbone: peft would write the path on this machine.
    """
    model.save_pretrained(directory, safe_serialization=True)
    settings = directory / "adapter_config.json"
    write_json(settings, read_json(settings) | {"base_model_name_or_path": origin})
    card = directory / "README.md"
    card.unlink(missing_ok=True)  # peft's empty card would hide ours


def count_parameters(model: Any) -> tuple[int, int]:
    """Return how many parameters train, and how many there are."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trains in sizes if trains), sum(n for n, _ in sizes)
