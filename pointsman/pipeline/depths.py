"""Which encoder layers heads under one encoder share, and which are a head's own."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.core.errors import ConfigError
from pointsman.models.shared import check_family
from pointsman.models.weights import Backbone
from pointsman.pipeline.starts import count_layers
from pointsman.training.config import SharedOptions


def check_head_layers(backbone: Backbone, options: SharedOptions) -> None:
    """Refuse a backbone that cannot be shared, or has no more layers than heads are to have.

    Raises:
        ConfigError: If it is so.
    """
    check_family(backbone.model_type)
    layers, own = count_layers(backbone), options.head_layers
    most = own if isinstance(own, int) else max(own.values(), default=0)
    if most > layers:
        raise ConfigError(f"shared.head_layers of at most {layers} for {backbone.name}", got=most)


def deeper_heads(options: SharedOptions) -> str:
    """Return which encoder layers heads have of their own, in words; empty where none has."""
    own = options.head_layers
    if isinstance(own, int):
        return f"{own} encoder layers of each head's own" if own else ""
    deep = [f"{layers} of {task}'s own" for task, layers in own.items() if layers]
    return f"encoder layers: {', '.join(deep)}" if deep else ""


def trunk_layers(
    backbone: Backbone, options: SharedOptions, tasks: Sequence[str]
) -> int | dict[str, int]:
    """Return how many layers heads share with others: a number, or where they differ one a task."""
    layers = count_layers(backbone)
    depths = {task: layers - options.own_layers(task) for task in tasks}
    first, *others = set(depths.values())
    return depths if others else first
