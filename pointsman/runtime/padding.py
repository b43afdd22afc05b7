"""Rows of token ids to the two arrays that every graph takes, in buffers that are used again."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class Padder:
    """Pads batches; what it returns is overwritten by the next call of the same thread.

    Args:
        pad_id: Id of the padding token. RoBERTa counts positions by it, so it matters.
        multiple: Lengths are rounded up to a multiple of this, so that fewer shapes occur.
        most: Lengths are not rounded up beyond this.
    """

    def __init__(self, pad_id: int, *, multiple: int = 1, most: int | None = None) -> None:
        self._pad_id, self._multiple, self._most = pad_id, multiple, most
        self._local = threading.local()

    def __call__(self, batch: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
        """Return `input_ids` and `attention_mask`, each of shape `(batch, longest)`."""
        shape = len(batch), self.length_for(max(map(len, batch)))
        ids, mask = self._buffers(shape[0] * shape[1])
        ids, mask = ids.reshape(shape), mask.reshape(shape)
        ids.fill(self._pad_id)
        mask.fill(0)
        for index, row in enumerate(batch):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return ids, mask

    def length_for(self, longest: int) -> int:
        """Return the length to which rows are padded of which the longest has so many tokens."""
        rounded = -(-longest // self._multiple) * self._multiple
        return rounded if self._most is None else max(longest, min(rounded, self._most))

    def _buffers(self, size: int) -> tuple[Ids, Ids]:
        kept: NDArray[np.int64] | None = getattr(self._local, "kept", None)
        if kept is None or kept.shape[1] < size:
            kept = self._local.kept = np.empty((2, max(size, 1024)), dtype=np.int64)
        return kept[0, :size], kept[1, :size]
