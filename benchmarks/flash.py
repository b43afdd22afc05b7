"""Flash attention on a GPU over what is no padding, through torch's own kernel, layer by layer.

A way that was measured and does not pay at the sizes of prompts (`docs/benchmarks.md`): gathering
the tokens of a batch and putting them back in every layer costs more launches than it saves.

torch's `scaled_dot_product_attention` takes its flash kernel only where nothing is masked: neither
batches with padding nor ModernBERT's layers of local attention, whose mask is a band. The kernel
for sequences of unlike length knows both, by the places where sequences begin and by the width of
the band.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

FLASH = "pointsman_varlen"  # not "flash": transformers takes such names for its own
NARROW = (torch.bfloat16, torch.float16)  # the types that the kernel takes
DROPOUTS = ("attention_dropout", "attention_probs_dropout_prob")


@dataclass(frozen=True, slots=True)
class Packing:
    """Which rows of a padded batch are tokens.

    Attributes:
        rows: Shape `(tokens,)`: their places in the batch laid end to end; None where all are.
        starts: Shape `(batch + 1,)`: where each text begins among the tokens, and where the last
            one ends.
        longest: Tokens of the longest text.
    """

    rows: torch.Tensor | None
    starts: torch.Tensor
    longest: int


def pack(
    batch_size: int,
    q_length: int,
    *_: Any,
    attention_mask: torch.Tensor | None = None,
    device: torch.device | str | None = None,
    **__: Any,
) -> Packing:
    """Return what a mask says, as one of transformers' mask functions.

    Args:
        batch_size: Texts of the batch.
        q_length: Tokens of each, with padding.
        attention_mask: Shape `(batch, length)`, true at tokens; None where nothing is padding.
        device: Where a packing without a mask lies.
    """
    if attention_mask is None:
        starts = torch.arange(batch_size + 1, dtype=torch.int32, device=device) * q_length
        return Packing(None, starts, q_length)
    lengths = attention_mask.sum(1, dtype=torch.int32)
    starts = torch.nn.functional.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0))
    longest = int(lengths.max())
    rows = attention_mask.flatten().nonzero().flatten()
    return Packing(None if len(rows) == attention_mask.numel() else rows, starts, longest)


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Packing,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as transformers' attention functions do.

    Args:
        module: The attention layer.
        query: Shape `(batch, heads, length, width)`.
        key: As `query`.
        value: As `query`.
        attention_mask: What `pack` made of the mask.
        scaling: What the scores are multiplied with; `width ** -0.5` when not given.
        sliding_window: One more than the tokens to either side that a token sees, as transformers
            counts them; all when not given.

    Returns:
        The attended values, shape `(batch, length, heads, width)`, zeros at padding, and no
        weights.
    """
    from torch.nn.attention.varlen import varlen_attn

    narrow = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else query.dtype
    batch, heads, length, width = query.shape
    parts = [
        part.transpose(1, 2).reshape(batch * length, heads, width).to(narrow)
        for part in (query, key, value)
    ]
    if attention_mask.rows is not None:
        parts = [part.index_select(0, attention_mask.rows) for part in parts]
    starts, longest = attention_mask.starts, attention_mask.longest
    side = -1 if sliding_window is None else sliding_window - 1
    attended: Any = varlen_attn(
        *parts, starts, starts, longest, longest, scale=scaling, window_size=(side, side)
    )
    if attention_mask.rows is not None:
        room = attended.new_zeros(batch * length, heads, width)
        attended = room.index_copy(0, attention_mask.rows, attended)
    return attended.view(batch, length, heads, width), None


def has_flash() -> bool:
    """Say whether this torch has the kernel, with windows, and a GPU to run it on."""
    if not torch.cuda.is_available():
        return False
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # torch before 2.10
        return False
    return "window_size" in inspect.signature(varlen_attn).parameters  # since 2.11


def speed_up(model: Any) -> bool:
    """Let a model that computes in bf16 or fp16 on a GPU attend by the flash kernel.

    Args:
        model: A transformers model, adapted or not, or a shared network.

    Returns:
        Whether it does: the kernel knows no dropout, and not every torch has it.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    drops = plain.training and any(getattr(plain.config, name, 0.0) for name in DROPOUTS)
    if drops or plain.config._attn_implementation != "sdpa" or not has_flash():
        return False
    AttentionInterface.register(FLASH, attend)
    AttentionMaskInterface.register(FLASH, pack)
    plain.set_attn_implementation(FLASH)
    return True
