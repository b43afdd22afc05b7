"""`pointsman export --to router` and `pointsman verify --contract`, from the command line."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointsman.cli.main import app
from pointsman.core.errors import ConfigError, ExportError
from pointsman.pipeline.forms import OUTSIDE


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def exported(demo, tmp_path):
    """The demo's detector and PII model, exported for the router."""
    result = run("export", demo / "run", "--to", "router", "-o", tmp_path / "models")
    assert result.exit_code == 0, result.output
    assert "meets the static contract" in result.stderr and "verified" not in result.stderr
    return tmp_path / "models"


def test_a_run_becomes_a_directory_a_task_and_a_fragment(exported):
    assert sorted(path.name for path in exported.iterdir()) == [
        "lora_jailbreak_classifier_bert_model", "lora_pii_detector_bert_model", "router-config.yaml",
    ]  # fmt: skip
    lora = json.loads(
        (exported / "lora_jailbreak_classifier_bert_model/lora_config.json").read_text()
    )
    assert (lora["rank"], lora["r"], lora["method"]) == (4, 4, "lora")


def test_each_directory_verifies_and_the_set_says_what_it_lacks(exported):
    for path in exported.glob("lora*"):
        result = run("verify", path, "--contract", "router")
        assert result.exit_code == 0, result.output
        assert "weights.merged" in result.stdout and "meets the static contract" in result.stderr
    result = run("verify", exported, "--contract", "router")
    assert result.exit_code == 9 and "set.complete" in result.stderr


def test_a_broken_directory_fails_and_json_says_where(exported):
    place = exported / "lora_pii_detector_bert_model"
    (place / "lora_config.json").unlink()
    result = run("verify", place, "--contract", "router", "--json")
    assert result.exit_code == 9
    values = json.loads(result.stdout)
    assert [v["id"] for v in values["verdicts"] if v["status"] == "fail"] == ["lora.there"]
    assert "lora.there" in run("verify", place, "--contract", "router").stderr


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (["run"], "run/router"),
        (["run/pii"], "run/pii/router"),
        (["run/pii/bundle"], "run/pii/router"),
        (["run/pii", "run/jailbreak"], "run/router"),
        (["run/pii", "-o", "models"], "models"),
    ],
)
def test_models_go_beside_the_bundle_unasked(demo, monkeypatch, given, place):
    written = []

    def noted(paths, out, *, say):
        written.append((target, paths, out.resolve()))

    monkeypatch.chdir(demo)
    for target in OUTSIDE:
        monkeypatch.setitem(OUTSIDE, target, noted)
        written.clear()
        assert run("export", *given, "--to", target).exit_code == 0
        paths = [Path(path) for path in given[: given.index("-o") if "-o" in given else None]]
        assert written == [(target, paths, (demo / place).resolve())]


def test_targets_without_a_precision_are_left_out(demo, monkeypatch):
    made = []
    monkeypatch.setitem(OUTSIDE, "router", lambda *rest, **more: made.append("router"))
    monkeypatch.setattr(
        "pointsman.pipeline.export.export_bundle", lambda path, forms, **more: made.extend(forms)
    )
    monkeypatch.setattr("pointsman.cli.export._show", lambda outcomes: None)
    monkeypatch.setattr("pointsman.pipeline.export.refuse_unblessed", lambda outcomes: None)
    words = ("export", demo / "run" / "pii", "--to", "onnx,openvino,router", "--precision")
    result = run(*words, "bf16")
    assert result.exit_code == 0, result.output
    assert made == [("openvino", "bf16")]
    assert "onnx has no bf16, but fp32, int8: left out" in result.stderr
    assert "router has no bf16, but fp32: left out" in result.stderr
    made.clear()
    result = run(*words, "fp32,int8")
    assert made == ["router", ("onnx", "fp32"), ("onnx", "int8"), ("openvino", "fp32"), ("openvino", "int8")]  # fmt: skip
    assert "router has no int8, but fp32: left out" in result.stderr
    assert "onnx has" not in result.stderr


def test_what_a_command_needs(demo, tmp_path):
    for words, error in (
        (
            ("export", demo / "run", "--to", "router", "--precision", "int8", "-o", tmp_path),
            ConfigError,
        ),
        (("verify", tmp_path, "--contract", "router"), ConfigError),
        (("verify", tmp_path, "--contract", "other"), ConfigError),
    ):
        assert isinstance(run(*words).exception, error), words


def test_a_refusal_is_an_error_with_the_reason(demo, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(demo / "run" / "jailbreak" / "bundle", copy)
    values = json.loads((copy / "bundle.json").read_text())
    values["task"] |= {"name": "weather"}
    (copy / "bundle.json").write_text(json.dumps(values))
    result = run("export", copy, "--to", "router", "-o", tmp_path / "out")
    assert isinstance(result.exception, ExportError) and "no slot" in str(result.exception)
    assert result.exception.exit_code == 9 and not (tmp_path / "out").exists()
