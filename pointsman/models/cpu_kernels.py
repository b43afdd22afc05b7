"""What torch's CPU kernels do slowly while a model trains in bf16, done faster.

Three things stand out in a profile of a small encoder on a CPU with AMX: the backward pass of the
fused attention, which takes longer than all matrix products together, the random numbers of
dropout, and what peft does around an adapter. All are replaced while training; the weights know
nothing of it. `docs/experiments.md` has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

ATTENTION = "pointsman_batched"
# Scores of a batch up to so many are kept for the backward pass, 24 MiB a layer in bf16; of more, a
# block at a time is computed, 6 MiB.
KEPT = 48 * 512 * 512
BLOCK = 12 * 512 * 512


class BatchedAttention(torch.autograd.Function):
    """Softmax attention by batched matrix products, forward and backward, in the inputs' type.

    Large batches are taken in blocks of texts and heads, and the backward pass computes a block's
    scores anew: that costs less than to write all of them out and to read them back. What a block
    needs lies in the same memory for all of them, because fresh memory costs as much as the
    arithmetic.
    """

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
        shape = query.shape
        queries, keys, values = _flat(query * scale), _flat(key), _flat(value)
        out = torch.empty_like(values)
        blocks = list(_blocks(shape))
        room = _Room(queries, blocks)
        shares = None
        for block in blocks:
            shares = room.shares(queries, keys, mask, block)
            torch.bmm(shares, values[block.flat], out=out[block.flat])
        ctx.save_for_backward(queries, keys, values, mask, shares if len(blocks) == 1 else None)
        ctx.scale, ctx.shape = scale, shape
        return out.view(shape)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of query, key and value."""
        queries, keys, values, mask, kept = ctx.saved_tensors
        out = _flat(grads[0])
        for_queries, for_keys, for_values = (torch.empty_like(values) for _ in range(3))
        blocks = list(_blocks(ctx.shape))
        room = _Room(queries, blocks)
        for block in blocks:
            here = block.flat
            shares = room.shares(queries, keys, mask, block) if kept is None else kept
            torch.bmm(shares.transpose(1, 2), out[here], out=for_values[here])
            for_shares = room.take(0, block)
            torch.bmm(out[here], values[here].transpose(1, 2), out=for_shares)
            for_scores = room.take(2, block)
            torch._softmax_backward_data(
                for_shares, shares, -1, shares.dtype, grad_input=for_scores
            )
            torch.bmm(for_scores, keys[here], out=for_queries[here])
            torch.bmm(for_scores.transpose(1, 2), queries[here], out=for_keys[here])
        for_queries.mul_(ctx.scale)
        made = (for_queries, for_keys, for_values)
        return *(each.view(ctx.shape) for each in made), None, None


@dataclass(frozen=True, slots=True)
class _Block:
    """Texts and heads that are attended to together, and where they lie among all heads."""

    texts: slice
    heads: slice
    flat: slice
    shape: tuple[int, int, int, int]  # of its scores


def _blocks(shape: torch.Size) -> Iterator[_Block]:
    """Divide texts and heads so that a block's scores are at most BLOCK, or one head's."""
    batch, heads, length, _ = shape
    most = BLOCK if batch * heads * length**2 > KEPT else KEPT
    most = max(1, most // length**2)  # heads of one text or of several
    texts, some = max(1, most // heads), min(most, heads)
    for text in range(0, batch, texts):
        for head in range(0, heads, some):
            rows, columns = min(texts, batch - text), min(some, heads - head)
            first = text * heads + head
            yield _Block(
                slice(text, text + rows), slice(head, head + columns),
                slice(first, first + rows * columns), (rows, columns, length, length),
            )  # fmt: skip


class _Room:
    """Memory for the scores of one block after another.

    Args:
        like: Gives the type.
        blocks: All that will be computed in it.
    """

    def __init__(self, like: torch.Tensor, blocks: list[_Block]) -> None:
        self._like = like
        self._size = max(math.prod(block.shape) for block in blocks)
        self._held: dict[int, torch.Tensor] = {}

    def take(self, number: int, block: _Block) -> torch.Tensor:
        """Return the memory of a number, shape `(texts * heads, length, length)`."""
        if number not in self._held:
            self._held[number] = self._like.new_empty(self._size)
        rows, columns, length, _ = block.shape
        return self._held[number][: math.prod(block.shape)].view(rows * columns, length, length)

    def shares(
        self, queries: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor | None, block: _Block
    ) -> torch.Tensor:
        """Return what each token of a block takes of each other one."""
        scores, shares = self.take(0, block), self.take(1, block)
        torch.bmm(queries[block.flat], keys[block.flat].transpose(1, 2), out=scores)
        if mask is not None:
            mask = mask[block.texts if mask.shape[0] > 1 else slice(None)]
            mask = mask[:, block.heads if mask.shape[1] > 1 else slice(None)]
            bias = torch.zeros(mask.shape, dtype=scores.dtype)
            bias.masked_fill_(~mask, torch.finfo(scores.dtype).min)
            scores.view(block.shape).add_(bias)
        return torch.softmax(scores, -1, out=shares)


def _flat(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, *values.shape[2:]).contiguous()


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
    if dropout or not torch.is_grad_enabled():
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
