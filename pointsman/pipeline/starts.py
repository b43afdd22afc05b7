"""What a training starts from: a backbone's tokenizer and shape, and the weights to load."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from pointsman.bundle.layout import WEIGHTS
from pointsman.core.errors import ConfigError
from pointsman.core.files import read_json
from pointsman.data.encode import TextEncoder
from pointsman.models.weights import Backbone, refuse_shared


def read_encoder(backbone: Backbone, max_length: int, *, lines: bool) -> TextEncoder:
    """Return the backbone's tokenizer.

    Args:
        backbone: The backbone.
        max_length: Longest window in tokens.
        lines: Show line breaks: what token tasks need.

    Raises:
        ConfigError: If the backbone reads no such windows.
    """
    longest = longest_input(backbone)
    if max_length > longest:
        raise ConfigError(f"max_length of at most {longest} for {backbone.name}", got=max_length)
    return TextEncoder.from_backbone(backbone.path, max_length=max_length, lines=lines)


def longest_input(backbone: Backbone) -> int:
    """Return the longest input of a backbone, in tokens.

    RoBERTa and MPNet number their positions from `pad_token_id + 1`, so two are never used.
    """
    config = read_json(backbone.path / "config.json")
    positions = int(config.get("max_position_embeddings", backbone.family.max_length))
    return positions - 2 if backbone.model_type in ("roberta", "mpnet") else positions


def count_layers(backbone: Backbone) -> int:
    """Return how many layers a backbone's encoder has."""
    return int(read_json(backbone.path / "config.json")["num_hidden_layers"])


def find_start(backbone: Backbone, warm_start: str | None) -> Backbone:
    """Return the backbone to load weights from: the warm start's, where one is asked for."""
    if warm_start is None:
        return backbone
    path = Path(warm_start)
    check_start(path)
    refuse_shared(_weight_names(path / WEIGHTS), str(path))
    found = read_json(path / "config.json").get("model_type")
    if found != backbone.model_type:
        raise ConfigError(
            f"warm_start of family {backbone.model_type}", got=f"{path} of family {found}"
        )
    return replace(backbone, path=path)


def check_start(path: Path) -> None:
    """Refuse a warm start that is not there.

    Raises:
        ConfigError: If it has no weights or no configuration.
    """
    for name in (WEIGHTS, "config.json"):
        if not (path / name).is_file():
            raise ConfigError(
                f"warm_start: a bundle or checkpoint with {name}",
                got=f"{path} without it",
                fix="give a bundle, or a checkpoint of a full fine-tuning",
            )


def _weight_names(file: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(file, framework="np") as weights:
        return list(weights.keys())


def count_weights(backbone: Backbone) -> int:
    """Return how many parameters a backbone's checkpoint holds."""
    from safetensors import safe_open

    with safe_open(backbone.path / WEIGHTS, framework="np") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    return sum(math.prod(shape) for shape in shapes)
