"""The network as exporters see it: token ids and a mask in, logits out, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pointsman.bundle.meta import BundleMeta, SharedMeta
from pointsman.models.network import load_network
from pointsman.models.shared import SharedNetwork, load_shared

LOGITS = "logits"  # the output of a graph that has one head


class OneHead(nn.Module):
    """A transformers classifier whose answer is the tensor of its logits.

    Args:
        model: The network of a single-task bundle.
        temperature: Divides the logits, for whoever knows no temperature.
    """

    def __init__(self, model: Any, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the logits.

        Args:
            input_ids: Shape `(batch, length)`.
            attention_mask: 1 where a token stands and 0 on padding; shape `(batch, length)`.

        Returns:
            `(batch, labels)` of a sequence task, `(batch, length, labels)` of a token task.
        """
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits if self.temperature == 1.0 else logits / self.temperature


class SeveralHeads(nn.Module):
    """A shared network whose answer is the tuple of its heads' logits, in their order.

    Args:
        network: The network of a shared bundle.
    """

    def __init__(self, network: SharedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Return the logits of each head; see `OneHead.forward`."""
        answers = self.network(input_ids, attention_mask)
        return tuple(answers[name] for name in self.network.names)


def load_graph(
    path: Path, meta: BundleMeta | SharedMeta
) -> tuple[OneHead | SeveralHeads, dict[str, str]]:
    """Load a bundle's network for export.

    Args:
        path: The bundle.
        meta: What it says of itself.

    Returns:
        The module, in fp32 and ready to answer: it returns a tensor, or of a shared bundle a
        tuple in the order of the heads. And the name of each head's output.
    """
    # Attention as products and a softmax, which graph compilers know; torch's own kernel comes out
    # as a longer chain of them.
    if isinstance(meta, SharedMeta):
        network = load_shared(path, meta.specs, meta.trunk_layers)
        for name in network.names:
            network.task_model(name).set_attn_implementation("eager")
        return SeveralHeads(network).eval(), {name: name for name in network.names}
    return one_head(load_network(path, meta.task)), {meta.task.name: LOGITS}


def one_head(model: Any, temperature: float = 1.0) -> OneHead:
    """Return a classifier of transformers for export; see `load_graph` and `OneHead`."""
    model.set_attn_implementation("eager")
    return OneHead(model, temperature).eval()
