"""What computes logits: one small protocol, so that torch is one backend among several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pointsman.bundle.meta import BundleMeta, SharedMeta
from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, PointsmanError

BACKENDS = ("torch",)


class Backend(Protocol):
    """Computes the logits of padded batches.

    Attributes:
        name: Library and precision, as in "torch fp32": what `load` says it chose.
        heads: Names of the heads that it can run.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def heads(self) -> tuple[str, ...]: ...  # noqa: D102

    def run(
        self, batch: Sequence[Sequence[int]], heads: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the logits of each head that is asked for, and compute no other.

        Args:
            batch: Token ids of every row, special tokens included, not padded.
            heads: Names of heads, out of `heads`.

        Returns:
            For each head `(batch, labels)` or `(batch, longest, labels)`.
        """
        ...


def load_backend(name: str, path: Path, meta: BundleMeta | SharedMeta) -> Backend:
    """Load a bundle's weights into a backend.

    Raises:
        ConfigError: If the backend is not known.
        PointsmanError: If its library is not installed.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}", fix=suggest(name, BACKENDS))
    try:
        from pointsman.runtime.torch_backend import TorchBackend
        from pointsman.runtime.torch_shared import TorchSharedBackend
    except ImportError as error:
        raise PointsmanError(
            "torch and transformers, to answer", got=error, fix="pip install 'pointsman[train]'"
        ) from error
    if isinstance(meta, SharedMeta):
        return TorchSharedBackend(path, meta)
    return TorchBackend(path, meta)
