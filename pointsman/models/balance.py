"""Weights of several heads' losses, learned beside the network."""

from __future__ import annotations

import math

import torch
from torch import nn

BALANCE = "balance"  # the module's name, by which its parameters are known
SPEED = 100.0  # a log variance's rate, beside that of the weights; see `Balance`
MOST = 2.0  # times what it was a learned weight may become, or a part of it; see `Balance`


class Balance(nn.Module):
    """The log variance of each head's loss (Kendall, Gal and Cipolla, 2018, arXiv:1705.07115).

    Adam moves every parameter by about its rate, whatever its gradient, and at the rates of
    fine-tuning a log variance would hardly leave zero: the optimiser gives this one `SPEED` times
    the rate of the others. Scaling the parameter instead would scale its gradient too, and clipping
    by the norm of all gradients would then shrink every step of the encoder.

    The variance that is best for a loss is twice that loss. Of a task whose rows are known by heart
    it goes to zero and the weight without end: the task then drives the encoder, surer and surer of
    its own rows, and the others starve. So weights stay between 1 / `MOST` and `MOST`.

    Args:
        heads: How many heads there are.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.log_variances = nn.Parameter(torch.zeros(heads))

    def forward(self, losses: torch.Tensor, part: float = 1.0) -> torch.Tensor:
        """Return the losses under their learned weights, both of shape `(heads,)`.

        Args:
            losses: What the rows of a batch add to the losses of a step.
            part: The batch's share of the step's rows: so much of the regulariser is added, so
                that the batches of a step add it once.
        """
        with torch.no_grad():  # not a clamp of the graph: its gradient is zero beyond the bound
            self.log_variances.clamp_(-math.log(MOST), math.log(MOST))
        return torch.exp(-self.log_variances) * losses + part * self.log_variances / 2
