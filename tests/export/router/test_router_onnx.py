"""The router's ONNX directories: one a head, of any family, with the graph that was proven."""

import json
import shutil

import numpy as np
import onnxruntime as ort
import pytest
import yaml

from pointsman.bundle.layout import read_meta, write_meta
from pointsman.core.errors import ExportError
from pointsman.data.encode import TextEncoder
from pointsman.export import router_onnx
from pointsman.export.contract import verify_contract
from pointsman.export.router_onnx import FRAGMENT, export_router_onnx
from pointsman.runtime.predictor import load_head
from pointsman.runtime.windows import softmax
from pointsman.tasks.jailbreak import JAILBREAK
from tests.conftest import CORPUS
from tests.export.router.conftest import make_bundle
from tests.random_bundles import make_shared, spoil_graph

TEXTS = CORPUS[:4]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A shared bundle of two tasks, and what became of it."""
    root = tmp_path_factory.mktemp("router-onnx")
    make_shared(root / "run" / "bundle", "bert", ["pii", "intent"])
    export_router_onnx([root / "run"], root / "out", say=lambda line: None)
    return root


def test_every_head_becomes_a_directory_that_meets_the_contract(place):
    files = {p.name: {f.name for f in p.iterdir()} for p in (place / "out").iterdir() if p.is_dir()}
    common = {"config.json", "model.onnx", "pointsman.json", "tokenizer.json"}
    assert files == {
        "intent_bert_onnx": common,
        "pii_bert_onnx": common | {"pii_type_mapping.json"},
    }
    for contract in ("router", "router-onnx"):  # a graph without weights is judged as one
        report = verify_contract(place / "out", contract)
        assert report.holds and {part.contract for part in report.parts} == {"router-onnx"}
        for part in report.parts:
            assert {verdict.status for verdict in part.verdicts} == {"pass"}
        assert report.verdicts[0].status == "not applicable"
    assert verify_contract(place / "out" / "pii_bert_onnx").holds


@pytest.mark.parametrize("task", ["pii", "intent"])
def test_its_probabilities_are_the_calibrated_ones(place, task):
    path = place / "out" / f"{task}_bert_onnx"
    predictor = load_head(place / "run", task, backend="torch")
    assert predictor.meta.temperature > 1
    session = ort.InferenceSession(str(path / "model.onnx"))
    readings = predictor.read(TEXTS)
    encoder = TextEncoder.from_directory(path, max_length=predictor.meta.max_length)
    for reading, (window, *_) in zip(readings, encoder.encode(TEXTS), strict=True):
        ids = np.asarray([window.input_ids])
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        (logits,) = session.run(["logits"], feeds)
        wanted = softmax(reading.logits[0] / predictor.meta.temperature)
        np.testing.assert_allclose(softmax(logits[0]), wanted, atol=1e-5)
    config = json.loads((path / "config.json").read_text())
    assert tuple(config["id2label"].values()) == predictor.meta.labels
    assert config["num_labels"] == len(predictor.meta.labels)
    level = "Token" if task == "pii" else "Sequence"
    assert config["architectures"] == [f"BertFor{level}Classification"]
    proof = json.loads((path / "pointsman.json").read_text())["proof"]
    assert proof["rows"] == 200 and proof["logit_error"] < 1e-4 and proof["blessed"]


def test_the_fragment_names_those_that_have_a_slot(place):
    text = (place / "out" / FRAGMENT).read_text()
    assert "--to router-onnx" in text
    (section,) = yaml.safe_load(text)["classifier"].items()
    assert section[0] == "pii_model" and section[1]["model_id"] == "models/pii_bert_onnx"
    assert section[1]["pii_mapping_path"] == "models/pii_bert_onnx/pii_type_mapping.json"


@pytest.mark.parametrize("spoilt", [True, False])
def test_a_graph_that_answers_otherwise_is_not_written(
    golden_bundles, tmp_path, monkeypatch, spoilt
):
    """A RoBERTa's graph that is damaged, or that knows nothing of the temperature."""
    path = tmp_path / "bundle"
    shutil.copytree(golden_bundles["roberta-category"], path)
    if spoilt:
        write_meta(path, read_meta(path).model_copy(update={"temperature": 1.0}))

    def copied(module, outputs, file):
        shutil.copy(path / "export" / "onnx-fp32" / "model.onnx", file)
        if broken:
            spoil_graph(file, outputs[0])

    broken = spoilt
    monkeypatch.setattr(router_onnx, "write_onnx", copied)
    with pytest.raises(ExportError, match="within 0.0001 of torch's"):
        export_router_onnx([path], tmp_path / "out", say=lambda line: None)
    assert not list((tmp_path / "out").iterdir())
    if spoilt:  # the very same graph is written where it is whole
        broken = False
        (done,) = export_router_onnx([path], tmp_path / "out", say=lambda line: None)
        assert done.report.holds and "roberta" in done.path.name
        assert (done.path / "category_mapping.json").is_file()


def test_labels_that_the_router_misreads_are_refused(backbones, tmp_path):
    spec = JAILBREAK.model_copy(update={"labels": ("benign", "attack"), "positive": "attack"})
    path = make_bundle(backbones["bert"], spec, tmp_path / "bundle")
    with pytest.raises(ExportError) as error:
        export_router_onnx([path], tmp_path / "out", say=lambda line: None)
    assert "'attack'" in error.value.got and not (tmp_path / "out").exists()


def test_two_bundles_of_one_task_are_refused(bundles, tmp_path):
    twice = [bundles["modernbert", "jailbreak"], bundles["bert", "jailbreak"]]
    with pytest.raises(ExportError, match="jailbreak twice"):
        export_router_onnx(twice, tmp_path / "out", say=lambda line: None)
