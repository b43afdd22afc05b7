"""Logits through torch and transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointsman.bundle.layout import META
from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import BundleError
from pointsman.models.network import load_network
from pointsman.runtime.padding import Padder

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchBackend:
    """A bundle's network on the CPU, or on a GPU if there is one.

    Args:
        path: The bundle.
        meta: What it says of itself.
        precision: `fp32`, or `bf16`, in which decisions may differ: nothing has proven it.
        threads: How many threads compute, in this whole process; torch's own when not given.

    Raises:
        BundleError: If weights, configuration and metadata do not fit each other.
    """

    digest = ""  # the bundle's metadata has that of its weights

    def __init__(
        self, path: Path, meta: BundleMeta, *, precision: str = "fp32", threads: int | None = None
    ) -> None:
        self.name = f"torch {precision}"
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            model = load_network(path, meta.task)
        except (OSError, ValueError, RuntimeError) as error:
            raise BundleError(
                f"{path}: weights that fit its configuration", got=error, fix="pack it again"
            ) from error
        if tuple(model.config.id2label.values()) != meta.labels:
            raise BundleError(  # `bundle.json` has no hash: turned labels would turn every answer
                f"{path}: the labels of its network in {META}",
                got="other labels, or another order",
                fix="copy the bundle again, or pack it again",
            )
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.to(self._device, DTYPES[precision])
        self._pad = Padder(model.config.pad_token_id or 0)
        self.heads = (meta.task.name,)

    @torch.inference_mode()
    def run(
        self, batch: Sequence[Sequence[int]], heads: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the logits of a batch; see `pointsman.runtime.backend.Backend`."""
        ids, mask = (torch.from_numpy(part).to(self._device) for part in self._pad(batch))
        output = self._model(input_ids=ids, attention_mask=mask).logits
        return dict.fromkeys(heads, np.asarray(output.float().cpu().numpy()))
