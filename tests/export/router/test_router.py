"""What is exported for a semantic router is the model that was trained, and meets its contract."""

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from pointsman import load
from pointsman.bundle.layout import read_any, read_bundle, write_bundle, write_meta
from pointsman.core.errors import ConfigError, ExportError
from pointsman.data.encode import TextEncoder
from pointsman.export.contract import verify_contract
from pointsman.export.heads import read_heads
from pointsman.export.router import export_router, lora_config, router_config
from pointsman.export.router_config import FRAGMENT, LEAST, threshold_of
from pointsman.export.slots import (
    SLOTS,
    directory_name,
    prefix_clash,
    slot_of_name,
    told_architecture,
)
from pointsman.runtime.windows import softmax
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.intent import INTENT
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.labels import model_labels
from pointsman.tasks.pii import PII
from tests.conftest import CORPUS, make_tokenizer
from tests.export.router.conftest import POINTS, TASKS, make_bundle

FAMILIES = ("modernbert", "bert")
TEXTS = CORPUS[:4]


def exported(models, family, task):
    slot = SLOTS[task]
    (found,) = models[family].glob(f"{slot.prefix}*")
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_whole_set_meets_the_static_contract(models, family):
    report = verify_contract(models[family])
    assert report.holds, report.broken
    assert [part.name for part in report.parts] == sorted(
        p.name for p in models[family].glob("lora*")
    )
    complete = {verdict.id: verdict for verdict in report.verdicts}["set.complete"]
    assert complete.status == "pass" and family in complete.found
    for part in report.parts:
        assert verify_contract(models[family] / part.name).holds


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
def test_softmax_of_its_logits_is_the_calibrated_probability(models, bundles, family, task):
    path, bundle = exported(models, family, task), bundles[family, task]
    meta = read_bundle(bundle)
    assert meta.temperature != 1
    readings = load(bundle).read(TEXTS)
    auto = AutoModelForTokenClassification if task == "pii" else AutoModelForSequenceClassification
    model, said = auto.from_pretrained(path, output_loading_info=True)
    assert not any(said[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    encoder = TextEncoder.from_directory(path, max_length=48)
    for reading, (window, *_) in zip(readings, encoder.encode(TEXTS), strict=True):
        with torch.inference_mode():
            logits = model.eval()(torch.tensor([window.input_ids])).logits[0].numpy()
        wanted = softmax(reading.logits[0] / meta.temperature)
        np.testing.assert_allclose(softmax(logits), wanted, atol=1e-5)


def test_decisions_at_the_translated_threshold_are_the_bundles_own(models, bundles):
    bundle = bundles["modernbert", "jailbreak"]
    fragment = yaml.safe_load((models["modernbert"] / FRAGMENT).read_text())
    threshold = fragment["prompt_guard"]["threshold"]
    own = load(bundle)
    path = exported(models, "modernbert", "jailbreak")
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    encoder = TextEncoder.from_directory(path, max_length=48)
    texts = [f"{text} {n}" for n in range(8) for text in TEXTS]
    said = []
    for window, *_ in encoder.encode(texts):
        with torch.inference_mode():
            logits = model(torch.tensor([window.input_ids])).logits[0].numpy()
        said.append("jailbreak" if softmax(logits)[1] >= threshold else "benign")
    short = [len(windows) == 1 for windows in encoder.encode(texts)]
    assert sum(short) > 20
    answers = [p.label for p in own.predict(texts)]
    assert [a for a, s in zip(answers, short, strict=True) if s] == [
        a for a, s in zip(said, short, strict=True) if s
    ]


@pytest.mark.parametrize("task", TASKS)
def test_flat_keys_are_those_of_the_model_in_memory(models, task):
    path = exported(models, "modernbert", task)
    config = json.loads((path / "config.json").read_text())
    auto = AutoModelForTokenClassification if task == "pii" else AutoModelForSequenceClassification
    model = auto.from_pretrained(path).eval()
    rotary = model.model.rotary_emb
    width = config["hidden_size"] // config["num_attention_heads"]
    for key, kind in (("global_rope_theta", "full"), ("local_rope_theta", "sliding")):
        steps = torch.arange(0, width, 2) / width
        torch.testing.assert_close(
            getattr(rotary, f"{kind}_attention_inv_freq"), 1 / config[key] ** steps
        )
    assert config["global_rope_theta"] == 160_000 and config["local_rope_theta"] == 10_000
    assert config["layer_norm_eps"] == model.model.final_norm.eps == model.head.norm.eps
    every = config["global_attn_every_n_layers"]
    assert [bool(i % every) for i in range(2)] == [
        layer.attention_type == "sliding_attention" for layer in model.model.layers
    ]
    assert config["local_attention"] == 16 and config["pad_token_id"] == 1
    assert config["num_labels"] == len(config["id2label"])


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_beside_the_weights(models, bundles, family):
    for task, slot in SLOTS.items():
        path = exported(models, family, task)
        labels = read_bundle(bundles[family, task]).labels
        mapping = json.loads((path / slot.mapping).read_text())
        assert set(mapping) == {slot.forward, slot.backward}
        assert mapping[slot.backward] == {str(i): label for i, label in enumerate(labels)}
        assert mapping[slot.forward] == {label: i for i, label in enumerate(labels)}
        lora = json.loads((path / "lora_config.json").read_text())
        for long, short in (("rank", "r"), ("alpha", "lora_alpha"), ("dropout", "lora_dropout")):
            assert lora[long] == lora[short]
        assert lora["target_modules"]
        tensors = load_file(path / "model.safetensors")
        assert {str(tensor.dtype) for tensor in tensors.values()} == {"float32"}
        made = json.loads((path / "pointsman.json").read_text())
        assert made["temperature"] == POINTS[task]["temperature"] and made["task"] == task


def test_the_fragment_has_the_routers_keys_and_the_calibrated_thresholds(models):
    text = (models["modernbert"] / FRAGMENT).read_text()
    values = yaml.safe_load(text)
    assert set(values) == {"classifier", "prompt_guard"}
    for task, slot in SLOTS.items():
        section = values
        for key in slot.section:
            section = section[key]
        place = exported(models, "modernbert", task).name
        assert section["model_id"] == f"models/{place}"
        assert section[slot.mapping_key] == f"models/{place}/{slot.mapping}"
        assert section["use_cpu"] is True
    assert values["prompt_guard"]["enabled"] is True
    assert values["prompt_guard"]["threshold"] == 0.8375
    assert values["classifier"]["category_model"]["threshold"] == 0.41
    assert values["classifier"]["pii_model"]["threshold"] == LEAST, "one type's must not bind all"
    assert "512 tokens" in text and "fpr=0.01" in text and "static contract" in text
    for line in text.splitlines():
        assert line.startswith("#") or "#" not in line, (
            "the router reads a threshold to the line's end"
        )
        assert (len(line) - len(line.lstrip())) % 2 == 0


def test_thresholds_that_the_router_does_not_take(bundles):
    meta = read_bundle(bundles["bert", "pii"])
    every = {label: 0.3 + index / 100 for index, label in enumerate(PII.labels)}
    kept = threshold_of(meta.model_copy(update={"thresholds": every}))
    assert kept.value == 0.3 and "least" in kept.note
    none = threshold_of(meta.model_copy(update={"thresholds": {}}))
    assert none.value == LEAST < 1 / len(meta.labels) and "least" not in none.note
    detector = read_bundle(bundles["bert", "jailbreak"])
    tiny = detector.model_copy(update={"thresholds": {"jailbreak": 2e-5}})
    assert threshold_of(tiny).value == 2e-5
    assert "likeliest label does not" in threshold_of(tiny).note
    assert "likeliest" not in threshold_of(detector).note
    assert threshold_of(detector.model_copy(update={"thresholds": {}})).value == 0.5


@pytest.mark.parametrize(
    ("point", "below", "value", "words"),
    [
        (
            {"rule": "accuracy=0.95", "reached": True},
            0.0,
            LEAST,
            "accuracy=0.95 needs no threshold",
        ),
        ({"rule": "accuracy=0.95", "reached": False}, 0.0, LEAST, "is out of reach with any"),
        ({"rule": "accuracy=0.95", "reached": False}, 0.9, 0.9, "which was out of reach; below it"),
        (
            {"rule": "accuracy=0.95", "reached": True},
            0.9,
            0.9,
            "chosen for accuracy=0.95; below it",
        ),
        ({}, 0.0, LEAST, "not calibrated; below it"),
    ],
)
def test_a_threshold_says_what_it_was_chosen_for(bundles, point, below, value, words):
    meta = read_bundle(bundles["bert", "category"])
    found = threshold_of(meta.model_copy(update={"operating_point": point, "abstain_below": below}))
    assert found.value == value and words in found.note


@pytest.mark.parametrize(
    ("family", "backbone", "wanted"),
    [
        ("modernbert", "modernbert-base", "lora_pii_detector_modernbert-base_model"),
        ("modernbert", "answerdotai/ModernBERT-base", "lora_pii_detector_modernbert-base_model"),
        ("modernbert", "My Own", "lora_pii_detector_modernbert-base_my-own_model"),
        ("modernbert", "roberta-base", "lora_pii_detector_modernbert-base_model"),
        ("bert", "minilm", "lora_pii_detector_minilm_model"),
        ("bert", "google-bert/bert-base-uncased", "lora_pii_detector_bert-base-uncased_model"),
        (
            "bert",
            "like-roberta-base",
            "lora_pii_detector_bert-base-uncased_like-roberta-base_model",
        ),
        ("bert", "", "lora_pii_detector__model"),
    ],
)
def test_a_name_tells_task_and_architecture(family, backbone, wanted):
    name = directory_name(SLOTS["pii"], family, backbone)
    assert name == wanted
    assert slot_of_name(name) == SLOTS["pii"] and told_architecture(name) == family


def test_a_name_that_no_architecture_fits_is_not_found():
    name = directory_name(SLOTS["jailbreak"], "deberta-v2", "deberta-v3-base")
    assert slot_of_name(name) is None


def test_no_name_of_the_17_types_begins_another():
    assert len(PII.labels) == 17 and prefix_clash(PII.labels) is None
    assert prefix_clash(("US_SSN", "DATE", "DATE_TIME")) == ("DATE", "DATE_TIME")


def refusal(path, out):
    with pytest.raises(ExportError) as error:
        export_router([path], out, say=lambda line: None)
    assert not out.exists(), "nothing is written"
    return error.value.got


def test_roberta_is_refused_with_the_reason_and_the_ways_out(backbones, tmp_path):
    path = make_bundle(backbones["roberta"], JAILBREAK, tmp_path / "bundle")
    got = refusal(path, tmp_path / "out")
    assert "roberta" in got and "--to router-onnx" in got and "remote contract" in got


def test_intent_is_refused_for_want_of_a_slot(backbones, tmp_path):
    path = make_bundle(backbones["bert"], INTENT, tmp_path / "bundle")
    got = refusal(path, tmp_path / "out")
    assert "no slot" in got and "remote contract" in got


def edited(bundle, path, config=None, **meta):
    """A copy of a bundle with another configuration or metadata."""
    old = read_bundle(bundle)

    def fill(directory):
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            (directory / name).write_bytes((bundle / name).read_bytes())
        values = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps({**values, **(config or {})}))

    write_bundle(path, lambda: old.model_copy(update=meta), fill)
    return path


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"classifier_pooling": "cls"}, "mean"),
        ({"norm_bias": True}, "norm_bias"),
        ({"classifier_bias": True}, "classifier_bias"),
        ({"classifier_activation": "silu"}, "GELU"),
        ({"layer_types": ["sliding_attention", "full_attention"]}, "distance"),
        (
            {
                "rope_parameters": {
                    "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e5},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
                }
            },
            "scaled",
        ),
        ({"model_type": "distilbert"}, "distilbert"),
        ({"model_type": "mpnet"}, "mpnet"),
        ({"model_type": "deberta-v2"}, "jailbreak only"),
    ],
)
def test_a_model_that_the_router_would_compute_otherwise_is_refused(
    bundles, tmp_path, config, word
):
    path = edited(bundles["modernbert", "category"], tmp_path / "bundle", config)
    assert word in refusal(path, tmp_path / "out")


