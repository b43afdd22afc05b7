"""The contract of every backbone family: it builds, trains what it should, merges and comes back."""

import json
import re

import pytest
import torch

from pointsman.core.errors import ConfigError
from pointsman.models.adapters import LoraOptions, count_parameters, merge_lora, save_adapter
from pointsman.models.backbones import FAMILIES, find_family, lora_pattern
from pointsman.models.network import NetworkOptions, auto_class, build_network, load_network
from pointsman.models.weights import find_backbone
from pointsman.tasks.pii import PII
from pointsman.tasks.spec import TaskSpec

TONE = TaskSpec(
    name="tone", title="Tone", question="?", level="sequence", labels=("a", "b", "c"),
    headline="accuracy", checkpoint="accuracy",
)  # fmt: skip
SPECS = {"sequence": TONE, "token": PII}
METHODS = {"full": None, "lora": LoraOptions(rank=4)}
FRESH = {
    ("bert", "sequence"): {"bert.pooler.dense", "classifier"},
    ("bert", "token"): {"classifier"},
    ("roberta", "sequence"): {"classifier.dense", "classifier.out_proj"},
    ("roberta", "token"): {"classifier"},
    ("modernbert", "sequence"): {"head.dense", "head.norm", "classifier"},
    ("modernbert", "token"): {"head.dense", "head.norm", "classifier"},
    ("distilbert", "sequence"): {"pre_classifier", "classifier"},
    ("distilbert", "token"): {"classifier"},
    ("mpnet", "sequence"): {"classifier.dense", "classifier.out_proj"},
    ("mpnet", "token"): {"classifier"},
    ("deberta-v2", "sequence"): {"pooler.dense", "classifier"},
    ("deberta-v2", "token"): {"classifier"},
}
IDS = torch.tensor([[2, 9, 10, 11, 12, 3], [2, 20, 21, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])


def build(place, spec, lora=None, seed=0, **options):
    backbone = find_backbone(str(place))
    return build_network(backbone, spec, lora=lora, options=NetworkOptions(**options), seed=seed)


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=MASK).logits


