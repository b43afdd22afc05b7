"""What torch's CPU kernels do slowly while a model trains in bf16, done faster.

Three things stand out in a profile of a small encoder on a CPU with AMX: the backward pass of the
fused attention, which takes longer than all matrix products together, the random numbers of
dropout, and what peft does around an adapter. All are replaced while training; the weights know
nothing of it. `docs/experiments.md` has the figures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

ATTENTION = "pointsman_batched"
LONGEST = 256  # beyond it the fused kernel, which never holds all scores, is as fast


class BatchedAttention(torch.autograd.Function):
    """Softmax attention by batched matrix products, forward and backward, in the inputs' type."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        """Return the attended values, shape `(batch, heads, length, width)`.

        Args:
            ctx: Keeps what the backward pass needs.
            query: Shape `(batch, heads, length, width)`.
            key: As `query`.
            value: As `query`.
            mask: True where attention may look; broadcasts to `(batch, heads, length, length)`.
            scale: What the scores are multiplied with.
        """
        batch, heads, length, width = query.shape
        flat = (batch * heads, length, width)
        queries = (query * scale).reshape(flat)
        keys, values = key.reshape(flat), value.reshape(flat)
        scores = torch.bmm(queries, keys.transpose(1, 2))
        if mask is not None:
            lowest = torch.finfo(scores.dtype).min
            bias = torch.zeros(mask.shape, dtype=scores.dtype).masked_fill_(~mask, lowest)
            scores.view(batch, heads, length, length).add_(bias)
        shares = torch.softmax(scores, -1)
        ctx.save_for_backward(queries, keys, values, shares)
        ctx.scale = scale
        return torch.bmm(shares, values).view(query.shape)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of query, key and value."""
        queries, keys, values, shares = ctx.saved_tensors
        shape = grads[0].shape
        out = grads[0].reshape(queries.shape)
        for_values = torch.bmm(shares.transpose(1, 2), out)
        for_shares = torch.bmm(out, values.transpose(1, 2))
        for_scores = torch._softmax_backward_data(for_shares, shares, -1, shares.dtype)
        for_queries = torch.bmm(for_scores, keys).mul_(ctx.scale)
        for_keys = torch.bmm(for_scores.transpose(1, 2), queries)
        return for_queries.view(shape), for_keys.view(shape), for_values.view(shape), None, None


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    **keywords: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as transformers' attention functions do; what ours is no better at goes to torch's.

    Args:
        module: The attention layer.
        query: Shape `(batch, heads, length, width)`.
        key: As `query`.
        value: As `query`.
        attention_mask: True where attention may look, or None for everywhere.
        scaling: What the scores are multiplied with; `width ** -0.5` when not given.
        dropout: Dropout of the attention: with one, torch's kernel answers.
        keywords: For torch's kernel.

    Returns:
        The attended values, shape `(batch, length, heads, width)`, and no weights.
    """
    if dropout or not torch.is_grad_enabled() or query.shape[2] > LONGEST:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        answer: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **keywords
        )
        return answer
    narrow = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended: torch.Tensor = BatchedAttention.apply(  # type: ignore[no-untyped-call]
        query.to(narrow), key.to(narrow), value.to(narrow), attention_mask, scale
    )
    return attended.transpose(1, 2), None


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, keep: torch.Tensor, scale: float) -> torch.Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return (values * keep).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return (grads[0] * keep).mul_(ctx.scale), None, None


def keep_mask(shape: torch.Size, dtype: torch.dtype, rate: float) -> torch.Tensor:
    """Return 1 for the elements that dropout keeps and 0 for the others.

    An element takes 16 random bits of torch's own generator, so seeds and resumed runs work as
    ever; the rate is met to the nearest 2^-16.

    Args:
        shape: Of what is to be dropped in part.
        dtype: Its type: a product with a mask of another type first copies the mask.
        rate: Share of the elements that become zero.
    """
    count = shape.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    least = round(rate * 2**16) - 2**15
    kept = torch.empty(shape, dtype=dtype)
    return torch.ge(bits.view(torch.int16)[:count].view(shape), least, out=kept)


class FastDropout(nn.Module):
    """Dropout whose mask takes 16 random bits an element instead of a random number.

    Args:
        p: Share of the elements that become zero.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values, of which a share `p` is zero and the others are scaled by 1/(1-p)."""
        if not self.training or not self.p:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.p)
        keep = keep_mask(values.shape, values.dtype, self.p)
        dropped: torch.Tensor = _Drop.apply(values, keep, 1 / (1 - self.p))  # type: ignore[no-untyped-call]
        return dropped


def speed_up(model: Any) -> None:
    """Give a model the faster kernels for training; the ones it has stay where ours do not fit.

    Args:
        model: A transformers model, adapted or not.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    from pointsman.models.cpu_lora import speed_up_lora

    speed_up_lora(model)  # before the dropouts, of which adapters hold some
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    if plain.config._attn_implementation == "sdpa":
        AttentionInterface.register(ATTENTION, attend)
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        plain.set_attn_implementation(ATTENTION)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, FastDropout(child.p).train(child.training))


def slow_down(model: Any) -> None:
    """Give a trained model the kernels of transformers again."""
    from pointsman.models.cpu_lora import slow_down_lora

    slow_down_lora(model)
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    if plain.config._attn_implementation == ATTENTION:
        plain.set_attn_implementation("sdpa")
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, FastDropout):
                setattr(parent, name, nn.Dropout(child.p).train(child.training))
