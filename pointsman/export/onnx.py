"""A bundle's network as one ONNX file: ids and mask in, logits out, any batch, any length."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.bundle.exports import head_graph
from pointsman.core.files import storage_errors

if TYPE_CHECKING:
    from torch import nn

OPSET = 20  # what onnxruntime has read since 1.17 and OpenVINO since 2024
INPUTS = ("input_ids", "attention_mask")
MODEL = "model.onnx"


def write_onnx(module: nn.Module, outputs: Sequence[str], file: Path) -> None:
    """Export a module to one ONNX file.

    Args:
        module: In fp32 and ready to answer; see `pointsman.models.graph.load_graph`.
        outputs: Names of its outputs, in their order.
        file: The file to write. Weights are inside, up to the 2 GiB that a file may hold.

    Raises:
        StorageError: If the disk is full or read-only.
    """
    import torch

    ids = torch.ones(2, 8, dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    shapes = {name: {0: batch, 1: length} for name in INPUTS}
    with _quiet(), storage_errors(file):
        torch.onnx.export(
            module,
            kwargs={"input_ids": ids, "attention_mask": mask},
            f=str(file),
            input_names=list(INPUTS),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def write_head_graphs(file: Path, outputs: Mapping[str, str]) -> None:
    """Write what each head needs of a graph beside it, over the same weights.

    onnxruntime computes a whole graph whatever is asked for, so a head alone needs a graph of its
    own. The weights move out of the graph into one file that all of them read.

    Args:
        file: The graph of all heads, its weights inside.
        outputs: Name of its output of each head.

    Raises:
        StorageError: If the disk is full or read-only.
    """
    import onnx
    from onnx.utils import Extractor

    weights = file.with_name(f"{file.name}.data")
    with storage_errors(file):
        onnx.save(onnx.load(file), file, save_as_external_data=True, location=weights.name)
        whole = Extractor(onnx.load(file, load_external_data=False))
        for head, output in outputs.items():
            onnx.save(whole.extract_model(list(INPUTS), [output]), file.with_name(head_graph(head)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from telling users of libraries that they have no need of."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
