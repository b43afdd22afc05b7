"""Logits through onnxruntime, from a bundle's ONNX export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pointsman.core.errors import BundleError
from pointsman.runtime.padding import Padder

MODEL = "model.onnx"


class OnnxBackend:
    """A session of onnxruntime on the CPU.

    It computes the whole graph whatever is asked for: choosing among heads saves nothing here, since
    only builds of onnxruntime for training leave out what leads to no output that was asked for.

    Args:
        place: Directory of the export.
        outputs: Name of the graph's output of each head.
        precision: What it was exported in, for its name.
        pad_id: Id of the padding token.
        threads: How many threads compute.
    """

    def __init__(
        self,
        place: Path,
        outputs: Mapping[str, str],
        *,
        precision: str,
        pad_id: int,
        threads: int,
    ) -> None:
        self.name = f"onnxruntime {precision}"
        self.heads = tuple(outputs)
        self._outputs = dict(outputs)
        self._pad = Padder(pad_id)
        try:
            self._session = ort.InferenceSession(
                str(place / MODEL), _options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises kinds of its own that share no base
            raise BundleError(
                f"{place}: a graph that onnxruntime can load",
                got=type(error).__name__,
                fix="export it again, or upgrade onnxruntime",
            ) from error

    def run(
        self, batch: Sequence[Sequence[int]], heads: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the logits of a batch; see `pointsman.runtime.backend.Backend`."""
        ids, mask = self._pad(batch)
        names = [self._outputs[head] for head in heads]
        feeds = {"input_ids": ids, "attention_mask": mask}
        return dict(zip(heads, self._session.run(names, feeds), strict=True))


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # it warns of its own optimiser on stderr
    return options
