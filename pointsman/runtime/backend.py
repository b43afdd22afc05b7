"""What computes logits: one small protocol, so that torch is one backend among several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pointsman.bundle.meta import BundleMeta
from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, PointsmanError

BACKENDS = ("torch",)


class Backend(Protocol):
    """Computes the logits of padded batches."""

    def logits(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return logits of shape `(batch, labels)` or `(batch, longest, labels)`.

        Args:
            batch: Token ids of every row, special tokens included, not padded.
        """
        ...


def load_backend(name: str, path: Path, meta: BundleMeta) -> Backend:
    """Load a bundle's weights into a backend.

    Raises:
        ConfigError: If the backend is not known.
        PointsmanError: If its library is not installed.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}", fix=suggest(name, BACKENDS))
    try:
        from pointsman.runtime.torch_backend import TorchBackend
    except ImportError as error:
        raise PointsmanError(
            "torch and transformers, to answer", got=error, fix="pip install 'pointsman[train]'"
        ) from error
    return TorchBackend(path, meta)