def test_a_token_model_is_not_pooled_and_needs_no_mean(bundles, tmp_path):
    path = edited(bundles["modernbert", "pii"], tmp_path / "bundle", {"classifier_pooling": "cls"})
    (done,) = export_router([path], tmp_path / "out", say=lambda line: None)
    assert done.report.holds


def test_an_attack_by_another_name_is_refused(backbones, tmp_path):
    spec = JAILBREAK.model_copy(update={"labels": ("benign", "attack"), "positive": "attack"})
    path = make_bundle(backbones["modernbert"], spec, tmp_path / "bundle")
    assert "'attack'" in refusal(path, tmp_path / "out")


def test_entities_that_the_router_would_mix_up_are_refused(backbones, tmp_path):
    spec = PII.model_copy(update={"labels": ("DATE", "DATE_TIME", "PERSON")})
    path = make_bundle(backbones["modernbert"], spec, tmp_path / "bundle")
    got = refusal(path, tmp_path / "out")
    assert "DATE begins DATE_TIME" in got


def test_a_deberta_detector_passes_and_is_not_found_by_itself(tmp_path):
    from transformers import AutoModel, DebertaV2Config

    tokenizer = make_tokenizer("bert")
    config = DebertaV2Config(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=64, max_position_embeddings=130, pad_token_id=0,
        relative_attention=True, pos_att_type=["p2c", "c2p"], type_vocab_size=0,
    )  # fmt: skip
    backbone = tmp_path / "deberta"
    AutoModel.from_config(config).save_pretrained(backbone)
    tokenizer.save(str(backbone / "tokenizer.json"))
    path = make_bundle(backbone, JAILBREAK, tmp_path / "bundle", thresholds={"jailbreak": 0.5})
    (done,) = export_router([path], tmp_path / "out", say=lambda line: None)
    assert done.report.holds and slot_of_name(done.path.name) is None
    assert "deberta-v2" in done.path.name


