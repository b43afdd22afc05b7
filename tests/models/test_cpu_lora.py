"""The faster adapted layer answers what peft's answers, and leaves no trace in a trained model."""

from __future__ import annotations

import copy

import pytest
import torch
from peft.tuners.lora.layer import Linear
from torch import nn

from pointsman.models.adapters import LoraOptions, merge_lora
from pointsman.models.cpu_kernels import keep_mask, slow_down, speed_up
from pointsman.models.cpu_lora import (
    AdaptedProduct,
    FastLoraLinear,
    slow_down_lora,
    speed_up_lora,
)
from pointsman.models.network import build_network
from pointsman.models.weights import find_backbone
from pointsman.tasks.catalogue import TASKS
from tests.conftest import FAMILIES


def adapted(path, *, dropout: float):
    """A network under LoRA whose up-projections are not zero, so that every gradient flows."""
    network = build_network(
        find_backbone(str(path)), TASKS["category"], lora=LoraOptions(rank=4, dropout=dropout)
    )
    model = network.model.train()
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.3)
    for module in model.modules():
        if isinstance(module, nn.Dropout) and module.p != dropout:
            module.p = 0.0
    return model


def layers(model) -> list[Linear]:
    return [module for module in model.modules() if isinstance(module, Linear)]


def loss_of(model) -> torch.Tensor:
    torch.manual_seed(2)
    ids = torch.randint(5, 50, (3, 20))
    with torch.autocast("cpu", torch.bfloat16):
        answer = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.tensor([0, 1, 2])
        )
    answer.loss.backward()
    return answer.loss


@pytest.mark.parametrize("dropped", [True, False])
def test_the_product_and_its_gradients_are_those_of_the_formula(dropped):
    torch.manual_seed(0)
    shapes = {"x": (2, 5, 6), "down": (3, 6), "up": (4, 3)}
    x, down, up = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes.values()
    )
    weight, bias = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    keep = (torch.rand(10, 6) > 0.4).double() if dropped else None
    grad = torch.randn(2, 5, 4, dtype=torch.float64)

    ours = AdaptedProduct.apply(x, weight, bias, down, up, keep, 0.7)
    found = torch.autograd.grad(ours, (x, down, up), grad)
    seen = x if keep is None else x * keep.view(x.shape)
    plain = x @ weight.t() + bias + 0.7 * (seen @ down.t() @ up.t())
    expected = torch.autograd.grad(plain, (x, down, up), grad)

    torch.testing.assert_close(ours, plain)
    for left, right in zip(found, expected, strict=True):
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_learns_the_same_and_comes_back_as_it_was(family, backbones):
    model = adapted(backbones[family], dropout=0.0)
    plain, peft_way = copy.deepcopy(model), repr(model)
    speed_up_lora(model)
    assert layers(model) and all(type(layer) is FastLoraLinear for layer in layers(model))
    torch.testing.assert_close(loss_of(model), loss_of(plain), atol=2e-2, rtol=2e-2)

    ours = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
    theirs = torch.cat([p.grad.flatten() for p in plain.parameters() if p.requires_grad])
    assert torch.cosine_similarity(ours, theirs, dim=0) > 0.999
    assert ours.norm() == pytest.approx(theirs.norm().item(), rel=0.02)

    slow_down_lora(model)
    assert repr(model) == peft_way and not any("_narrow" in vars(x) for x in layers(model))
    for left, right in zip(
        merge_lora(model).parameters(), merge_lora(plain).parameters(), strict=True
    ):
        assert torch.equal(left, right)


def test_dropout_takes_its_share_before_the_adapter_alone(backbones):
    """On average the adapter's answer is that without dropout; the frozen weight's never moves."""
    layer = layers(adapted(backbones["bert"], dropout=0.5))[0]
    speed_up_lora(layer)
    x = torch.randn(64, layer.in_features)
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(0)
        draws = torch.stack([layer(x).float() for _ in range(300)])
        torch.manual_seed(0)
        again = layer(x).float()
        frozen = layer.get_base_layer()(x).float()
        whole = layer.eval()(x).float()
    assert torch.equal(draws[0], again) and not torch.equal(draws[0], draws[1])
    spread = (whole - frozen).norm()
    assert (draws.mean(0) - whole).norm() < 0.15 * spread < (draws[0] - whole).norm()


def test_the_mask_keeps_its_share_in_the_type_of_the_values():
    torch.manual_seed(0)
    kept = keep_mask(torch.Size([1000, 101]), torch.bfloat16, 0.1)
    assert kept.dtype is torch.bfloat16 and kept.unique().tolist() == [0, 1]
    assert kept.float().mean() == pytest.approx(0.9, abs=0.004)


def test_a_frozen_weight_that_changes_is_read_anew(backbones):
    layer = layers(adapted(backbones["bert"], dropout=0.0))[0]
    speed_up_lora(layer)
    x = torch.randn(4, layer.in_features)
    with torch.autocast("cpu", torch.bfloat16):
        before = layer(x)
        with torch.no_grad():
            layer.get_base_layer().weight.mul_(2)
        assert not torch.equal(layer(x), before)


def test_what_is_not_plain_training_in_bf16_goes_to_peft(backbones, monkeypatch):
    model = adapted(backbones["bert"], dropout=0.0)
    before = [layer(torch.ones(1, layer.in_features)) for layer in layers(model)]
    speed_up(model)

    def refuse(*_: object) -> None:
        raise AssertionError("ours was asked")

    monkeypatch.setattr(AdaptedProduct, "apply", refuse)
    for layer, expected in zip(layers(model), before, strict=True):
        ones = torch.ones(1, layer.in_features)
        assert torch.equal(layer(ones), expected)  # fp32
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            layer(ones)
        with torch.autocast("cpu", torch.bfloat16):
            layer.enable_adapters(False)
            layer(ones)
            layer.enable_adapters(True)
    slow_down(model)
