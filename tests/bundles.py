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
