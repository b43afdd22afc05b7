"""The report says the headline first, and every table is a table."""

import pytest

from pointsman.bundle.meta import BundleMeta
from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.account import Account
from pointsman.evaluation.report import headline, table, title, write_markdown, write_report
from pointsman.evaluation.score import score
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII


def meta(spec):
    return BundleMeta(task=spec, labels=spec.labels, max_length=32)


@pytest.fixture
def figures():
    examples = [Example("a", "benign"), Example("b", "benign"), Example("c", "jailbreak")]
    given = [("benign", 0.2), ("jailbreak", 0.7), ("jailbreak", 0.9)]
    answers = [Prediction("jailbreak", g, s, {"benign": 1 - s, "jailbreak": s}) for g, s in given]
    return score(JAILBREAK, examples, answers)


def rows_of(report, heading):
    part = report.split(f"## {heading}")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    assert len({line.count("|") - line.count("\\|") for line in lines}) == 1
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def rows_of_all(report, heading):
    part = report.split(f"## {heading}")[1].split("\n## ")[0]
    lines = [line[2:-2] for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def test_a_detectors_report(figures):
    interval = {"low": 0.25, "high": 0.75, "groups": 30, "few": False}
    part = {"by": "kept out", "rows": 30, "metric": "flagged", "value": 0.5, "interval": interval}
    few = {"rows": 2, "interval": {**interval, "few": True}, "few": True}
    figures["slices"] = {
        "harmful": {**part, "few": False, "flagged": 0.5},
        "toxic": {**part, **few},
    }
    mistakes = [{"text": "a | b", "expected": "benign", "score": 0.7}]
    report = write_report(meta(JAILBREAK), figures, mistakes, "its test split")
    assert report.startswith(
        "# Jailbreak: recall at 1% false positives 1.0000\n\n3 rows of its test"
    )
    assert ["ROC-AUC", "1.0000"] in rows_of(report, "Figures")
    assert ["benign", "1.0000", "0.5000", "0.6667", "2"] in rows_of(report, "Per label")
    assert rows_of(report, "Confusion")[2:] == [["benign", "1", "1"], ["jailbreak", "0", "1"]]
    assert "Most confused" not in report and "Best separated" not in report  # one pair is both
    slices = rows_of(report, "Slices")
    columns = ["slice", "rows", "metric", "value", "95% interval"]
    assert slices[0] == columns
    assert slices[2] == ["harmful", "30", "share flagged", "0.5000", "0.2500 to 0.7500"]
    assert slices[3][1] == "2 (few)"
    assert "a \\| b" in report.split("## Mistakes")[1]


def test_a_token_tasks_report():
    examples = [Example("Ann", spans=(Span(0, 3, "PERSON"),)), Example("nobody")]
    spans = (PredictedSpan(0, 3, "PERSON", "Ann", 1.0),)
    answers = [Prediction("pii", None, 1.0, spans=spans), Prediction("pii", None, 0.0)]
    report = write_report(meta(PII), score(PII, examples, answers), [], "x.jsonl")
    assert report.startswith("# PII: strict span F1 1.0000\n\n2 rows of x.jsonl.")
    assert ["PERSON", "1.0000", "1.0000", "1.0000", "1", "1"] in rows_of(report, "Per type")
    assert ["texts without entities left alone (NO_PII)", "1.0000"] in rows_of(report, "Figures")
    assert "Confusion" not in report and "Mistakes" not in report and "Slices" not in report


def test_perturbations_and_errors_have_tables(figures):
    interval = {"low": 0.25, "high": 0.75, "groups": 30, "few": False}
    figures["perturbations"] = {
        "typos": {
            "strength": "one edit", "seed": 3, "rows": 1200, "metric": "roc_auc", "value": 0.5,
            "clean": 0.75, "drop": 0.25, "interval": interval, "trained_with": True,
        }
    }  # fmt: skip
    figures["errors"] = {
        "confused": [{"expected": "a", "given": "b", "rows": 7, "examples": ["x | y", "z"]}],
        "false_positive_clusters": [{"terms": ["kill", "process"], "rows": 5, "examples": ["k"]}],
    }
    report = write_report(meta(JAILBREAK), figures, [], "x")
    assert rows_of(report, "Perturbed texts")[2] == [
        "typos (trained with)", "one edit", "1,200", "ROC-AUC", "0.7500", "0.5000",
        "0.2500 to 0.7500", "0.2500",
    ]  # fmt: skip
    assert "| a | b | 7 | x \\| y / z |" in report
    assert "| kill, process | 5 | k |" in report


def test_the_audit_has_examples_and_tables_and_does_not_contradict_itself(figures):
    figures["audit"] = {
        "leakage": 0, "repaired": 17, "near_duplicates": 4, "licences": {"own": "MIT"},
        "non_commercial": [], "unknown_licence": ["bare"], "findings": ["info: found"],
        "labels": {"train": {"benign": 3, "jailbreak": 1}, "test": {"benign": 2}},
        "lengths": {"words": {"1-12": 3, "over 12": 1}},
        "languages": {"rows": 4, "not_told": 1, "languages": {"en": 3}},
    }  # fmt: skip
    findings = [
        {"severity": "error", "check": "leakage", "text": "1 row", "examples": ["test: a ~ train: b", "c"]},
        {"severity": "info", "check": "labels", "text": "few", "examples": []},
    ]  # fmt: skip
    item = Account(meta(JAILBREAK), figures, "x", findings=findings)
    report = write_markdown(item)
    found = rows_of_all(report, "Data audit")
    held, moved = (line for line in found if line[1:] in (["0"], ["17"]))
    assert held[0].endswith("as the splits are now") and "were moved" in moved[0]
    assert ["error", "leakage", "1 row", "test: a ~ train: b"] in found
    assert ["", "", "", "c"] in found and ["info", "labels", "few", ""] in found
    assert ["benign", "3", "2"] in found and ["jailbreak", "1", "0"] in found
    assert ["1-12", "3", "75.0%"] in found and ["not told", "1", "25.0%"] in found
    assert "Of unknown licence: bare." in report and "Masked" in report
    short = write_markdown(Account(meta(JAILBREAK), figures, "x"))  # of an older version
    assert "info: found" in short and "Masked" not in short


def test_errors_of_spans_are_counted_by_kind_and_type():
    kinds = {"missed": 2, "wrong type": 0, "boundary": 1, "spurious": 0}
    examples = [Example("Ann", spans=(Span(0, 3, "PERSON"),))]
    figures = score(PII, examples, [Prediction("pii", None, 0.0)])
    figures["errors"] = {"counts": kinds, "by_type": {"PERSON": kinds}}
    report = write_report(meta(PII), figures, [], "x")
    assert rows_of(report, "Kinds of mistakes")[0] == ["type", *kinds]
    assert rows_of(report, "Kinds of mistakes")[3] == ["PERSON", "2", "0", "1", "0"]
    figures["errors"] = {"counts": dict.fromkeys(kinds, 0), "by_type": {}}
    assert "Kinds of mistakes" not in write_report(meta(PII), figures, [], "x")


def test_a_headline_that_cannot_be_measured_is_said(figures):
    del figures["recall_at_fpr_1"]
    assert headline(meta(JAILBREAK), figures) == ("recall at 1% false positives", None)
    assert "not measurable" in write_report(meta(JAILBREAK), figures, [], "x").splitlines()[0]


def test_without_confusion_no_pair_is_called_confused():
    spec = CATEGORY.adapt(labels=("business", "law", "math"))
    examples = [Example("a", label) for label in spec.labels]
    answers = [Prediction("category", e.label, 1.0, {e.label: 1.0}) for e in examples]
    report = write_report(meta(spec), score(spec, examples, answers), [], "x")
    assert "Most confused" not in report and "Best separated: business and law (0.0%" in report
    answers[0] = answers[1]
    report = write_report(meta(spec), score(spec, examples, answers), [], "x")
    assert "Most confused: business and law (50.0% of their rows)." in report


def test_titles():
    assert title("roc_auc") == "ROC-AUC" and title("false_positive_rate") == "false positive rate"


def test_a_table():
    assert table(("a", "b"), [(1, 0.5)]) == "| a | b |\n| --- | --- |\n| 1 | 0.5000 |\n"
