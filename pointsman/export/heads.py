"""The classifiers of a bundle, each as a model of its own, shared backbones taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pointsman.bundle.layout import CONFIG, WEIGHTS, read_any
from pointsman.bundle.meta import BundleMeta, SharedMeta
from pointsman.core.errors import BundleError
from pointsman.core.files import read_json

if TYPE_CHECKING:
    from pointsman.models.shared import SharedNetwork

Weights = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Head:
    """One classifier, as a model of its own.

    Attributes:
        meta: What it says of itself.
        config: Its `config.json`.
        directory: Where its tokenizer lies.
        weights: Reads its tensors, by the names that transformers gives them.
    """

    meta: BundleMeta
    config: dict[str, Any]
    directory: Path
    weights: Callable[[], Weights]

    @property
    def name(self) -> str:
        """Name of its task."""
        return self.meta.task.name


def read_heads(path: Path) -> list[Head]:
    """Return the classifiers of a bundle, in the order of its outputs.

    Raises:
        BundleError: If the bundle is missing or damaged.
    """
    meta = read_any(path)
    if isinstance(meta, SharedMeta):
        return _shared(path, meta)

    def weights() -> Weights:
        from safetensors.numpy import load_file

        return dict(load_file(path / WEIGHTS))

    return [Head(meta, read_json(path / CONFIG), path, weights)]


def _shared(path: Path, meta: SharedMeta) -> list[Head]:
    """Return the heads of a shared bundle, each with the whole encoder under it."""

    @cache
    def network() -> SharedNetwork:
        from pointsman.models.shared import load_shared

        try:
            return load_shared(path, meta.specs, meta.trunk_layers)
        except (OSError, ValueError, RuntimeError) as error:
            raise BundleError(
                f"{path}: weights that fit its configuration", got=error, fix="pack it again"
            ) from error

    def weights_of(name: str) -> Callable[[], Weights]:
        def weights() -> Weights:
            state = network().task_model(name).state_dict()
            return {key: tensor.numpy() for key, tensor in state.items()}

        return weights

    config = read_json(path / CONFIG)
    return [
        Head(_own_meta(head, meta), config, path, weights_of(name))
        for name, head in meta.heads.items()
    ]


def _own_meta(head: BundleMeta, shared: SharedMeta) -> BundleMeta:
    """Return what a head says of itself, with what the bundle says for all of them."""
    return head.model_copy(
        update={
            "provenance": {**shared.provenance, **head.provenance},
            "recipe": shared.recipe,
            "files": shared.files,
        }
    )