def test_one_bundle_a_slot(bundles, tmp_path):
    twice = [bundles["bert", "pii"], bundles["modernbert", "pii"]]
    with pytest.raises(ExportError, match="pii twice"):
        export_router(twice, tmp_path / "out", say=lambda line: None)


def test_of_a_run_of_several_tasks_those_without_a_slot_are_left_out(bundles, backbones, tmp_path):
    run = tmp_path / "run"
    edited(bundles["bert", "category"], run / "category" / "bundle")
    make_bundle(backbones["bert"], INTENT, run / "intent" / "bundle")
    lines = []
    done = export_router([run], tmp_path / "out", say=lines.append)
    assert [d.path.name for d in done] == ["lora_intent_classifier_bert_model"]
    assert any("intent" in line and "left out" in line for line in lines)


def test_a_foreign_directory_of_that_name_stays(bundles, tmp_path):
    place = tmp_path / "out" / "lora_pii_detector_bert_model"
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="something else"):
        export_router([bundles["bert", "pii"]], tmp_path / "out", say=lambda line: None)
    assert (place / "mine.txt").read_text() == "mine"


def test_an_export_again_replaces_the_first(bundles, tmp_path):
    for temperature in (1.0, 2.0):
        path = edited(
            bundles["bert", "pii"], tmp_path / str(temperature) / "bundle", temperature=temperature
        )
        export_router([path], tmp_path / "out", say=lambda line: None)
    (place,) = (tmp_path / "out").glob("lora*")
    assert json.loads((place / "pointsman.json").read_text())["temperature"] == 2.0
    own, folded = (
        load_file(p / "model.safetensors")["classifier.weight"]
        for p in (bundles["bert", "pii"], place)
    )
    np.testing.assert_array_equal(folded, own / 2)


