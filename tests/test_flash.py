"""The benchmarks' flash attention agrees with torch's own, a plain kernel in the GPU's place."""

import copy
import importlib
import inspect
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torch.nn.attention import varlen

from pointsman.models.network import NetworkOptions, build_network
from pointsman.models.shared import build_shared
from pointsman.models.weights import find_backbone
from pointsman.tasks.catalogue import TASKS

FAMILIES = ("bert", "roberta", "modernbert")


def one_by_one(query, key, value, starts, ends, most, most_keys, *, scale, window_size):
    """Attend within each text by itself, as the kernel's documentation says that it does."""
    assert torch.equal(starts, ends) and most == most_keys == int(starts.diff().max())
    assert starts.dtype == torch.int32 and window_size[0] == window_size[1]
    out = []
    for begin, end in zip(starts.tolist(), starts.tolist()[1:], strict=False):
        parts = [part[begin:end].transpose(0, 1) for part in (query, key, value)]
        places = torch.arange(end - begin)
        near = (places[:, None] - places[None]).abs() <= window_size[0]
        mask = near if window_size[0] >= 0 else None
        attended = functional.scaled_dot_product_attention(*parts, attn_mask=mask, scale=scale)
        out.append(attended.transpose(0, 1))
    return torch.cat(out)


@pytest.fixture
def flash(monkeypatch):
    """Return the benchmarks' module, with a kernel that runs anywhere in the GPU's place."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "benchmarks"))
    module = importlib.import_module("flash")
    assert {"scale", "window_size"} <= set(inspect.signature(varlen.varlen_attn).parameters)
    if not torch.cuda.is_available():
        assert not module.has_flash()
    monkeypatch.setattr(varlen, "varlen_attn", one_by_one)
    monkeypatch.setattr(module, "has_flash", lambda: True)
    return module


def batch(length=40, short=9):
    torch.manual_seed(0)
    ids = torch.randint(5, 50, (3, length))
    mask = torch.ones_like(ids)
    mask[1, short:] = 0
    return ids, mask


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_computes_and_learns_the_same(family, padded, backbones, flash):
    options = NetworkOptions(attention_dropout=0.0, dropout=0.0, head_dropout=0.0)
    backbone = find_backbone(str(backbones[family]))
    model = build_network(backbone, TASKS["pii"], options=options).model.train()
    plain = copy.deepcopy(model)
    assert flash.speed_up(model) and model.config._attn_implementation == flash.FLASH
    ids, mask = batch(length=150 if family == "modernbert" else 40)  # beyond the local windows
    mask = mask if padded else torch.ones_like(ids)
    labels = (ids % 7).masked_fill(mask == 0, -100)
    answers = [one(input_ids=ids, attention_mask=mask, labels=labels) for one in (plain, model)]
    for answer in answers:
        answer.loss.backward()
    torch.testing.assert_close(answers[0].loss, answers[1].loss)
    for left, right in zip(plain.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_network_answers_the_same(family, backbones, flash):
    specs = {name: TASKS[name] for name in ("category", "pii")}
    network = build_shared(find_backbone(str(backbones[family])), specs).model.eval()
    ids, mask = batch()
    with torch.inference_mode():
        before = network(ids, mask)
        assert flash.speed_up(network)
        after = network(ids, mask)
    torch.testing.assert_close(before["category"], after["category"], atol=1e-5, rtol=1e-4)
    kept = mask.bool()
    torch.testing.assert_close(before["pii"][kept], after["pii"][kept], atol=1e-5, rtol=1e-4)


def test_packing_says_where_texts_begin(flash):
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]]).bool()
    packed = flash.pack(2, 3, attention_mask=mask)
    assert packed.rows is not None and packed.rows.tolist() == [0, 1, 3, 4, 5]
    assert packed.starts.tolist() == [0, 2, 5] and packed.longest == 3
    for whole in (flash.pack(2, 3), flash.pack(2, 3, attention_mask=torch.ones_like(mask))):
        assert whole.rows is None and whole.longest == 3
        assert whole.starts.tolist() == [0, 3, 6]


def test_what_the_kernel_cannot_do_stays_with_torch(backbones, flash, monkeypatch):
    options = NetworkOptions(attention_dropout=0.1)
    backbone = find_backbone(str(backbones["bert"]))
    model = build_network(backbone, TASKS["category"], options=options).model
    assert not flash.speed_up(model.train()) and model.config._attn_implementation == "sdpa"
    monkeypatch.setattr(flash, "has_flash", lambda: False)
    assert not flash.speed_up(model.eval()) and model.config._attn_implementation == "sdpa"
