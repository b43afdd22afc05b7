"""One encoder under several heads: each answers as its own model of transformers does."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from pointsman.core.errors import ConfigError
from pointsman.models.adapters import LoraOptions, count_parameters, merge_lora
from pointsman.models.cpu_kernels import FastDropout, slow_down, speed_up
from pointsman.models.network import NetworkOptions, build_network
from pointsman.models.shared import SharedNetwork, build_shared, load_shared, save_shared
from pointsman.models.weights import find_backbone
from pointsman.tasks.pii import PII
from tests.conftest import FAMILIES
from tests.models.test_network import IDS, MASK, TONE, shake

MOOD = TONE.model_copy(update={"name": "mood", "labels": ("x", "y")})
SPECS = {"tone": TONE, "pii": PII, "mood": MOOD}
OWNERS = torch.tensor([1, 0])
UNLIKE = ({"tone": 1, "pii": 2, "mood": 0}, {"tone": 2, "pii": 1, "mood": 2})
ALIKE = {"tone": 1, "pii": 1, "mood": 1}


@pytest.fixture(params=FAMILIES)
def backbone(backbones, request):
    return find_backbone(str(backbones[request.param]))


def build(backbone, **more):
    model = build_shared(backbone, SPECS, **more).model
    shake(model)
    return model.eval()


def answers(network, **more):
    with torch.no_grad():
        return network(IDS, MASK, **more)


def same(one, other):
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-5)


def apart(backbone, trunk_layers):
    """Models of one backbone that differ above the trunk, tied together."""
    models = {}
    depths = trunk_layers if isinstance(trunk_layers, dict) else dict.fromkeys(SPECS, trunk_layers)
    for seed, (name, spec) in enumerate(SPECS.items()):
        models[name] = build_network(backbone, spec, seed=seed).model.eval()
        base = models[name].base_model
        layers = base.layers if hasattr(base, "layers") else base.encoder.layer
        with torch.no_grad():
            for layer in layers[depths[name] :]:
                for parameter in layer.parameters():
                    parameter += 0.05 * torch.randn_like(parameter)
            if hasattr(base, "final_norm") and depths[name] < len(layers):
                base.final_norm.weight += 0.3
    with torch.no_grad():
        before = {name: model(IDS, MASK).logits for name, model in models.items()}
    return SharedNetwork(models, SPECS, trunk_layers=trunk_layers), before


def test_every_head_answers_as_its_own_model(backbone):
    network = build(backbone)
    found = answers(network)
    assert list(found) == list(SPECS)
    for name, logits in found.items():
        with torch.no_grad():
            own = network.task_model(name).eval()(IDS, MASK).logits
        assert same(logits, own)
    assert found["pii"].shape == (2, 6, 35) and found["tone"].shape == (2, 3)
    assert not torch.allclose(found["tone"][:, :2], found["mood"])


@pytest.mark.parametrize("trunk_layers", [0, 1, 2, *UNLIKE, ALIKE])
def test_models_trained_apart_answer_as_before_above_one_trunk(backbone, trunk_layers):
    network, before = apart(backbone, trunk_layers)
    for name, logits in answers(network).items():
        assert same(logits, before[name])
        assert same(answers(network, heads=[name])[name], before[name])


def test_layers_that_no_head_asks_for_are_not_computed(backbone):
    network, _ = apart(backbone, {"tone": 1, "pii": 2, "mood": 0})
    called = []
    place = "layers" if hasattr(network.encoder, "layers") else "layer"
    for depth, layer in enumerate(getattr(network.encoder, place), start=1):
        layer.register_forward_pre_hook(lambda module, args, depth=depth: called.append(depth))
    for heads, depths in ((["mood"], []), (["tone", "mood"], [1]), (["pii"], [1, 2])):
        answers(network, heads=heads)
        assert called == depths
        called.clear()


def test_depths_are_one_a_head(backbone):
    models = {name: build_network(backbone, spec).model for name, spec in SPECS.items()}
    for wrong in ({"tone": 1}, {**ALIKE, "more": 1}):
        with pytest.raises(ConfigError, match="trunk layers of tone, pii, mood"):
            SharedNetwork(models, SPECS, trunk_layers=wrong)


def test_a_head_answers_its_own_rows_alone(backbone):
    networks = [build(backbone), *(apart(backbone, trunk)[0] for trunk in (1, *UNLIKE))]
    for network in networks:
        whole, mixed = answers(network), answers(network, owners=OWNERS)
        assert list(mixed) == ["tone", "pii"]  # no row is of the third
        assert same(mixed["tone"], whole["tone"][1:])
        assert same(mixed["pii"], whole["pii"][:1])
        assert list(answers(network, heads=["mood"])) == ["mood"]


def test_no_weight_is_kept_twice(backbone):
    network = build(backbone)
    alone = build_network(backbone, PII).model
    names = set(network.weights())
    shared = {n for n, _ in alone.named_parameters() if n.startswith(alone.base_model_prefix)}
    assert len([n for n in names if n.startswith("encoder.")]) == len(shared)
    assert {n.split(".")[1] for n in names if n.startswith("heads.")} == set(SPECS)
    assert sum(t.numel() for t in network.weights().values()) == count_parameters(network)[1]


@pytest.mark.parametrize("trunk_layers", [1, 2, *UNLIKE])
def test_a_saved_network_comes_back(backbone, trunk_layers, tmp_path):
    network, before = apart(backbone, trunk_layers)
    save_shared(network, tmp_path)
    loaded = load_shared(tmp_path, SPECS, trunk_layers)
    for name, logits in answers(loaded).items():
        assert same(logits, before[name])


def test_a_head_packs_alone(backbone, tmp_path):
    network = build(backbone)
    found = answers(network)
    for name, auto in (
        ("mood", AutoModelForSequenceClassification), ("pii", AutoModelForTokenClassification),
    ):  # fmt: skip
        network.task_model(name).save_pretrained(tmp_path / name)
        loaded = auto.from_pretrained(tmp_path / name).eval()
        with torch.no_grad():
            assert same(loaded(IDS, MASK).logits, found[name])


def test_a_head_starts_as_in_a_model_of_its_own(backbone):
    network = build_shared(backbone, SPECS, seed=3).model.eval()
    alone = build_network(backbone, MOOD, seed=3).model.eval()
    with torch.no_grad():
        assert same(answers(network)["mood"], alone(IDS, MASK).logits)


def test_lora_trains_adapters_and_heads_and_merges(backbone, tmp_path):
    model = build_shared(backbone, SPECS, lora=LoraOptions(rank=4), balance=True).model
    training = {n for n, p in model.named_parameters() if p.requires_grad}
    assert all(any(f"heads.{name}." in n for n in training) for name in SPECS)
    assert any("balance" in n for n in training)
    assert not any(".encoder." in n for n in training if "lora_" not in n)
    shake(model)
    model.eval()
    adapted = answers(model)
    merged = merge_lora(model).eval()
    assert isinstance(merged, SharedNetwork)
    save_shared(merged, tmp_path)
    for network in (merged, load_shared(tmp_path, SPECS, merged.trunk_layers)):
        for name, logits in answers(network).items():
            assert same(logits, adapted[name])
            with torch.no_grad():
                assert same(network.task_model(name).eval()(IDS, MASK).logits, adapted[name])


def test_heads_with_layers_of_their_own_start_alike_and_are_true_models(backbone):
    network = build(backbone, head_layers=1)
    assert network.trunk_layers == 1
    for name, logits in answers(network).items():
        with torch.no_grad():
            assert same(network.task_model(name).eval()(IDS, MASK).logits, logits)
    fresh = build_shared(backbone, SPECS, seed=3, head_layers=1).model.eval()
    alone = build_network(backbone, MOOD, seed=3).model.eval()
    with torch.no_grad():
        assert same(answers(fresh)["mood"], alone(IDS, MASK).logits)
    with pytest.raises(ConfigError, match="from 0 to 2"):
        build_shared(backbone, SPECS, head_layers=3)
    deeper = build(backbone, head_layers={"pii": 1})
    assert deeper.depths == {"tone": 2, "pii": 1, "mood": 2}
    inner = [name for name in deeper.weights() if name.startswith("heads.") and ".layer" in name]
    assert inner and all(name.startswith("heads.pii.") for name in inner)


def test_lora_adapts_the_layers_of_heads_and_freezing_reaches_them(backbone):
    for freeze, adapted in ((0, 2), (1, 1)):
        options = NetworkOptions(freeze_layers=freeze)
        lora = LoraOptions(rank=4)
        model = build_shared(backbone, SPECS, lora=lora, options=options, head_layers=1).model
        training = {n for n, p in model.named_parameters() if p.requires_grad and "lora_" in n}
        for name in SPECS:
            assert any(f".heads.{name}.layer" in n for n in training)
        assert any(".encoder.layer" in n for n in training) == (adapted == 2)
        shake(model)
        before = answers(model.eval())
        for name, logits in answers(merge_lora(model).eval()).items():
            assert same(logits, before[name])
    options = NetworkOptions(freeze_layers=2)
    model = build_shared(backbone, SPECS, lora=lora, options=options, head_layers=1).model
    assert not any("lora_" in n for n, p in model.named_parameters() if p.requires_grad)


def test_frozen_parts_stay_frozen(backbone):
    options = NetworkOptions(freeze_layers=1)
    for lora in (None, LoraOptions(rank=4)):
        model = build_shared(backbone, SPECS, lora=lora, options=options).model
        training = {n for n, p in model.named_parameters() if p.requires_grad}
        assert not any("embeddings" in n or ".0." in n for n in training if ".encoder." in f".{n}")
        assert any(".1." in n for n in training)


def test_the_faster_kernels_reach_every_part(backbone):
    network = build(backbone)
    before = answers(network)
    speed_up(network)
    assert network.config._attn_implementation == "pointsman_batched"
    assert not any(type(module) is torch.nn.Dropout for module in network.modules())
    with torch.enable_grad():
        fast = network(IDS, MASK)
    for name, logits in fast.items():
        assert torch.allclose(logits, before[name], atol=1e-5)
    slow_down(network)
    assert not any(isinstance(module, FastDropout) for module in network.modules())


def test_other_families_are_refused(encoders):
    with pytest.raises(ConfigError, match="shared backbone of the families"):
        build_shared(find_backbone(str(encoders["distilbert"])), SPECS)
