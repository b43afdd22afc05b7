"""Logits through onnxruntime, from a bundle's ONNX export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pointsman.core.errors import BundleError, PointsmanError, batch_too_large, is_out_of_memory
from pointsman.runtime.padding import Padder

MODEL = "model.onnx"


class OnnxBackend:
    """A session of onnxruntime on the CPU.

    It computes the whole graph whatever is asked for: choosing among heads saves nothing here. Only
    builds of onnxruntime for training leave out what leads to no output that was asked for.

    Args:
        place: Directory of the export.
        outputs: Name of the graph's output of each head.
        precision: What it was exported in, for its name.
        pad_id: Id of the padding token.
        digest: Hash of the export, where it was checked.
        threads: How many threads compute.

    Raises:
        BundleError: If onnxruntime cannot load the graph.
        PointsmanError: If memory runs out.
    """

    def __init__(
        self,
        place: Path,
        outputs: Mapping[str, str],
        *,
        precision: str,
        pad_id: int,
        digest: str = "",
        threads: int,
    ) -> None:
        self.name = f"onnxruntime {precision}"
        self.heads = tuple(outputs)
        self.digest = digest
        self._outputs = dict(outputs)
        self._pad = Padder(pad_id)
        try:
            self._session = ort.InferenceSession(
                str(place / MODEL), _options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises kinds of its own that share no base
            if is_out_of_memory(error):
                raise PointsmanError(
                    f"memory for {place / MODEL}", got=type(error).__name__, fix="free memory"
                ) from error
            raise BundleError(
                f"{place}: a graph that onnxruntime can load",
                got=type(error).__name__,
                fix="export it again, or upgrade onnxruntime",
            ) from error

    def run(
        self, batch: Sequence[Sequence[int]], heads: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the logits of a batch; see `pointsman.runtime.backend.Backend`.

        Raises:
            PointsmanError: If memory runs out, or onnxruntime cannot compute it.
        """
        ids, mask = self._pad(batch)
        names = [self._outputs[head] for head in heads]
        feeds = {"input_ids": ids, "attention_mask": mask}
        try:
            found = self._session.run(names, feeds)
        except Exception as error:  # as above
            longest = max(len(row) for row in batch)
            if is_out_of_memory(error):
                raise batch_too_large(len(batch), longest, error) from error
            raise PointsmanError(
                f"onnxruntime to compute {len(batch)} windows of {longest} tokens",
                got=type(error).__name__,
                fix="export it again, or upgrade onnxruntime",
            ) from error
        return dict(zip(heads, found, strict=True))


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # it warns of its own optimiser on stderr
    return options
