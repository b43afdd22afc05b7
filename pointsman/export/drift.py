"""How far a semantic router's own arithmetic moves a model's probabilities: computed, not guessed.

The router's ModernBERT head takes the tanh form of GELU where the model was trained with the exact
one, and an eps of 1e-12 in the head's norm where it is 1e-5. A configuration without the flat key
of the local rope theta makes it compute local layers with the global one. BERT without a
lora_config.json goes through a transposed pooler. Each is put into the model in memory here, one at
a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

ROUTER_EPS = 1e-12


@dataclass(frozen=True, slots=True)
class Drift:
    """What one change does to the probabilities of some texts.

    Attributes:
        change: Its name.
        largest: Largest difference of one probability.
        mean: Mean over texts (or tokens) of the largest difference of each.
        flipped: Share of them whose likeliest label is another.
    """

    change: str
    largest: float
    mean: float
    flipped: float


@contextlib.contextmanager
def _put(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def tanh_gelu(model: Any) -> AbstractContextManager[None]:
    """Give ModernBERT's head the tanh form of GELU."""
    return _put(model.head, "act", nn.GELU(approximate="tanh"))


def router_eps(model: Any) -> AbstractContextManager[None]:
    """Give the norm of ModernBERT's head the router's eps."""
    return _put(model.head.norm, "eps", ROUTER_EPS)


@contextlib.contextmanager
def router_head(model: Any) -> Iterator[None]:
    """Give ModernBERT the router's head: both of the above."""
    with tanh_gelu(model), router_eps(model):
        yield


def global_theta(model: Any) -> AbstractContextManager[None]:
    """Turn ModernBERT's local layers by the global theta, as without the flat key."""
    rotary = model.base_model.rotary_emb
    return _put(rotary, "sliding_attention_inv_freq", rotary.full_attention_inv_freq)


def transposed_pooler(model: Any) -> AbstractContextManager[None]:
    """Transpose BERT's pooler, as without a lora_config.json."""
    dense = model.base_model.pooler.dense
    return _put(dense, "weight", nn.Parameter(dense.weight.detach().T.contiguous()))


Change = Callable[[Any], AbstractContextManager[None]]
CHANGES: dict[str, dict[str, Change]] = {
    "modernbert": {
        "tanh-GELU in the head": tanh_gelu,
        "eps 1e-12 in the head": router_eps,
        "the router's head": router_head,
        "global theta in local layers": global_theta,
    },
    "bert": {"transposed pooler": transposed_pooler},
}


def changes_of(model: Any) -> dict[str, Change]:
    """Return the changes that concern a model."""
    found = dict(CHANGES.get(model.config.model_type, {}))
    if model.config.model_type == "bert" and model.base_model.pooler is None:
        return {}
    if len(set(getattr(model.config, "layer_types", None) or ())) == 1:
        found.pop("global theta in local layers", None)
    return found


@torch.inference_mode()
def logits_of(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the logits of each row by itself, `(rows, labels)`, or `(tokens, labels)` of all."""
    return torch.cat(
        [model(input_ids=torch.tensor([list(row)])).logits.flatten(0, -2) for row in rows]
    )


@torch.inference_mode()
def norm_variance(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the variance of what the norm of ModernBERT's head is given, `(rows,)` or `(tokens,)`.

    All that the eps does follows from it: logits without their bias grow by
    `sqrt((v + 1e-5) / (v + 1e-12))`.

    Args:
        model: A ModernBERT classifier.
        rows: Token ids of texts.
    """
    caught: list[torch.Tensor] = []
    hook = model.head.norm.register_forward_pre_hook(
        lambda _, inputs: caught.append(inputs[0].flatten(0, -2))
    )
    try:
        logits_of(model, rows)
    finally:
        hook.remove()
    return torch.cat(caught).double().var(-1, unbiased=False)


def measure_drift(model: Any, rows: Sequence[Sequence[int]]) -> list[Drift]:
    """Return what each of the router's deviations does to a model.

    Args:
        model: A transformers classifier in fp32, ready to answer; it is as before afterwards.
        rows: Token ids of texts, with special tokens.
    """
    before = logits_of(model, rows).softmax(-1)
    found = []
    for name, change in changes_of(model).items():
        with change(model):
            after = logits_of(model, rows).softmax(-1)
        gaps = (after - before).abs().amax(-1)
        flips = (after.argmax(-1) != before.argmax(-1)).float().mean()
        found.append(Drift(name, float(gaps.max()), float(gaps.mean()), float(flips)))
    return found


@torch.no_grad()
def liven(model: Any, rows: Sequence[Sequence[int]], *, spread: float = 2.0) -> None:
    """Make a network of random weights answer as sharply as a trained one.

    Fresh weights attend everywhere alike and give every label the same probability; whatever is
    changed in them then changes nothing. Here queries and keys grow until attention chooses, and
    the classifier until logits spread.

    Args:
        model: A classifier of random weights; it is changed.
        rows: Token ids of some texts.
        spread: Standard deviation of the logits of one label over the texts.
    """
    for layer in getattr(model.base_model, "layers", ()):
        weight = layer.attn.Wqkv.weight  # (3 x hidden, hidden): queries, keys, values
        width = weight.shape[1]
        weight[: 2 * width] *= 1.5 / (weight[: 2 * width].std() * width**0.5)
    said = logits_of(model, rows)
    scale = spread / said.std(0).mean()
    model.classifier.weight *= scale
    said = logits_of(model, rows)
    model.classifier.bias -= said.mean(0)
