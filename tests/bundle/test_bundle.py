"""A bundle is whole, says what is wrong with it when it is not, and loads without us."""

import errno
import json
import re

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from pointsman import load
from pointsman.bundle import layout
from pointsman.bundle.card import write_card
from pointsman.bundle.layout import find_bundles, read_bundle, write_bundle, write_meta
from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import BundleError, ConfigError, StorageError
from pointsman.core.files import sha256_file
from pointsman.tasks.intent import INTENT
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII

CLASSES = {
    "jailbreak": AutoModelForSequenceClassification,
    "pii": AutoModelForTokenClassification,
}


def meta(**changes):
    return BundleMeta(task=JAILBREAK, labels=JAILBREAK.labels, max_length=64, **changes)


def fill(directory):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (directory / name).write_text(name)
    (directory / "adapter").mkdir()
    (directory / "adapter" / "adapter_model.safetensors").write_text("adapter")


@pytest.fixture
def bundle(tmp_path):
    write_bundle(tmp_path / "bundle", meta, fill)
    return tmp_path / "bundle"


@pytest.mark.parametrize("name", CLASSES)
def test_transformers_loads_it_with_no_key_missing_or_left_over(demo, name):
    path = demo / "run" / name / "bundle"
    model, report = CLASSES[name].from_pretrained(path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert list(model.config.id2label.values()) == list(read_bundle(path).labels)
    assert model.dtype == torch.float32


@pytest.mark.parametrize("name", CLASSES)
def test_the_tokenizer_loads_beside_it_and_cuts_nothing(demo, name):
    path = demo / "run" / name / "bundle"
    text = "please solve the integral now " * 20
    ids = AutoTokenizer.from_pretrained(path)(text)["input_ids"]
    assert len(ids) > 100
    assert ids[1:9] == load(path)._encoder.encode([text])[0][0].input_ids[1:9]


def test_the_demo_bundles_say_everything(demo):
    lora, full = (read_bundle(demo / "run" / name / "bundle") for name in CLASSES)
    assert 0 < lora.thresholds["jailbreak"] < 1 and lora.operating_point["rule"] == "fpr=0.01"
    assert lora.cost.method == "lora" and lora.cost.adapter_mb > 0
    assert lora.cost.trainable_share == lora.cost.trainable_parameters / lora.cost.parameters < 0.5
    assert "adapter/adapter_model.safetensors" in lora.files
    assert full.cost.method == "full" and full.cost.trainable_share == 1
    assert full.cost.adapter_mb is None and full.cost.seconds > 0 and full.cost.peak_memory_mb > 1
    size = (demo / "run/pii/bundle/model.safetensors").stat().st_size
    assert full.cost.weights_mb == pytest.approx(size / 2**20, abs=0.01)
    assert full.provenance["backbone"]["model_type"] == "bert"
    assert set(full.provenance["data"]["hashes"]) == {"train", "validation", "test"}
    assert full.provenance["encoding"]["train"]["spans"]["lost"] == 0
    assert full.recipe["train"]["epochs"] == 10 and full.recipe["train"]["patience"] == 20
    assert full.versions["torch"] == torch.__version__
    assert full.validation["span_f1"] > 0.8 and full.metrics["span_f1"] > 0.8
    for name in ("config.json", "tokenizer.json", "model.safetensors", "tokenizer_config.json"):
        assert full.files[name] == sha256_file(demo / "run/pii/bundle" / name)


def test_a_bundle_comes_back(bundle):
    assert read_bundle(bundle).files.keys() == {
        "config.json", "tokenizer.json", "model.safetensors", "adapter/adapter_model.safetensors",
    }  # fmt: skip
    assert read_bundle(bundle).task == JAILBREAK


FILES = ("config.json", "tokenizer.json", "model.safetensors", "adapter/adapter_model.safetensors")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=re.escape(name)) as caught:
        read_bundle(bundle)
    assert caught.value.got == "missing"


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(bundle, name):
    with (bundle / name).open("a") as file:
        file.write(" ")
    with pytest.raises(BundleError, match=re.escape(name)) as caught:
        read_bundle(bundle)
    assert "changed" in caught.value.got and caught.value.fix


def test_a_file_without_a_hash_is_named(bundle):
    values = json.loads((bundle / "bundle.json").read_text())
    del values["files"]["config.json"]
    (bundle / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match=r"hash of config\.json"):
        read_bundle(bundle)


@pytest.mark.parametrize("content", ["", "{", '{"format": 1', "\x00"])
def test_a_broken_bundle_json_is_named(bundle, content):
    (bundle / "bundle.json").write_text(content)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        read_bundle(bundle)


@pytest.mark.parametrize("changes", [{"format": 3}, {"format": None}, {"format": "1"}])
def test_another_format_is_refused(bundle, changes):
    values = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**values, **changes}))
    with pytest.raises(BundleError, match="format 1") as caught:
        read_bundle(bundle)
    assert "pack it again" in caught.value.fix


@pytest.mark.parametrize("changes", [{"labels": 3}, {"surprise": 1}, {"task": {}}])
def test_a_bundle_json_of_another_shape_is_refused(bundle, changes):
    values = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**values, **changes}))
    with pytest.raises(BundleError, match=next(iter(changes))):
        read_bundle(bundle)


