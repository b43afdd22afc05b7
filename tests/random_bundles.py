"""Bundles of random weights, packed without training: what runtimes are compared on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.bundle.exports import ExportEntry
from pointsman.bundle.layout import write_bundle
from pointsman.bundle.meta import BundleMeta, SharedMeta
from pointsman.data.encode import TextEncoder
from pointsman.data.golden_texts import golden_texts
from pointsman.tasks.catalogue import load_task
from pointsman.tasks.labels import model_labels
from pointsman.tasks.spec import TaskSpec
from tests.conftest import make_backbone

if TYPE_CHECKING:
    from pointsman.models.weights import Backbone

MAX_LENGTH = 64
OUTSIDE = 4.0
SPREAD, MOST = 1.5, 100  # of logits: a fresh classifier has all but equal ones, ties everywhere


def make_bundle(path: Path, family: str, task: str) -> BundleMeta:
    """Write a bundle of a tiny random network whose answers differ from text to text."""
    from pointsman.models.network import build_network, quiet

    spec = load_task(task)
    backbone, encoder = _start(path, family, lines=spec.level == "token")
    model = build_network(backbone, spec, seed=3).model
    _spread(model, encoder)

    def fill(directory: Path) -> None:
        with quiet():
            model.save_pretrained(directory)
        encoder.save(directory)

    return write_bundle(path, lambda: _describe(spec), fill)


def make_shared(path: Path, family: str, tasks: Sequence[str]) -> SharedMeta:
    """Write a bundle of several heads over one layer that they share and one of their own."""
    from pointsman.models.network import build_network
    from pointsman.models.shared import SharedNetwork, save_shared

    specs = {task: load_task(task) for task in tasks}
    backbone, encoder = _start(path, family, lines=True)
    models = {t: build_network(backbone, spec, seed=3).model for t, spec in specs.items()}
    for model in models.values():
        _spread(model, encoder)
    network = SharedNetwork(models, specs, trunk_layers=1)

    def fill(directory: Path) -> None:
        save_shared(network, directory)
        encoder.save(directory)

    heads = {task: _describe(spec) for task, spec in specs.items()}
    meta = SharedMeta(heads=heads, max_length=MAX_LENGTH, trunk_layers=1)
    return write_bundle(path, lambda: meta, fill)


def _start(path: Path, family: str, *, lines: bool) -> tuple[Backbone, TextEncoder]:
    from pointsman.models.weights import find_backbone

    backbone = find_backbone(str(make_backbone(family, path.parent / f"{path.name}-backbone")))
    return backbone, TextEncoder.from_backbone(backbone.path, max_length=MAX_LENGTH, lines=lines)


def _describe(spec: TaskSpec) -> BundleMeta:
    tokens = spec.level == "token"
    # Probabilities of these detectors lie between 0.496 and 0.506. Of two texts in five they lie from
    # 0.5 to here, so that a runtime that takes the likelier label answers otherwise; as many are above.
    thresholds = {spec.positive: 0.502} if spec.positive else {}
    return BundleMeta(
        task=spec,
        labels=model_labels(spec),
        max_length=MAX_LENGTH,
        temperature=1.3,
        pool_words=tokens,
        thresholds={"PERSON": 0.2, "GPE": 0.15} if tokens else thresholds,
        abstain_below=0.0 if tokens or spec.positive else 0.3,
    )


def _spread(model: Any, encoder: TextEncoder) -> None:
    """Scale the classifier, and move its bias so that every label is the likeliest somewhere."""
    import torch

    layer = getattr(model.classifier, "out_proj", model.classifier)
    windows = [parts[0].input_ids for parts in encoder.encode(golden_texts()[40:140:4])]
    model.eval()
    with torch.no_grad():
        said = torch.cat([model(torch.tensor([ids])).logits.flatten(0, -2) for ids in windows])
        scale = SPREAD / said.std(dim=0).mean()
        layer.weight.mul_(min(scale, MOST))  # beyond it, fp32 noise would grow into the answers
        said = torch.cat([model(torch.tensor([ids])).logits.flatten(0, -2) for ids in windows])
        layer.bias.sub_(said.mean(dim=0))
        if layer.out_features > 20:
            layer.bias[0] += OUTSIDE  # most tokens are outside of every entity


def export_onnx(path: Path) -> ExportEntry:
    """Put the fp32 ONNX form into a bundle, unproven: proving it is what the tests do."""
    from pointsman.bundle.exports import add_export, new_export
    from pointsman.bundle.layout import WEIGHTS, read_any
    from pointsman.export.onnx import MODEL, OPSET, write_head_graphs, write_onnx
    from pointsman.models.graph import load_graph

    meta = read_any(path)
    module, outputs = load_graph(path, meta)
    with new_export(path, "onnx", "fp32") as place:
        write_onnx(module, list(outputs.values()), place / MODEL)
        if isinstance(meta, SharedMeta):  # whose heads have a layer of their own
            write_head_graphs(place / MODEL, outputs)
    entry = ExportEntry(
        target="onnx", precision="fp32", files={}, opset=OPSET, outputs=outputs,
        weights=meta.files[WEIGHTS], blessed=False, forced=True,
    )  # fmt: skip
    return add_export(path, entry)


def spoil_graph(file: Path, output: str, shift: float = 0.01) -> None:
    """Move one output of an ONNX graph, as a graph that was translated wrongly would have it."""
    import numpy as np
    import onnx

    model = onnx.load(file, load_external_data=False)
    for node in model.graph.node:
        for number, name in enumerate(node.output):
            if name == output:
                node.output[number] = f"{output}_before"
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(np.asarray([shift], dtype=np.float32), f"{output}_shift")
    )
    moved = onnx.helper.make_node("Add", [f"{output}_before", f"{output}_shift"], [output])
    model.graph.node.append(moved)
    onnx.save(model, file)


EXPORTED = (
    ("bert", "jailbreak"),
    ("roberta", "category"),
    ("modernbert", "pii"),
    ("bert", "shared"),
)
HEADS = ("pii", "jailbreak", "category")


def write_exported(root: Path) -> dict[str, Path]:
    """Write a bundle a family and task, with golden answers and an ONNX export.

    The task `shared` stands for several of them in one bundle.
    """
    from pointsman.export.golden import add_golden

    paths = {}
    for family, task in EXPORTED:
        path = paths[f"{family}-{task}"] = root / f"{family}-{task}"
        if task == "shared":
            make_shared(path, family, HEADS)
        else:
            make_bundle(path, family, task)
        add_golden(path)
        export_onnx(path)
    return paths
