"""The classifiers of a bundle, each as a model of its own, shared backbones taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
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
        model: Loads it as transformers has it.
    """

    meta: BundleMeta
    config: dict[str, Any]
    directory: Path
    weights: Callable[[], Weights]
    model: Callable[[], Any]

    @property
    def name(self) -> str:
        """Name of its task."""
        return self.meta.task.name

    @property
    def backbone(self) -> str:
        """Short name or hub id of its backbone; empty where that is not known."""
        return str(self.meta.provenance.get("backbone", {}).get("name", ""))


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

    def model() -> Any:
        from pointsman.models.network import load_network

        return load_network(path, meta.task)

    return [Head(meta, read_json(path / CONFIG), path, weights, model)]


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

    def model_of(name: str) -> Any:
        return network().task_model(name)

    def weights_of(name: str) -> Weights:
        return {key: tensor.numpy() for key, tensor in model_of(name).state_dict().items()}

    config = read_json(path / CONFIG)
    return [
        Head(
            _own_meta(head, meta), config, path, partial(weights_of, name), partial(model_of, name)
        )
        for name, head in meta.heads.items()
    ]


def _own_meta(head: BundleMeta, shared: SharedMeta) -> BundleMeta:
    """Return what a head says of itself, with what the bundle says for all of them."""
    return head.model_copy(
        update={
            "provenance": {**shared.provenance, **head.provenance},
            # of a trunk each head was trained by a recipe of its own
            "recipe": {**shared.recipe, **head.recipe},
            "files": shared.files,
        }
    )