def test_notes_say_what_the_router_does_otherwise(bundles, tmp_path):
    lines = []
    export_router([bundles["bert", "pii"]], tmp_path / "out", say=lines.append)
    text = "\n".join(lines)
    for word in (
        "static contract",
        "512 tokens",
        "offsets",
        "temperature of 0.600",
        "128 positions",
    ):
        assert word in text
    assert "verified in the router" not in text


def test_lora_settings_are_those_of_training(bundles):
    meta = read_bundle(bundles["bert", "jailbreak"])
    recipe = {"train": {"method": "lora", "lora": {"rank": 12, "alpha": None, "dropout": 0.0}}}
    found = lora_config(meta.model_copy(update={"recipe": recipe}), "bert")
    assert (found["rank"], found["r"], found["alpha"], found["lora_alpha"]) == (12, 12, 24, 24)
    assert found["dropout"] == found["lora_dropout"] == 0 and found["method"] == "lora"
    full = lora_config(meta, "bert")
    assert full["method"] == "full" and full["target_modules"] == ["query", "key", "value", "dense"]


def test_heads_of_a_trunk_keep_the_lora_settings_of_their_own_training(backbones, tmp_path):
    path = make_shared(backbones["bert"], tmp_path / "bundle", 1)
    meta = read_any(path)
    own = {"train": {"method": "lora", "lora": {"rank": 5}}}
    pii = meta.heads["pii"].model_copy(update={"recipe": own})
    write_meta(path, meta.with_head(pii).model_copy(update={"recipe": {"method": "trunk"}}))
    found = {head.name: lora_config(head.meta, "bert") for head in read_heads(path)}
    assert (found["pii"]["rank"], found["pii"]["r"], found["pii"]["method"]) == (5, 5, "lora")
    assert found["jailbreak"]["method"] == "full"


