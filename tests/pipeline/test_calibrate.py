"""Calibrating a packed bundle: what is chosen, what is written, what the predictor then does."""

import json
import shutil

import pytest

from pointsman import load
from pointsman.bundle.layout import read_bundle
from pointsman.core.errors import ConfigError, DataError
from pointsman.core.types import Example
from pointsman.data.sampling import split_hash
from pointsman.evaluation.point import measure_point
from pointsman.evaluation.rules import Rule
from pointsman.pipeline.calibrate import calibrate, rule_for, write_calibrated
from pointsman.pipeline.evaluate import evaluate
from pointsman.tasks.catalogue import load_task
from tests.runs import jailbreak_rows

SPEC = load_task("jailbreak")


def rows(count, seed=5):
    made = [
        Example(r["text"], SPEC.label_of_kind(r["kind"]), kind=r["kind"])
        for r in jailbreak_rows(count, seed)
    ]
    return [example for example in made if example.label]


@pytest.fixture(scope="module")
def bundle(demo, tmp_path_factory):
    place = tmp_path_factory.mktemp("calibrated") / "bundle"
    shutil.copytree(demo / "run" / "jailbreak" / "bundle", place)
    return place


def test_a_run_calibrates_on_validation_and_says_so(demo):
    for name in ("jailbreak", "pii"):
        meta = read_bundle(demo / "run" / name / "bundle")
        point = meta.operating_point
        assert point["chosen_on"]["data"] == "its validation split"
        hashes = meta.provenance["data"]["hashes"]
        assert point["chosen_on"]["sha256"] == hashes["validation"]
        card = (demo / "run" / name / "bundle" / "README.md").read_text()
        assert f"Rule: {point['rule']}. Temperature: {meta.temperature:.4g}" in card
        assert f"rows of its validation split (SHA-256 of the rows {hashes['validation']})" in card
        assert "former operating point" not in card
        assert point["rule"] == ("fpr=0.01" if name == "jailbreak" else "f1")
        assert (
            meta.temperature != 1.0
            and meta.metrics["calibration"]["temperature"] == meta.temperature
        )
        figures = json.loads((demo / "run" / name / "metrics.json").read_text())
        assert figures["operating_point"]["test"] and figures["operating_point"]["validation"]
        assert meta.task.headline in figures["intervals"]
        assert {"before", "after"} <= set(figures["calibration"])


def test_the_threshold_is_what_the_rule_asks_for(bundle):
    examples = rows(200)
    meta = calibrate(load(bundle), examples, Rule("fpr", 0.1), data="mine")
    answers = load(bundle).with_meta(meta).predict([e.text for e in examples])
    benign = [a for a, e in zip(answers, examples, strict=True) if e.label == "benign"]
    flagged = sum(a.label == "jailbreak" for a in benign) / len(benign)
    assert flagged <= 0.1
    assert meta.operating_point["validation"]["false_positive_rate"]["value"] == flagged
    chosen_on = {"data": "mine", "rows": len(examples), "sha256": split_hash(examples)}
    assert meta.operating_point["chosen_on"] == chosen_on
    again = calibrate(load(bundle).with_meta(meta), examples, Rule("fpr", 0.1), data="mine")
    assert again.temperature == pytest.approx(meta.temperature, rel=0.01)
    assert again.thresholds == pytest.approx(meta.thresholds, rel=0.05)


def test_what_is_written_is_what_the_predictor_uses(bundle):
    examples = rows(100)
    meta = calibrate(load(bundle), examples, Rule("cost", 1000, 1), data="mine")
    write_calibrated(bundle, meta)
    found = load(bundle)
    assert found.meta.thresholds == meta.thresholds and found.meta.temperature == meta.temperature
    card = (bundle / "README.md").read_text()
    assert "Rule: cost=1000:1." in card and f"jailbreak {meta.thresholds['jailbreak']:.4g}" in card
    assert f"{len(examples)} rows of mine (SHA-256 of the rows {split_hash(examples)})" in card
    figures = card.split("## Figures on the test split")[1]
    assert "**Measured at the former operating point** (rule fpr=0.01, chosen on its" in figures
    missed = [
        a
        for a, e in zip(found.predict([e.text for e in examples]), examples, strict=True)
        if e.label == "jailbreak" and a.label == "benign"
    ]
    assert missed == []  # a miss costs a thousand alarms