def shake(model):
    """Move every parameter that trains, as training would: fresh adapters are zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += torch.randn_like(parameter) * 0.05


def test_the_table_is_what_is_tested_here(encoders):
    assert set(encoders) == set(FAMILIES)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", SPECS)
@pytest.mark.parametrize("family", FAMILIES)
def test_contract(encoders, tmp_path, family, level, method):
    spec = SPECS[level]
    network = build(encoders[family], spec, METHODS[method])
    model, fresh = network.model, network.fresh
    assert set(fresh) == FRESH[family, level]

    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    trainable, total = count_parameters(model)
    if method == "full":
        assert trainable == total
    else:
        layers = re.compile(find_family(family).layers)
        adapters = {name for name in trains if "lora_" in name}
        assert adapters and all(layers.search(name) for name in adapters)
        heads = {n.replace(".modules_to_save.default", "") for n in trains - adapters}
        wanted = {f"base_model.model.{module}" for module in fresh}
        assert {name.rpartition(".")[0] for name in heads} == wanted
        assert trainable < total / 2

    shake(model)
    model.eval()
    before = logits(model)
    outputs = len(model.config.id2label)
    assert outputs == (35 if level == "token" else 3)
    assert before.shape == ((2, 6, outputs) if level == "token" else (2, outputs))
    if method == "lora":
        save_adapter(model, tmp_path / "adapter", origin="org/name")
        settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
        assert settings["base_model_name_or_path"] == "org/name"
        assert not (tmp_path / "adapter" / "README.md").exists()
    merged = merge_lora(model).eval()
    assert merge_lora(merged) is merged
    assert torch.allclose(logits(merged), before, atol=1e-5)

    merged.save_pretrained(tmp_path)
    torch.manual_seed(99)  # whatever did not come back would be random, and another than before
    found, report = auto_class(spec).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.allclose(logits(found.eval()), before, atol=1e-5)
    assert torch.allclose(logits(load_network(tmp_path, spec)), before, atol=1e-5)
    if method == "lora":
        again = _from_adapter(encoders[family], spec, tmp_path / "adapter")
        assert torch.allclose(logits(again), before, atol=1e-5)


def _from_adapter(place, spec, adapter):
    """The adapter alone, on the backbone, under another seed: the fresh modules are in it."""
    from peft import PeftModel

    network = build(place, spec, seed=77)
    return PeftModel.from_pretrained(network.model, adapter).eval()


def test_fresh_weights_follow_the_seed(encoders):
    heads = [build(encoders["bert"], TONE, seed=s).model.classifier.weight for s in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_the_configuration_names_the_labels(encoders):
    config = build(encoders["bert"], TONE).model.config
    assert config.id2label == {0: "a", 1: "b", 2: "c"} and config.label2id["c"] == 2
    assert config.problem_type == "single_label_classification"
    assert build(encoders["bert"], PII).model.config.id2label[1] == "B-AGE"


def test_modernbert_pools_by_the_mean(encoders):
    assert "classifier_pooling" not in json.loads((encoders["bert"] / "config.json").read_text())
    model = build(encoders["modernbert"], TONE).model.eval()
    assert model.config.classifier_pooling == "mean"
    hidden = model.model(input_ids=IDS[1:], attention_mask=MASK[1:]).last_hidden_state
    mean = hidden[:, :4].mean(1)  # padding does not count
    assert torch.allclose(model.classifier(model.head(mean)), logits(model)[1:], atol=1e-5)


def test_padding_changes_nothing(encoders):
    for family in FAMILIES:
        model = build(encoders[family], TONE).model.eval()
        with torch.no_grad():
            alone = model(input_ids=IDS[1:, :4], attention_mask=MASK[1:, :4]).logits
        assert torch.allclose(alone, logits(model)[1:], atol=1e-5), family


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_options_reach_every_layer(encoders, family):
    def noise(**options):
        model = build(encoders[family], PII, **options).model.train()
        torch.manual_seed(5)
        return (logits(model) - logits(model)).abs().max().item()

    none = {"dropout": 0.0, "attention_dropout": 0.0}
    assert noise(**none) == 0
    assert noise(**{**none, "attention_dropout": 0.5}) > 0
    assert noise(**{**none, "dropout": 0.5}) > 0


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_head_dropout_is_of_the_head_alone(encoders, family):
    options = {"dropout": 0.0, "attention_dropout": 0.0, "head_dropout": 0.5}
    model = build(encoders[family], PII, **options).model.train()
    assert not torch.equal(logits(model), logits(model))
    body = model.base_model
    with torch.no_grad():
        a, b = (body(input_ids=IDS, attention_mask=MASK)[0] for _ in range(2))
    assert torch.equal(a, b)


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("family", FAMILIES)
def test_freezing_stops_the_embeddings_and_the_lower_layers(encoders, family):
    everything = trained(build(encoders[family], TONE).model)
    embeddings = everything - trained(build(encoders[family], TONE, freeze_embeddings=True).model)
    assert embeddings and all("embeddings" in name for name in embeddings)
    lower = everything - trained(build(encoders[family], TONE, freeze_layers=1).model)
    assert lower > embeddings
    assert all(".0." in name for name in lower - embeddings)
    assert any(".1." in name for name in everything - lower)


def test_freezing_holds_for_adapters_too(encoders):
    names = trained(build(encoders["bert"], TONE, LoraOptions(), freeze_layers=1).model)
    assert any("layer.1." in n for n in names) and not any("layer.0." in n for n in names)


def test_too_many_frozen_layers_are_refused(encoders):
    with pytest.raises(ConfigError, match="at most 2"):
        build(encoders["modernbert"], TONE, freeze_layers=3)


def test_unknown_lora_targets_suggest(encoders):
    with pytest.raises(ConfigError, match="'query'"):
        build(encoders["bert"], TONE, LoraOptions(targets=("querry",)))


def test_lora_targets_may_be_narrowed(encoders):
    narrow = build(encoders["modernbert"], TONE, LoraOptions(targets=("attn.Wqkv",))).model
    adapters = {name for name in trained(narrow) if "lora_" in name}
    assert adapters and all("Wqkv" in name for name in adapters)


def test_the_pattern_leaves_the_head_alone():
    pattern = re.compile(lora_pattern(find_family("roberta")))
    inside = "roberta.encoder.layer.3.attention.output.dense"
    assert pattern.fullmatch(inside)
    for outside in ("classifier.dense", "roberta.pooler.dense", "lm_head.dense"):
        assert not pattern.fullmatch(outside)


def test_a_warm_start_keeps_a_head_of_the_same_labels_and_renews_another(encoders, tmp_path):
    first = build(encoders["bert"], TONE, seed=3)
    first.model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((encoders["bert"] / "tokenizer.json").read_bytes())
    same = build(tmp_path, TONE, seed=4)
    assert same.fresh == ()
    assert torch.equal(same.model.classifier.weight, first.model.classifier.weight)
    two = TaskSpec.model_validate({**TONE.model_dump(), "labels": ("a", "b")})
    other = build(tmp_path, two, LoraOptions(), seed=4)
    assert other.fresh == ("classifier",)
    assert other.model.config.num_labels == 2