def test_mmbert_says_that_it_has_no_position_embeddings(bundles):
    (head,) = read_heads(bundles["modernbert", "category"])
    assert "position_embedding_type" not in router_config(head.meta, head.config)
    large = router_config(head.meta, {**head.config, "vocab_size": 256_000})
    assert large["position_embedding_type"] == "sans_pos"


def test_a_configuration_that_leaves_keys_out_gets_the_models_own(bundles):
    (head,) = read_heads(bundles["modernbert", "category"])
    bare = {
        key: value
        for key, value in head.config.items()
        if key not in ("norm_eps", "global_attn_every_n_layers", "rope_parameters", "layer_types")
    }
    found = router_config(head.meta, {**bare, "num_hidden_layers": 6})
    assert found["layer_norm_eps"] == 1e-5 and found["global_attn_every_n_layers"] == 3
    assert (found["global_rope_theta"], found["local_rope_theta"]) == (160_000, 10_000)
    assert CATEGORY.labels == tuple(found["id2label"].values())


def make_shared(backbone, path, trunk_layers):
    """Pack a shared bundle of random weights with all four heads."""
    from pointsman.bundle.meta import BundleMeta, SharedMeta
    from pointsman.models.network import build_network
    from pointsman.models.shared import SharedNetwork, save_shared
    from pointsman.models.weights import find_backbone

    found = find_backbone(str(backbone))
    specs = {spec.name: spec for spec in (CATEGORY, PII, JAILBREAK, INTENT)}
    models = {name: build_network(found, spec, seed=3).model for name, spec in specs.items()}
    network = SharedNetwork(models, specs, trunk_layers=trunk_layers)
    with torch.no_grad():
        for head in network.heads.values():
            for weight in head.parameters():  # layers of its own differ from the other heads'
                weight.add_(torch.randn_like(weight) * 0.1)
    heads = {
        name: BundleMeta(
            task=spec,
            labels=model_labels(spec),
            max_length=48,
            temperature=POINTS.get(name, {}).get("temperature", 1.0),
        )
        for name, spec in specs.items()
    }
    meta = SharedMeta(
        heads=heads,
        max_length=48,
        trunk_layers=trunk_layers,
        provenance={"backbone": found.provenance()},
    )

    def fill(directory):
        save_shared(network, directory)
        TextEncoder.from_backbone(found.path, max_length=48).save(directory)

    write_bundle(path, lambda: meta, fill)
    return path


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "trunk_layers", [1, 2, {"category": 2, "pii": 1, "jailbreak": 2, "intent": 0}]
)
def test_heads_that_share_an_encoder_become_whole_models(backbones, tmp_path, family, trunk_layers):
    lines = []
    path = make_shared(backbones[family], tmp_path / "bundle", trunk_layers)
    done = export_router([path], tmp_path / "out", say=lines.append)
    assert len(done) == 3 and verify_contract(tmp_path / "out").holds
    assert any("intent" in line and "left out" in line for line in lines)
    shared = load(path)
    encoder = TextEncoder.from_directory(path, max_length=48)
    windows = [parts[0].input_ids for parts in encoder.encode(TEXTS)]
    for task, slot in SLOTS.items():
        place = next((tmp_path / "out").glob(f"{slot.prefix}*"))
        auto = (
            AutoModelForTokenClassification if task == "pii" else AutoModelForSequenceClassification
        )
        model = auto.from_pretrained(place).eval()
        readings = shared.head(task).read(TEXTS)
        for ids, reading in zip(windows, readings, strict=True):
            with torch.inference_mode():
                logits = model(torch.tensor([ids])).logits[0].numpy()
            wanted = softmax(reading.logits[0] / POINTS[task]["temperature"])
            np.testing.assert_allclose(softmax(logits), wanted, atol=1e-5)
