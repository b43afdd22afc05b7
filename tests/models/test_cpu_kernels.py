"""The faster kernels answer what torch's answer, and leave no trace in a trained model."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pointsman.models import cpu_kernels
from pointsman.models.cpu_kernels import (
    ATTENTION,
    BatchedAttention,
    FastDropout,
    attend,
    slow_down,
    speed_up,
)
from pointsman.models.network import build_network
from pointsman.models.weights import find_backbone
from pointsman.tasks.catalogue import TASKS
from tests.conftest import FAMILIES


def attention_inputs(dtype: torch.dtype = torch.float64, length: int = 7):
    torch.manual_seed(0)
    shape = (2, 3, length, 4)
    made = [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]
    mask = torch.ones(2, 1, 1, length, dtype=torch.bool)
    mask[1, ..., -2:] = False
    return made, mask


# Scores of 2 texts, 3 heads and 7 tokens at once: all; a text's; two heads'; one head's.
@pytest.mark.parametrize("block", [6 * 49, 3 * 49, 2 * 49, 1])
@pytest.mark.parametrize("masked", ["tokens", "pairs", ""])
def test_attention_and_its_gradients_are_those_of_torch(masked, block, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "BLOCK", block)
    monkeypatch.setattr(cpu_kernels, "KEPT", block)
    inputs, mask = attention_inputs()
    near = (torch.arange(7)[:, None] - torch.arange(7)).abs() < 3
    chosen = {"tokens": mask, "pairs": mask & near, "": None}[masked]
    grad = torch.randn(2, 3, 7, 4, dtype=torch.float64)

    ours = BatchedAttention.apply(*inputs, chosen, 0.5)
    found = torch.autograd.grad(ours, inputs, grad)
    theirs = nn.functional.scaled_dot_product_attention(*inputs, attn_mask=chosen, scale=0.5)
    expected = torch.autograd.grad(theirs, inputs, grad)

    torch.testing.assert_close(ours, theirs)
    for left, right in zip(found, expected, strict=True):
        torch.testing.assert_close(left, right)


def test_what_ours_is_no_better_at_goes_to_torch(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("ours was asked")

    monkeypatch.setattr(BatchedAttention, "apply", refuse)
    module = nn.Module()
    module.is_causal = False
    inputs, mask = attention_inputs(torch.float32)
    attend(module, *inputs, mask, scaling=0.5, dropout=0.1)
    with torch.no_grad():
        attend(module, *inputs, mask, scaling=0.5)
    with pytest.raises(AssertionError):
        attend(module, *inputs, mask, scaling=0.5)


def test_dropout_keeps_its_share_and_the_mean_and_drops_the_same_gradients():
    torch.manual_seed(0)
    drop = FastDropout(0.3)
    values = torch.ones(1001, 101, requires_grad=True)
    dropped = drop(values)
    (grad,) = torch.autograd.grad(dropped.sum(), values)

    assert (dropped == 0).double().mean().item() == pytest.approx(0.3, abs=0.006)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(grad, dropped.detach())
    assert torch.equal(drop.eval()(values), values)


def test_dropout_follows_the_seed():
    drop, values = FastDropout(0.5), torch.ones(64)
    torch.manual_seed(3)
    first = drop(values)
    second = drop(values)
    torch.manual_seed(3)

    assert torch.equal(drop(values), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_computes_the_same_and_comes_back_as_it_was(family, backbones):
    network = build_network(find_backbone(str(backbones[family])), TASKS["category"])
    model = network.model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    plain = copy.deepcopy(model)
    speed_up(model)
    ids = torch.randint(5, 50, (3, 40))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    losses = []
    for each in (plain, model):
        loss = each(input_ids=ids, attention_mask=mask, labels=torch.tensor([0, 1, 2])).loss
        loss.backward()
        losses.append(loss)
    torch.testing.assert_close(losses[0], losses[1])
    for left, right in zip(plain.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad)

    assert model.config._attn_implementation == ATTENTION
    slow_down(model)
    assert model.config._attn_implementation == "sdpa"
    assert not any(isinstance(m, FastDropout) for m in model.modules())
    assert str(model) == str(plain)
