"""Models that were trained apart, put on the layers that they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pointsman.core.errors import ConfigError
from pointsman.models.network import encoder_layers, load_network
from pointsman.models.shared import OF_ONE_HEAD, SharedNetwork, check_family
from pointsman.tasks.spec import TaskSpec


def assemble_network(paths: Mapping[str, Path], specs: Mapping[str, TaskSpec]) -> SharedNetwork:
    """Put models that were trained apart on the layers that they have in common.

    Args:
        paths: Directory of each task's model; all of one backbone.
        specs: The tasks, in output order.

    Raises:
        ConfigError: If they differ in family or shape, or already in their embeddings.
    """
    models = {name: load_network(paths[name], spec) for name, spec in specs.items()}
    first = next(iter(models.values()))
    check_family(first.config.model_type)
    shapes = {name: _shape(model.config) for name, model in models.items()}
    strange = [name for name, shape in shapes.items() if shape != _shape(first.config)]
    if strange:
        raise ConfigError(
            "models of one backbone", got=f"another configuration of {', '.join(strange)}"
        )
    return SharedNetwork(models, specs, trunk_layers=_common_layers(list(models.values())))


def _shape(config: Any) -> dict[str, Any]:
    found = config.to_dict()
    ignored = {*OF_ONE_HEAD, "_name_or_path", *(key for key in found if "dropout" in key)}
    return {key: value for key, value in found.items() if key not in ignored}


def _common_layers(models: Sequence[Any]) -> int:
    """Return how many lower layers are the same to the bit in all models.

    Raises:
        ConfigError: If not even the embeddings are.
    """
    bases = [model.base_model for model in models]
    if not _equal([base.embeddings for base in bases]):
        raise ConfigError(
            "models with the embeddings of one backbone",
            got="embeddings that differ",
            fix="train them with `method: trunk`, which leaves the lower part as it is",
        )
    levels = zip(*(encoder_layers(model) for model in models), strict=True)
    same = 0
    for layers in levels:
        if not _equal(layers):
            break
        same += 1
    norms = [base.final_norm for base in bases if hasattr(base, "final_norm")]
    if same == models[0].config.num_hidden_layers and norms and not _equal(norms):
        return same - 1  # the last norm goes with the layers below it
    return same


def _equal(modules: Sequence[nn.Module]) -> bool:
    first, *others = (module.state_dict() for module in modules)
    return all(torch.equal(first[name], other[name]) for other in others for name in first)
