"""A bundle's network as one ONNX file: ids and mask in, logits out, any batch, any length."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
