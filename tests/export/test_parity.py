"""`pointsman verify`: what passes, and that every kind of damage is seen and named."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pointsman.bundle.exports import EXPORT, INDEX
from pointsman.bundle.layout import CONFIG, META, TOKENIZER, read_bundle, write_meta
from pointsman.core.errors import BundleError
from pointsman.core.files import read_json, sha256_file, write_json
from pointsman.export.golden import GOLDEN, read_golden
from pointsman.export.parity import TOLERANCES, Subject
from pointsman.export.verify import ParityError, find_subjects, verify_bundle
from pointsman.runtime.backend import load_backend
from tests.cli.conftest import pointsman as pointsman
from tests.random_bundles import spoil_graph

KEPT = 40  # golden texts in most of these tests: all 200 are replayed once a task


@pytest.fixture(scope="module")
def whole(golden_bundles):
    """A detector and a finder with golden answers and an ONNX export."""
    return {"jailbreak": golden_bundles["bert-jailbreak"], "pii": golden_bundles["modernbert-pii"]}


@pytest.fixture
def copy(whole, tmp_path):
    """Copies of both with fewer golden texts."""
    for name in ("jailbreak", "pii"):
        shutil.copytree(whole[name], tmp_path / "copy" / name)
        edit_golden(tmp_path / "copy" / name, lambda rows: rows[:: len(rows) // KEPT])
    return tmp_path / "copy"


def edit_golden(path, change):
    """Change golden answers as somebody would who knows to renew the hash."""
    rows = [json.loads(line) for line in (path / GOLDEN).read_text().split("\n")[:-1]]
    rows = change(rows)
    (path / GOLDEN).write_text("".join(json.dumps(row) + "\n" for row in rows))
    rehash(path, GOLDEN)


def rehash(path, name):
    meta = read_json(path / META)
    meta["files"][name] = sha256_file(path / name)
    write_json(path / META, meta)


def faults(found, backend):
    (outcome,) = [o for o in found.outcomes if o.backend == backend]
    return " | ".join(outcome.faults)


@pytest.mark.parametrize("name", ["jailbreak", "pii"])
def test_torch_and_onnxruntime_pass_all_texts(whole, name):
    found = verify_bundle(whole[name])
    backends = [outcome.backend for outcome in found.outcomes]
    assert backends == ["tokenizer", "torch fp32", "onnxruntime fp32"] and found.texts == 200
    assert found.passed and not [outcome.faults for outcome in found.outcomes if outcome.faults]
    for outcome in found.outcomes[1:]:
        assert set(outcome.worst) == {"alone", "together", "padded"}
        assert max(outcome.worst.values()) < 1e-4 and outcome.batching < 1e-4
        assert outcome.decisions == 1.0 and outcome.probability < 1e-4
    found.check()


HEADS = ("pii", "jailbreak", "category")


def test_every_head_of_a_shared_bundle_is_verified_with_the_others_and_by_itself(golden_bundles):
    found = verify_bundle(golden_bundles["bert-shared"])
    checked = [(outcome.backend, outcome.asked) for outcome in found.outcomes[1:]]
    asked = [*HEADS, *(f"{head} by itself" for head in HEADS)]
    assert checked == [(b, a) for b in ("torch fp32", "onnxruntime fp32") for a in asked]
    assert found.passed and found.texts == 200
    for outcome in found.outcomes[1:]:
        assert set(outcome.worst) == {"alone", "together", "padded"}
    assert [o["by_itself"] for o in found.to_dict()["outcomes"]].count(True) == 6


@pytest.mark.parametrize(
    ("graph", "head", "failed"),
    [
        ("head-pii.onnx", "pii", ["pii by itself"]),
        ("head-category.onnx", "category", ["category by itself"]),
        ("model.onnx", "jailbreak", ["jailbreak"]),
    ],
)
def test_the_graph_that_is_wrong_is_named(golden_bundles, tmp_path, graph, head, failed):
    path = tmp_path / "copy"
    shutil.copytree(golden_bundles["bert-shared"], path)
    edit_golden(path, lambda rows: rows[:: len(rows) // KEPT])
    spoil_graph(path / EXPORT / "onnx-fp32" / graph, head)
    index = read_json(path / EXPORT / INDEX)
    name = f"{EXPORT}/onnx-fp32/{graph}"
    index[0]["files"][name] = sha256_file(path / name)
    write_json(path / EXPORT / INDEX, index)
    found = verify_bundle(path)
    assert [o.asked for o in found.outcomes if not o.passed] == failed
    with pytest.raises(ParityError, match=f"onnxruntime fp32, {failed[0]}: logits computed alone"):
        found.check()


def test_a_changed_logit_is_seen(copy):
    def change(rows):
        rows[7]["heads"]["jailbreak"]["logits"][0][1] += 3e-4
        return rows

    edit_golden(copy / "jailbreak", change)
    found = verify_bundle(copy / "jailbreak")
    assert not found.passed and "logits computed alone" in faults(found, "torch fp32")
    assert "text 8" in faults(found, "onnxruntime fp32")
    with pytest.raises(ParityError, match="2 of 3 checks failed"):
        found.check()


def test_a_changed_label_is_seen(copy):
    def change(rows):
        head = rows[3]["heads"]["jailbreak"]
        head["label"] = {"benign": "jailbreak", "jailbreak": "benign"}[head["label"]]
        return rows

    edit_golden(copy / "jailbreak", change)
    found = verify_bundle(copy / "jailbreak")
    assert faults(found, "onnxruntime fp32") == "other labels than the golden ones: text 4"


def test_a_changed_probability_is_seen(copy):
    def change(rows):
        rows[3]["heads"]["jailbreak"]["probabilities"][0] += 0.001
        return rows

    edit_golden(copy / "jailbreak", change)
    assert "probabilities up to 0.001" in faults(verify_bundle(copy / "jailbreak"), "torch fp32")


@pytest.mark.parametrize("which", ["spans", "unprocessed"])
def test_a_shifted_span_is_seen(copy, which):
    def change(rows):
        row = next(row for row in rows if row["heads"]["pii"][which])
        row["heads"]["pii"][which][0][0] += 1
        return rows

    edit_golden(copy / "pii", change)
    found = verify_bundle(copy / "pii")
    assert "other spans than the golden ones" in faults(found, "torch fp32")
    assert "other spans than the golden ones" in faults(found, "onnxruntime fp32")


def test_swapped_labels_in_the_configuration_are_seen(copy):
    config = read_json(copy / "jailbreak" / CONFIG)
    config["id2label"] = {"0": config["id2label"]["1"], "1": config["id2label"]["0"]}
    write_json(copy / "jailbreak" / CONFIG, config)
    with pytest.raises(BundleError, match=CONFIG):
        verify_bundle(copy / "jailbreak")
    rehash(copy / "jailbreak", CONFIG)
    found = verify_bundle(copy / "jailbreak")
    for backend in ("torch fp32", "onnxruntime fp32"):
        assert "cannot be used" in faults(found, backend) and "labels" in faults(found, backend)


def test_labels_swapped_everywhere_are_seen_by_their_answers(copy):
    path = copy / "jailbreak"
    meta = read_bundle(path)
    turned = tuple(reversed(meta.labels))
    task = meta.task.model_copy(update={"labels": turned})
    write_meta(path, meta.model_copy(update={"task": task, "labels": turned}))
    config = read_json(path / CONFIG)
    config["id2label"] = dict(enumerate(turned))
    write_json(path / CONFIG, config)
    rehash(path, CONFIG)
    assert "other labels than the golden ones" in faults(verify_bundle(path), "torch fp32")


@pytest.mark.parametrize("cut", [10, 1, 2000])
def test_truncated_golden_answers_are_seen(copy, cut):
    path = copy / "jailbreak"
    data = (path / GOLDEN).read_bytes()
    (path / GOLDEN).write_bytes(data[:-cut])
    with pytest.raises(BundleError, match=GOLDEN):
        verify_bundle(path)
    rehash(path, GOLDEN)
    if cut > 1:  # without its last line break the file is whole all the same
        with pytest.raises(BundleError, match=r"line \d+ whole"):
            verify_bundle(path)


def test_no_golden_answers_are_named(copy):
    (copy / "jailbreak" / GOLDEN).write_text("")
    rehash(copy / "jailbreak", GOLDEN)
    with pytest.raises(BundleError, match="line 1 whole"):
        verify_bundle(copy / "jailbreak")


def test_a_truncated_graph_is_seen(copy):
    file = copy / "pii" / EXPORT / "onnx-fp32" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-100])
    found = verify_bundle(copy / "pii")
    assert "cannot be used" in faults(found, "onnxruntime fp32")
    assert not faults(found, "torch fp32")
    index = read_json(copy / "pii" / EXPORT / INDEX)
    index[0]["files"][f"{EXPORT}/onnx-fp32/model.onnx"] = sha256_file(file)
    write_json(copy / "pii" / EXPORT / INDEX, index)
    assert "cannot be used" in faults(verify_bundle(copy / "pii"), "onnxruntime fp32")


def test_another_tokenizer_is_seen_before_any_network_runs(copy):
    path = copy / "pii"
    values = read_json(path / TOKENIZER)
    values["normalizer"] = {"type": "Lowercase"}
    write_json(path / TOKENIZER, values)
    rehash(path, TOKENIZER)
    found = verify_bundle(path)
    assert [outcome.backend for outcome in found.outcomes] == ["tokenizer"]
    assert "other windows than the golden ones" in faults(found, "tokenizer")


class Spoilt:
    """A backend whose answers are changed on their way out."""

    def __init__(self, inner, spoil):
        self.inner, self.spoil = inner, spoil
        self.name, self.heads = inner.name, inner.heads

    def run(self, batch, heads):
        return {h: self.spoil(batch, o.copy()) for h, o in self.inner.run(batch, heads).items()}


def spoilt(path, spoil, precision="fp32"):
    def opened():
        return Spoilt(load_backend("torch", path, read_bundle(path)), spoil)

    return verify_bundle(path, [Subject("spoilt", precision, opened)])


def test_a_runtime_that_reads_padding_is_seen(copy):
    def spoil(batch, logits):
        padding = [max(map(len, batch)) - len(row) for row in batch]
        return logits + 0.001 * np.asarray(padding, dtype=np.float32)[:, None]

    text = faults(spoilt(copy / "jailbreak", spoil), "spoilt")
    assert "computed padded" in text and "a window alone against the same in a batch" in text
    assert "computed alone" not in text


def test_a_runtime_that_mixes_rows_of_a_batch_is_seen(copy):
    text = faults(spoilt(copy / "pii", lambda batch, logits: logits[::-1]), "spoilt")
    assert "computed together" in text and "computed alone" not in text


def test_a_runtime_that_gives_no_numbers_or_other_shapes_is_seen(copy):
    for spoil in (lambda _, logits: logits * np.nan, lambda _, logits: logits[..., :1]):
        for name in ("jailbreak", "pii"):
            found = spoilt(copy / name, spoil, precision="int8")
            assert "logits computed alone" in faults(found, "spoilt")


def test_one_logit_that_is_no_number_fails_any_precision(copy):
    def spoil(batch, logits):
        if len(batch) == 1 and len(batch[0]) == 64:
            logits[0, 0] = np.nan
        return logits

    assert "logits computed alone" in faults(spoilt(copy / "pii", spoil, "int8"), "spoilt")


@pytest.mark.parametrize("name", ["jailbreak", "pii"])
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_lower_precisions_may_differ_as_far_as_is_stated_and_no_further(copy, name, precision):
    allowed = TOLERANCES[precision]

    def noise(size):
        draw = np.random.default_rng(1)
        return lambda _, x: x + draw.uniform(-size, size, x.shape).astype(np.float32)

    little = spoilt(copy / name, noise(allowed.logits * 0.001), precision)
    assert little.passed and little.outcomes[1].decisions >= allowed.decisions
    much = faults(spoilt(copy / name, noise(allowed.logits * 4), precision), "spoilt")
    assert f"within {allowed.logits:g}" in much and "of the decisions equal" in much


def test_a_head_without_golden_answers_is_seen(copy):
    def change(rows):
        del rows[1]["heads"]["jailbreak"]
        return rows

    edit_golden(copy / "jailbreak", change)
    assert "no golden answers of this head: text 2" in faults(
        verify_bundle(copy / "jailbreak"), "torch fp32"
    )


def test_no_text_is_quoted_in_what_failed(copy):
    def change(rows):
        for row in rows:
            row["heads"]["jailbreak"]["logits"][0][0] += 1
            row["heads"]["jailbreak"]["label"] = "neither"
        return rows

    edit_golden(copy / "jailbreak", change)
    texts = [row.text for row in read_golden(copy / "jailbreak") if len(row.text) > 12]
    said = json.dumps(verify_bundle(copy / "jailbreak").to_dict(), ensure_ascii=False)
    assert not [text for text in texts if text in said]


def test_subjects_are_torch_and_the_exports(whole):
    found, missing = find_subjects(whole["pii"], read_bundle(whole["pii"]))
    assert [subject.name for subject in found] == ["torch fp32", "onnxruntime fp32"]
    assert missing == ()


@pytest.mark.parametrize("lacking", ["torch", "transformers"])
def test_without_torch_the_exports_are_verified(copy, pointsman, monkeypatch, lacking):
    without(monkeypatch, lacking)
    found = verify_bundle(copy / "jailbreak")
    assert [o.backend for o in found.outcomes] == ["tokenizer", "onnxruntime fp32"]
    assert found.passed and found.to_dict()["missing"] == ["torch"]
    result = pointsman("verify", copy / "jailbreak")
    assert result.code == 0 and "not installed: torch" in result.err


def test_without_any_runtime_nothing_is_proven(copy, pointsman, monkeypatch):
    without(monkeypatch, "torch", "onnxruntime")
    result = pointsman("verify", copy / "jailbreak")
    assert result.code == 1 and "not installed: torch, onnxruntime" in result.err
    assert "pip install 'pointsman[train]' or pip install onnxruntime" in result.err


def test_a_runtime_without_an_export_is_named(copy, pointsman):
    result = pointsman("verify", copy / "jailbreak")
    assert result.code == 0 and "the bundle has no export for it: openvino" in result.err
    assert "onnxruntime" not in result.err
    (copy / "jailbreak" / EXPORT / INDEX).unlink()
    found = verify_bundle(copy / "jailbreak").to_dict()
    assert found["unexported"] == ["openvino", "onnxruntime"] and found["passed"]


@pytest.mark.parametrize(
    ("required", "lacking"),
    [
        ("torch,onnxruntime", []),
        ("onnxruntime-fp32", []),
        ("onnxruntime, openvino", ["openvino has no export in the bundle"]),
        ("openvino-bf16", ["openvino bf16 has no export in the bundle"]),
        ("onnxruntime int8", ["onnxruntime int8 has no export of that precision"]),
    ],
)
def test_a_runtime_that_is_required_has_to_answer(copy, pointsman, required, lacking):
    result = pointsman("verify", copy / "jailbreak", "--json", "--require", required)
    assert result.code == (ParityError.exit_code if lacking else 0)
    assert json.loads(result.out)["lacking"] == lacking
    assert json.loads(result.out)["passed"] is not bool(lacking)
    assert all(reason in result.err for reason in lacking)


def test_a_required_library_that_is_not_installed_fails(copy, pointsman, monkeypatch):
    without(monkeypatch, "onnxruntime")
    assert pointsman("verify", copy / "jailbreak").code == 0
    result = pointsman("verify", copy / "jailbreak", "--require", "onnxruntime")
    assert result.code == ParityError.exit_code and "onnxruntime is not installed" in result.err


@pytest.mark.parametrize(
    ("required", "words"),
    [("onnx", "onnxruntime"), ("torch-int8", "unknown precision"), ("openvino-int4", "int8")],
)
def test_an_unknown_runtime_is_no_requirement(copy, pointsman, required, words):
    result = pointsman("verify", copy / "jailbreak", "--require", required)
    assert result.code == 2 and words in result.err


def test_nothing_is_required_of_a_contract(copy, pointsman):
    result = pointsman("verify", copy, "--contract", "router", "--require", "torch")
    assert result.code == 2 and "which runs nothing" in result.err


def without(monkeypatch, *libraries):
    monkeypatch.setattr(
        "pointsman.export.verify.find_spec", lambda name: None if name in libraries else name
    )


def test_the_command_runs_in_a_base_install(copy):
    code = (
        "import sys; libraries = 'torch transformers peft datasets pyarrow sklearn safetensors onnx'; "
        "sys.modules.update(dict.fromkeys(libraries.split())); "
        "from pointsman.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "verify", str(copy / "pii"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["missing"] == ["torch"]


def test_a_bundle_that_fails_hides_none_after_it(copy, pointsman):
    run = copy / "run"
    for name in ("jailbreak", "pii"):
        (run / name).mkdir(parents=True)
        (copy / name).rename(run / name / "bundle")
    edit_golden(run / "jailbreak" / "bundle", wrong)
    result = pointsman("verify", run, "--json")
    assert result.code == ParityError.exit_code
    assert result.out.count('"passed": false') and f"{run / 'pii'}" in result.out
    assert result.err.count("error:") == 1 and f"{run / 'jailbreak'}" in result.err
    (run / "pii" / "bundle" / GOLDEN).unlink()
    result = pointsman("verify", run)
    assert result.err.count("error:") == 2
    assert f"{run / 'jailbreak'}" in result.err and f"{run / 'pii'}" in result.err


def wrong(rows):
    rows[0]["heads"]["jailbreak"]["logits"][0][0] += 1
    return rows


def test_the_command_prints_a_table_or_json_and_ends_with_the_right_code(copy, pointsman):
    good = pointsman("verify", copy / "jailbreak", "--json")
    assert good.code == 0, good.err
    assert json.loads(good.out)["passed"] is True
    edit_golden(copy / "jailbreak", wrong)
    bad = pointsman("verify", copy / "jailbreak")
    assert bad.code == ParityError.exit_code
    assert "FAILED" in bad.out and "text 1" in bad.err
