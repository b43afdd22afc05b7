"""`pointsman calibrate` as a user types it."""

import pytest

from pointsman.bundle.layout import read_bundle
from pointsman.data.prepare import load_prepared
from pointsman.export.golden import GOLDEN
from tests.runs import jailbreak_rows, write_rows


def test_calibrate_changes_the_bundle_and_says_how(pointsman, own_demo, tmp_path):
    run = own_demo / "run" / "jailbreak"
    data = write_rows(tmp_path / "traffic.jsonl", jailbreak_rows(60, seed=4))
    before = read_bundle(run / "bundle")
    dry = pointsman("calibrate", run, "--data", data, "--at", "fpr=0.2", "--dry-run")
    assert dry.code == 0, dry.err
    assert "nothing was changed" in dry.err and read_bundle(run / "bundle") == before
    assert "calibrated anew" not in pointsman("report", run).err
    result = pointsman("calibrate", run, "--data", data, "--at", "fpr=0.2")
    assert result.code == 0, result.err
    after = read_bundle(run / "bundle")
    assert after.operating_point["rule"] == "fpr=0.2" and after.thresholds != before.thresholds
    assert after.operating_point["chosen_on"]["data"] == "traffic.jsonl"
    assert "temperature" in result.out and "false positive rate" in result.out
    assert f"{after.thresholds['jailbreak']:.4f}" in result.out
    card = (run / "bundle" / "README.md").read_text()
    assert "Rule: fpr=0.2." in card and "rows of traffic.jsonl (SHA-256 of the rows" in card
    assert f"Thresholds: jailbreak {after.thresholds['jailbreak']:.4g}" in card
    assert "**Measured at the former operating point** (rule fpr=0.01" in card
    changed = {name for name in after.files if after.files[name] != before.files[name]}
    assert changed == {GOLDEN} and after.files.keys() == before.files.keys()
    assert "calibrated anew since it was evaluated" in pointsman("report", run).err


def test_calibrate_never_chooses_on_the_test_split(pointsman, own_demo):
    run = own_demo / "run" / "jailbreak"
    result = pointsman("calibrate", run, "--data", run / "data", "--at", "fpr=0.2")
    assert result.code == 0, result.err
    point = read_bundle(run / "bundle").operating_point
    validation = load_prepared(run / "data").validation
    assert point["chosen_on"] == {
        "data": "the validation split of data",
        "rows": len(validation),
        "sha256": load_prepared(run / "data").manifest["hashes"]["validation"],
    }
    rows = [example.to_row() for example in validation]
    again = pointsman("calibrate", run, "--data", write_rows(run / "v.jsonl", rows), "--at",
                      "fpr=0.2")  # fmt: skip
    assert again.code == 0, again.err
    assert read_bundle(run / "bundle").operating_point["threshold"] == point["threshold"]


@pytest.mark.parametrize(("at", "words"), [("f1", "a rule for jailbreak"), ("fpr=2", "make sense")])
def test_calibrate_refuses_a_wrong_rule(pointsman, bundles, labelled, at, words):
    result = pointsman("calibrate", bundles[0], "--data", labelled, "--at", at)
    assert result.code == 2 and words in result.err


def test_train_refuses_a_wrong_rule_before_it_trains(pointsman, own_demo, tmp_path):
    data = own_demo / "run" / "jailbreak" / "data"
    result = pointsman("train", "jailbreak", "--data", data, "-o", tmp_path / "new", "--at", "f1")
    assert result.code == 2 and "a rule for jailbreak" in result.err
    assert not (tmp_path / "new").exists()
