"""Bundles of untrained networks: what exporters and backends do is the same for any weights."""

from __future__ import annotations

from pathlib import Path

from pointsman.bundle.layout import write_bundle
from pointsman.bundle.meta import BundleMeta
from pointsman.data.encode import TextEncoder
from pointsman.tasks.labels import model_labels
from pointsman.tasks.spec import TaskSpec

SHARPEN = 30.0  # random heads hardly tell labels apart; decisions of these are as clear as trained


def make_bundle(backbone: Path, spec: TaskSpec, path: Path, *, seed: int = 0) -> Path:
    """Pack a backbone under a random head."""
    from pointsman.models.network import build_network
    from pointsman.models.weights import find_backbone

    model = build_network(find_backbone(str(backbone)), spec, seed=seed).model
    head = getattr(model.classifier, "out_proj", model.classifier)
    head.weight.data *= SHARPEN

    def fill(place: Path) -> None:
        model.save_pretrained(place)
        encoder(backbone, 48).save(place)

    meta = BundleMeta(task=spec, labels=model_labels(spec), max_length=48)
    write_bundle(path, lambda: meta, fill)
    return path


def encoder(place: Path, max_length: int) -> TextEncoder:
    """The tokenizer of a backbone."""
    return TextEncoder.from_directory(place, max_length=max_length)


def make_shared(
    backbone: Path, specs: dict[str, TaskSpec], path: Path, *, trunk: int | dict[str, int]
) -> Path:
    """Pack a shared network of random heads, with layers of their own above the trunk."""
    import torch

    from pointsman.bundle.meta import SharedMeta
    from pointsman.models.network import build_network
    from pointsman.models.shared import SharedNetwork, save_shared
    from pointsman.models.weights import find_backbone

    found = find_backbone(str(backbone))
    models = {n: build_network(found, s, seed=i).model for i, (n, s) in enumerate(specs.items())}
    network = SharedNetwork(models, specs, trunk_layers=trunk).eval()
    with torch.no_grad():
        for parameter in network.heads.parameters():
            parameter += 0.05 * torch.randn_like(parameter)

    def fill(place: Path) -> None:
        save_shared(network, place)
        encoder(backbone, 48).save(place)

    heads = {n: BundleMeta(task=s, labels=model_labels(s), max_length=48) for n, s in specs.items()}
    meta = SharedMeta(heads=heads, max_length=48, trunk_layers=trunk)
    write_bundle(path, lambda: meta, fill)
    return path
