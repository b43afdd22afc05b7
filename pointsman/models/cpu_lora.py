"""A linear layer under LoRA for training in bf16 on CPUs: one function for peft's twelve steps.

peft widens the input to the adapters' type, drops some of it, multiplies twice, scales and adds,
each a pass over the activations, and autocast narrows the frozen weight anew at every step. That
makes an adapter cost more than the weight gradient that it saves. `docs/experiments.md` has the
figures.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import nn
from torch.nn import functional

from pointsman.models.cpu_kernels import keep_mask


class AdaptedProduct(torch.autograd.Function):
    """`x W^T + b + s drop(x) A^T B^T`, where A and B learn and W and b do not."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        keep: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        """Return the layer's answer in the type of `weight`, shape `(..., outputs)`.

        Args:
            ctx: Keeps what the backward pass needs.
            x: Shape `(..., inputs)`.
            weight: Frozen, shape `(outputs, inputs)`.
            bias: Frozen, shape `(outputs,)`.
            down: A, shape `(rank, inputs)`.
            up: B, shape `(outputs, rank)`.
            keep: Which inputs the adapter sees, shape `(rows, inputs)`; None for all.
            scale: What the adapter's answer is multiplied with.
        """
        kind = weight.dtype
        rows = x.reshape(-1, x.shape[-1]).to(kind)
        answer = functional.linear(rows, weight, None if bias is None else bias.to(kind))
        seen = rows if keep is None else rows * keep
        narrow = down.to(kind)
        hidden = seen @ narrow.t()
        scaled = (up * scale).to(kind)
        answer.addmm_(hidden, scaled.t())
        ctx.save_for_backward(weight, narrow, scaled, seen, hidden, keep)
        ctx.scale, ctx.shape = scale, x.shape
        ctx.types = x.dtype, down.dtype, up.dtype
        return answer.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of the input, of A and of B."""
        weight, narrow, scaled, seen, hidden, keep = ctx.saved_tensors
        of_x, of_down, of_up = ctx.types
        grad = grads[0].reshape(-1, grads[0].shape[-1]).to(weight.dtype)
        for_hidden = grad @ scaled
        for_x = None
        if ctx.needs_input_grad[0]:
            through = for_hidden @ narrow
            if keep is not None:
                through.mul_(keep)
            for_x = through.addmm_(grad, weight).view(ctx.shape).to(of_x)
        for_down = (for_hidden.t() @ seen).to(of_down)
        for_up = (grad.t() @ hidden).to(of_up).mul_(ctx.scale)
        return for_x, None, None, for_down, for_up, None, None


class FastLoraLinear(Linear):
    """peft's linear layer, faster while it trains with one plain adapter in bf16 on a CPU.

    A layer of peft's becomes one by a change of class: its parameters, names and settings stay.
    """

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the layer's answer, shape `(..., outputs)`."""
        if args or kwargs or not self._is_plain(x):
            answer: torch.Tensor = super().forward(x, *args, **kwargs)
            return answer
        name = self.active_adapters[0]
        base = self.get_base_layer()
        rate = getattr(self.lora_dropout[name], "p", 0.0) if self.training else 0.0
        narrow = self._narrow_weight(base)
        scale = float(self.scaling[name])
        shape = torch.Size([x.shape[:-1].numel(), x.shape[-1]])
        keep = keep_mask(shape, narrow.dtype, rate) if rate else None
        down, up = self.lora_A[name].weight, self.lora_B[name].weight
        if keep is not None:  # what is kept counts for what is dropped
            scale /= 1 - rate
        product: torch.Tensor = AdaptedProduct.apply(  # type: ignore[no-untyped-call]
            x, narrow, base.bias, down, up, keep, scale
        )
        return product

    def _is_plain(self, x: torch.Tensor) -> bool:
        base = self.get_base_layer()
        names = self.active_adapters
        return (
            torch.is_grad_enabled()
            and torch.is_autocast_enabled("cpu")
            and x.device.type == "cpu"
            and type(base) is nn.Linear
            and not base.weight.requires_grad
            and not self.merged
            and not self.disable_adapters
            and not self.fan_in_fan_out
            and len(names) == 1
            and names[0] in self.lora_A
            and names[0] not in self.lora_variant
            and not self.lora_bias[names[0]]
        )

    def _narrow_weight(self, base: nn.Linear) -> torch.Tensor:
        """Return the frozen weight in autocast's type, made once for each state of the weight."""
        kind = torch.get_autocast_dtype("cpu")
        state = (base.weight.data_ptr(), base.weight._version, kind)
        if self.__dict__.get("_narrow_state") != state:
            self.__dict__["_narrow"] = base.weight.detach().to(kind)
            self.__dict__["_narrow_state"] = state
        narrow: torch.Tensor = self.__dict__["_narrow"]
        return narrow


def speed_up_lora(model: nn.Module) -> None:
    """Make peft's linear layers fast ones."""
    for module in model.modules():
        if type(module) is Linear:
            module.__class__ = FastLoraLinear


def slow_down_lora(model: nn.Module) -> None:
    """Make the fast layers peft's again."""
    for module in model.modules():
        if type(module) is FastLoraLinear:
            for name in ("_narrow", "_narrow_state"):
                module.__dict__.pop(name, None)
            module.__class__ = Linear
