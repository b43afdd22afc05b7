"""The network as exporters see it: token ids and a mask in, logits out, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pointsman.bundle.meta import BundleMeta
from pointsman.models.network import load_network

LOGITS = "logits"  # the output of a graph that has one head


class OneHead(nn.Module):
    """A transformers classifier whose answer is the tensor of its logits.

    Args:
        model: The network of a single-task bundle.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the logits.

        Args:
            input_ids: Shape `(batch, length)`.
            attention_mask: 1 where a token stands and 0 on padding; shape `(batch, length)`.

        Returns:
            `(batch, labels)` of a sequence task, `(batch, length, labels)` of a token task.
        """
        logits: torch.Tensor = self.model(
            input_ids=input_ids, attention_mask=attention_mask
        ).logits
        return logits


def load_graph(path: Path, meta: BundleMeta) -> tuple[nn.Module, dict[str, str]]:
    """Load a bundle's network for export.

    Args:
        path: The bundle.
        meta: What it says of itself.

    Returns:
        The module, in fp32 and ready to answer: it returns a tensor, or of several heads a tuple
        in their order. And the name of each head's output.
    """
    model = load_network(path, meta.task)
    # as products and a softmax that graph compilers know; sdpa comes out as a longer chain of them
    model.set_attn_implementation("eager")
    return OneHead(model).eval(), {meta.task.name: LOGITS}