def test_a_directory_that_is_none_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        read_bundle(tmp_path)


def test_weights_that_do_not_fit_are_said(own_demo):
    path = own_demo / "run" / "pii" / "bundle"
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    hashes = {**read_meta(path).files, "config.json": sha256_file(path / "config.json")}
    write_meta(path, read_meta(path).model_copy(update={"files": hashes}))
    with pytest.raises(BundleError, match="weights that fit"):
        load(path)


def read_meta(path):
    return BundleMeta.model_validate_json((path / "bundle.json").read_text())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_bad_disk_leaves_the_old_bundle_whole(bundle, number):
    def full(directory):
        fill(directory)
        raise OSError(number, "no")

    with pytest.raises(StorageError) as caught:
        write_bundle(bundle, meta, full)
    assert str(bundle) in caught.value.needed
    assert read_bundle(bundle).task == JAILBREAK
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_an_interrupted_first_write_leaves_nothing(tmp_path):
    def stopped(directory):
        fill(directory)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "bundle", meta, stopped)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_replaces_a_bundle_but_nothing_else(bundle, tmp_path):
    write_bundle(bundle, lambda: meta(temperature=2.0), fill)
    assert read_bundle(bundle).temperature == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="something else"):
        write_bundle(tmp_path / "mine", meta, fill)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def place(*paths):
    for path in paths:
        path.mkdir(parents=True)
        (path / layout.META).write_text("{}")


def test_bundles_are_found_at_and_below(tmp_path):
    runs = tmp_path / "runs"
    place(runs / "pii" / "bundle", runs / "category" / "bundle", tmp_path / "lone")
    assert find_bundles([tmp_path / "lone"]) == [tmp_path / "lone"]
    assert find_bundles([runs / "pii"]) == [runs / "pii" / "bundle"]
    both = [runs / "category" / "bundle", runs / "pii" / "bundle"]
    assert find_bundles([runs]) == both
    assert find_bundles([runs / "pii", runs]) == both[::-1]


def test_nothing_found_says_what_to_do(tmp_path):
    for path, got in ((tmp_path, r"no bundle\.json"), (tmp_path / "x", "no such directory")):
        with pytest.raises(BundleError, match=got) as caught:
            find_bundles([path])
        assert "pointsman train" in caught.value.fix


def test_a_run_of_several_is_not_one_bundle(demo):
    with pytest.raises(ConfigError, match="jailbreak, pii"):
        load(demo / "run")


def test_the_card_of_a_trained_bundle(demo):
    card = (demo / "run" / "jailbreak" / "bundle" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: text-classification\n")
    assert "base_model: bert" in card and "# Jailbreak classifier" in card
    assert "- `benign`\n- `jailbreak`" in card
    assert "| roc_auc | " in card and "Method: lora, in fp32" in card and "Adapter: " in card
    assert "| jailbreak.jsonl |" in card


def test_cards_of_other_shapes():
    text = write_card(BundleMeta(task=INTENT, labels=INTENT.labels, max_length=8))
    assert "- `calculation` (tools: calculator, math_solver, statistics)" in text
    assert "- `no_function_needed`\n" in text
    assert "Not evaluated yet" in text and "## Training" not in text and "## Data" not in text
    assert "token-classification" in write_card(BundleMeta(task=PII, labels=("O",), max_length=8))


def test_the_card_says_where_its_data_came_from():
    sources = [
        {"name": "mmlu_pro", "hub": "TIGER-Lab/MMLU-Pro", "revision": "unpinned",
         "resolved_revision": "b189ec765aa7", "licence": "MIT"},
        {"name": "presidio", "hub": "microsoft/presidio-research", "url": "https://x.org/a.json",
         "revision": "sha256:ec08", "licence": "MIT"},
        {"name": "rows.csv", "licence": "unknown", "files": {"rows.csv": "0" * 64}},
    ]  # fmt: skip
    meta = BundleMeta(
        task=INTENT, labels=INTENT.labels, max_length=8, provenance={"data": {"sources": sources}}
    )
    card = write_card(meta)
    assert "| mmlu_pro | TIGER-Lab/MMLU-Pro | b189ec765aa7 (unpinned) | MIT |" in card
    assert "| presidio | https://x.org/a.json | sha256:ec08 | MIT |" in card
    assert "| rows.csv | local files |  | unknown |" in card


@pytest.mark.parametrize("also_task", [True, False])
def test_labels_in_another_order_than_the_networks_are_refused(own_demo, also_task):
    """`bundle.json` has no hash of its own; turned labels would turn every answer."""
    bundle = own_demo / "run" / "jailbreak" / "bundle"
    values = json.loads((bundle / "bundle.json").read_text())
    values["labels"].reverse()
    if also_task:
        values["task"]["labels"].reverse()
    (bundle / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match="the labels of its"):
        load(bundle)


@pytest.mark.parametrize("name", ["pointsman", "transformers"])
def test_a_bundle_of_a_newer_major_release_is_refused(own_demo, name):
    path = own_demo / "run" / "jailbreak" / "bundle"
    meta = read_bundle(path)
    write_meta(path, meta.model_copy(update={"versions": {**meta.versions, name: "99.1.0"}}))
    with pytest.raises(BundleError, match=rf"{name} 99\.1\.0(.|\n)*upgrade {name}"):
        read_bundle(path)
