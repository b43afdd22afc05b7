"""Logits through onnxruntime, from a bundle's ONNX export."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pointsman.bundle.exports import head_graph
from pointsman.core.errors import BundleError, PointsmanError, batch_too_large, is_out_of_memory
from pointsman.runtime.padding import Padder

MODEL = "model.onnx"


class OnnxBackend:
    """Sessions of onnxruntime on the CPU.

    A session computes its whole graph whatever is asked for: only builds of onnxruntime for
    training leave out what leads to no output. So where heads have layers of their own, an export
    holds a graph for each head alone beside that of all; a session is opened when it is first
    needed.

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
        self._place = place
        self._threads = threads
        self._lock = threading.Lock()
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._alone = {head for head in self.heads if (place / head_graph(head)).is_file()}
        if not self._alone:
            self._session(self.heads)

    def _session(self, heads: Sequence[str]) -> ort.InferenceSession:
        """Return the session that computes the least of what some heads need."""
        alone = len(heads) == 1 and heads[0] in self._alone
        name = head_graph(heads[0]) if alone else MODEL
        with self._lock:
            if name not in self._sessions:
                self._sessions[name] = self._open(self._place / name)
            return self._sessions[name]

    def _open(self, file: Path) -> ort.InferenceSession:
        try:
            return ort.InferenceSession(
                str(file), _options(self._threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises kinds of its own that share no base
            if is_out_of_memory(error):
                raise PointsmanError(
                    f"memory for {file}", got=type(error).__name__, fix="free memory"
                ) from error
            raise BundleError(
                f"{file.parent}: a graph that onnxruntime can load",
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
            found = self._session(heads).run(names, feeds)
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
