"""Logits through OpenVINO, from a bundle's OpenVINO export."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from pointsman.core.errors import BundleError
from pointsman.runtime.padding import Padder

MODEL = "model.xml"
# What is computed in. Of an int8 graph this is what is left beside the quantised products. Without
# a hint a CPU with AMX would compute fp32 graphs in bf16 unasked.
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
# Kernels are made for a shape when it first comes, which takes longer than the few tokens of
# padding that make shapes fewer.
MULTIPLE = 16


class OpenVinoBackend:
    """A compiled graph of OpenVINO on the CPU.

    Heads that are asked for together share a graph of their own, without the others' layers; it is
    compiled when they are first asked for.

    Args:
        place: Directory of the export.
        outputs: Name of the graph's output of each head.
        precision: What to compute in.
        pad_id: Id of the padding token.
        longest: Longest window in tokens: rows are not padded beyond it, for which a network may
            have no positions.
        digest: Hash of the export, where it was checked.
        threads: How many threads compute.
    """

    def __init__(
        self,
        place: Path,
        outputs: Mapping[str, str],
        *,
        precision: str,
        pad_id: int,
        longest: int,
        digest: str = "",
        threads: int,
    ) -> None:
        self.name = f"openvino {precision}"
        self.heads = tuple(outputs)
        self.digest = digest
        self._outputs = dict(outputs)
        self._pad = Padder(pad_id, multiple=MULTIPLE, most=longest)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._compiled: dict[tuple[str, ...], Any] = {}
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
            "INFERENCE_PRECISION_HINT": HINTS[precision],
        }
        self._core = ov.Core()
        try:
            self._model = self._core.read_model(place / MODEL)
            if len(self.heads) == 1:
                self._compile(self.heads)
        except RuntimeError as error:
            raise BundleError(
                f"{place}: a graph that OpenVINO can load",
                got=type(error).__name__,
                fix="export it again, or upgrade openvino",
            ) from error

    def run(
        self, batch: Sequence[Sequence[int]], heads: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the logits of a batch; see `pointsman.runtime.backend.Backend`."""
        chosen = tuple(head for head in self.heads if head in heads)
        ids, mask = self._pad(batch)
        request = self._request(chosen)
        request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True)
        # the request's own memory is written over by the next call, so the answer is copied
        return {
            head: np.array(request.get_tensor(self._outputs[head]).data, dtype=np.float32)
            for head in chosen
        }

    def _request(self, heads: tuple[str, ...]) -> Any:
        """Return this thread's request for some heads: a request answers one call at a time."""
        requests: dict[tuple[str, ...], Any] = self._local.__dict__.setdefault("requests", {})
        if heads not in requests:
            requests[heads] = self._compile(heads).create_infer_request()
        return requests[heads]

    def _compile(self, heads: tuple[str, ...]) -> Any:
        with self._lock:
            if heads not in self._compiled:
                model = self._part(heads)
                self._compiled[heads] = self._core.compile_model(model, "CPU", self._settings)
            return self._compiled[heads]

    def _part(self, heads: tuple[str, ...]) -> Any:
        """Return the graph without the outputs of other heads."""
        if heads == self.heads:
            return self._model
        part = self._model.clone()
        wanted = {self._outputs[head] for head in heads}
        for result in list(part.get_results()):
            if not wanted & set(result.output(0).get_names()):
                part.remove_result(result)
        return part
