"""Tokens hidden while training, so that no single word of a text is relied upon."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class TokenMasking:
    """Replaces tokens by the mask token at random, anew for every step.

    The draws come from torch's own generator, which checkpoints hold, so that a resumed run hides
    what the whole one would have hidden.

    Args:
        mask_id: Id of the mask token.
        kept: Ids that are never hidden: the special tokens, padding among them.
        rates: For each head, the share of the other tokens that is hidden in its rows.
    """

    def __init__(self, mask_id: int, kept: Sequence[int], rates: Sequence[float]) -> None:
        self._mask_id = mask_id
        self._kept = torch.as_tensor(sorted(set(kept)))
        self._rates = torch.as_tensor(rates)

    def __call__(self, ids: torch.Tensor, owners: torch.Tensor | None = None) -> torch.Tensor:
        """Return ids of the same shape, some of them hidden.

        Args:
            ids: Shape `(batch, length)`.
            owners: Shape `(batch,)`, the place of each row's head; None where there is one head.
        """
        rates = self._rates.to(ids.device)
        rates = rates if owners is None else rates[owners].unsqueeze(1)
        hidden = torch.rand(ids.shape, device=ids.device) < rates
        hidden &= ~torch.isin(ids, self._kept.to(ids.device))
        return ids.masked_fill(hidden, self._mask_id)
