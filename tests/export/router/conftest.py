"""Bundles of random weights, as training would pack them, and what the router's target makes of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII
from pointsman.tasks.spec import TaskSpec

TASKS = {spec.name: spec for spec in (CATEGORY, PII, JAILBREAK)}


def make_bundle(backbone: Path, spec: TaskSpec, path: Path, **meta: Any) -> Path:
    """Pack a network of random weights whose classifier has opinions."""
    import torch

    from pointsman.bundle.layout import write_bundle
    from pointsman.bundle.meta import BundleMeta
    from pointsman.data.encode import TextEncoder
    from pointsman.models.network import build_network, quiet
    from pointsman.models.weights import find_backbone
    from pointsman.tasks.labels import model_labels

    found = find_backbone(str(backbone))
    network = build_network(found, spec, seed=3)
    with torch.no_grad():
        last = getattr(network.model.classifier, "out_proj", network.model.classifier)
        last.weight.mul_(40)
        last.bias.normal_()
    whole = BundleMeta(
        task=spec,
        labels=model_labels(spec),
        max_length=48,
        provenance={"backbone": found.provenance()},
        **meta,
    )

    def fill(directory: Path) -> None:
        with quiet():
            network.model.save_pretrained(directory)
        TextEncoder.from_backbone(found.path, max_length=48).save(directory)

    write_bundle(path, lambda: whole, fill)
    return path


POINTS: dict[str, dict[str, Any]] = {
    "category": {"temperature": 1.7, "abstain_below": 0.41},
    "pii": {"temperature": 0.6, "thresholds": {"AGE": 0.97}},
    "jailbreak": {
        "temperature": 2.5,
        "thresholds": {"jailbreak": 0.8375},
        "operating_point": {"rule": "fpr=0.01"},
    },
}


@pytest.fixture(scope="session")
def bundles(
    backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Path]:
    """One bundle a family and task of the router."""
    root = tmp_path_factory.mktemp("router-bundles")
    return {
        (family, name): make_bundle(
            backbones[family], spec, root / f"{family}-{name}", **POINTS[name]
        )
        for family in ("modernbert", "bert")
        for name, spec in TASKS.items()
    }


@pytest.fixture(scope="session")
def models(
    bundles: dict[tuple[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The router's models of each family, all three of its slots."""
    from pointsman.export.router import export_router

    places = {}
    for family in ("modernbert", "bert"):
        places[family] = tmp_path_factory.mktemp(f"models-{family}")
        paths = [bundles[family, name] for name in TASKS]
        export_router(paths, places[family], say=lambda line: None)
    return places


@pytest.fixture
def copy_of(models: dict[str, Path], tmp_path: Path) -> Callable[[str, str], Path]:
    """Copy the exported directory of a family and task, for a test to damage."""

    def copy(family: str, word: str) -> Path:
        (found,) = models[family].glob(f"lora_{word}*")
        return Path(shutil.copytree(found, tmp_path / found.name))

    return copy
