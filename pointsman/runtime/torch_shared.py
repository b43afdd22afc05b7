"""Logits of several heads through torch, after one pass of the encoder that they share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointsman.bundle.meta import SharedMeta
from pointsman.core.errors import BundleError
from pointsman.models.shared import load_shared
from pointsman.runtime.padding import Padder
from pointsman.runtime.torch_backend import DTYPES


class TorchSharedBackend:
    """A shared bundle's network on the CPU, or on a GPU if there is one; see `TorchBackend`."""

    digest = ""  # the bundle's metadata has that of its weights

    def __init__(
        self, path: Path, meta: SharedMeta, *, precision: str = "fp32", threads: int | None = None
    ) -> None:
        self.name = f"torch {precision}"
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            network = load_shared(path, meta.specs, meta.trunk_layers)
        except (OSError, ValueError, RuntimeError) as error:
            raise BundleError(
                f"{path}: weights that fit its configuration", got=error, fix="pack it again"
            ) from error
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = network.to(self._device, DTYPES[precision])
        self._pad = Padder(network.config.pad_token_id or 0)
        self.heads = tuple(meta.heads)

    @torch.inference_mode()
    def run(
        self, batch: Sequence[Sequence[int]], heads: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the logits of a batch; see `pointsman.runtime.backend.Backend`."""
        ids, mask = (torch.from_numpy(part).to(self._device) for part in self._pad(batch))
        answers = self._network(ids, mask, heads=heads)
        return {name: np.asarray(logits.float().cpu().numpy()) for name, logits in answers.items()}