def test_benign_traffic_alone_keeps_the_temperature(bundle):
    before = load(bundle).meta
    benign = [e for e in rows(300) if e.label == "benign"]
    meta = calibrate(load(bundle), benign, Rule("fpr", 0.05), data="mine")
    assert meta.temperature == before.temperature
    assert "cannot tell a temperature" in meta.operating_point["note"]
    assert "recall" not in meta.operating_point["validation"]


def test_nothing_to_calibrate_on(bundle):
    with pytest.raises(DataError, match="rows to calibrate on"):
        calibrate(load(bundle), [], Rule("fpr", 0.1), data="mine")
    with pytest.raises(ConfigError, match="a rule for jailbreak"):
        rule_for(SPEC, "f1")
    assert rule_for(SPEC, None) == Rule("fpr", 0.01)


def test_figures_do_not_depend_on_the_order_of_rows(bundle):
    examples = rows(60)
    one = evaluate(load(bundle), examples).figures
    two = evaluate(load(bundle), examples[::-1]).figures
    assert one["calibration"]["after"]["ece"]["value"] == pytest.approx(
        two["calibration"]["after"]["ece"]["value"]
    )
    assert (
        one["operating_point"]["test"]["recall"]["value"]
        == two["operating_point"]["test"]["recall"]["value"]
    )


def test_an_abstaining_task_reports_what_is_left():
    from pointsman.core.types import Prediction

    spec = load_task("category").adapt(labels=("business", "law"))
    examples = [Example(str(i), "law") for i in range(4)]
    answers = [
        Prediction("category", "law", 0.9),
        Prediction("category", "business", 0.3, unsure=True),
    ] * 2
    found = measure_point(spec, examples, answers)
    assert found["coverage"]["value"] == 0.5 and found["accuracy"]["value"] == 1.0
    assert found["coverage"]["low"] < 0.5 < found["coverage"]["high"] and found["coverage"]["few"]
    assert found["accuracy"]["exact"] and found["accuracy"]["groups"] == 2
    nothing = measure_point(spec, examples[:1], answers[1:2])
    assert list(nothing) == ["coverage"] and nothing["coverage"]["value"] == 0.0
    assert nothing["coverage"]["high"] == pytest.approx(0.975)  # one row says next to nothing


def test_a_detectors_point_has_recall_and_precision():
    from pointsman.core.types import Prediction

    given = [("jailbreak", "jailbreak")] * 6 + [("benign", "jailbreak")] * 2
    given += [("jailbreak", "benign")] * 4 + [("benign", "benign")] * 8
    examples = [Example(str(i), label) for i, (label, _) in enumerate(given)]
    answers = [Prediction("jailbreak", x, 0.9, {"benign": 0.1, "jailbreak": 0.9}) for _, x in given]
    found = measure_point(SPEC, examples, answers)
    assert {k: v["value"] for k, v in found.items()} == pytest.approx(
        {"false_positive_rate": 0.2, "recall": 0.6, "precision": 0.75}
    )
    assert {k: v["groups"] for k, v in found.items()} == {
        "false_positive_rate": 10, "recall": 10, "precision": 8,
    }  # fmt: skip


@pytest.mark.parametrize("rule", ["cost=20:1", "precision=0.9", "recall=0.9", "fpr=0.05"])
def test_six_rows_choose_and_say_that_they_are_few(bundle, rule):
    few = [e for e in rows(60) if e.label == "benign"][:4]
    few += [e for e in rows(60) if e.label == "jailbreak"][:2]
    meta = calibrate(load(bundle), few, rule_for(SPEC, rule), data="mine")
    point = meta.operating_point
    assert not point["enough"] and not point["temperature_enough"]
    assert "too few" in point["note"] and "6 independent texts" in point["note"]
    assert point["validation"]["recall"]["few"]


def test_a_temperature_that_does_not_help_is_left_at_one(bundle, monkeypatch):
    examples = rows(200)
    helped = calibrate(load(bundle), examples, Rule("fpr", 0.1), data="mine")
    assert helped.temperature != 1.0 and helped.operating_point["temperature_enough"]
    place = "pointsman.pipeline.calibrate.fit_temperature"
    monkeypatch.setattr(place, lambda *args: 19.0)  # as a fit that misses would give
    meta = calibrate(load(bundle), examples, Rule("fpr", 0.1), data="mine")
    assert meta.temperature == 1.0
    assert "no temperature makes the true labels likelier" in meta.operating_point["note"]
