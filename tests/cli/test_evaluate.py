"""`pointsman evaluate` and `report` as a user types them."""

import csv
import json

import pytest

from pointsman.bundle.layout import read_bundle
from pointsman.core.types import Prediction
from pointsman.data.perturb import PERTURBATIONS
from tests.runs import ATTACK, jailbreak_rows, pii_rows, write_rows

TEXT = "please help Sarah Johnson me b12@example.org Court with the contract card system"


def test_evaluate_scores_a_file(pointsman, bundles, labelled, tmp_path):
    out = tmp_path / "out"
    result = pointsman("evaluate", bundles[0], "--data", labelled, "-o", out)
    assert result.code == 0, result.err
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["rows"] == 16 and figures["slices"]["harmful"]["rows"] == 4
    assert f"{figures['roc_auc']:.4f}" in result.out and "benign" in result.out
    assert (out / "report.md").read_text().startswith("# Jailbreak: ")
    assert "16 rows of more.jsonl" in (out / "report.md").read_text()


def test_evaluate_perturbs_as_it_is_asked(pointsman, bundles, labelled, tmp_path):
    def figures(*options):
        result = pointsman("evaluate", bundles[0], "--data", labelled, "-o", tmp_path, *options)
        assert result.code == 0, result.err
        return json.loads((tmp_path / "metrics.json").read_text())

    assert list(figures()["perturbations"]) == list(PERTURBATIONS)
    out = pointsman("evaluate", bundles[0], "--data", labelled, "-o", tmp_path).out
    assert "homoglyphs" in out and "kind: injection" in out
    assert "perturbations" not in figures("--no-perturb")
    named = figures("--set", "perturbations=[typos]", "--set", "rows=4", "--set", "seed=5")
    (found,) = named["perturbations"].items()
    assert found[0] == "typos" and (found[1]["rows"], found[1]["seed"]) == (4, 5)
    assert "one edit in 10% of the words" in (tmp_path / "report.md").read_text()
    result = pointsman("evaluate", bundles[0], "--data", labelled, "--set", "perturbations=[typo]")
    assert result.code == 2 and "did you mean 'typos'" in result.err


def test_evaluate_writes_beside_the_bundle(pointsman, own_demo, labelled, tmp_path):
    run = own_demo / "run" / "jailbreak"
    for place in (run, run / "bundle"):
        assert pointsman("evaluate", place, "--data", labelled).code == 0
        assert (run / "evaluation-more" / "metrics.json").is_file()
        assert not (run / "bundle" / "evaluation-more").exists()
    read_bundle(run / "bundle")
    other = tmp_path / "more.jsonl"
    other.write_text("\n".join(labelled.read_text().splitlines()[:-1]))
    assert pointsman("evaluate", run, "--data", other).code == 0
    again, first = sorted(run.glob("evaluation-more*"), key=lambda p: -len(p.name))
    figures = [json.loads((place / "metrics.json").read_text()) for place in (again, first)]
    assert figures[0] != figures[1]  # other data of the same name: both reports are there
    assert json.loads((again / "data.json").read_text())["sha256"][:8] in again.name


def test_evaluate_shows_the_figures_even_where_it_cannot_write(
    pointsman, bundles, labelled, tmp_path
):
    result = pointsman("evaluate", bundles[0], "--data", labelled, "-o", labelled)
    assert result.code == 7 and str(labelled) in result.err and "ROC-AUC" in result.out


@pytest.mark.parametrize("reveal", [False, True])
def test_evaluate_hides_personal_data_unless_asked(pointsman, bundles, tmp_path, reveal):
    rows = pii_rows(12, seed=3)
    for row in rows:
        row["spans"] = [{"start": 0, "end": 2, "label": "PERSON"}]  # so that there are mistakes
    data = write_rows(tmp_path / "pii.jsonl", rows)
    flags = ("--reveal",) if reveal else ()
    out = tmp_path / "out"
    assert pointsman("evaluate", bundles[1], "--data", data, "-o", out, *flags).code == 0
    report = (out / "report.md").read_text()
    assert "missed" in report and ("@example.org" in report) is reveal


def test_report_prints_the_pages_that_it_wrote(pointsman, own_demo):
    page, index = own_demo / "run/jailbreak/report.html", own_demo / "run/index.html"
    for file in (page, index):
        file.unlink()
    result = pointsman("report", "run")
    assert result.code == 0 and result.err == ""
    assert result.out.splitlines() == [
        "run/jailbreak/report.html", "run/pii/report.html", "run/index.html",
    ]  # fmt: skip
    assert page.is_file() and index.is_file()


def test_report_refuses_a_directory_without_figures(pointsman, tmp_path):
    result = pointsman("report", tmp_path)
    assert result.code == 2 and "no metrics.json" in result.err
    assert "pointsman evaluate" in result.err


def test_evaluate_takes_prepared_data(pointsman, demo, bundles, tmp_path):
    data = demo / "run" / "jailbreak" / "data"
    assert pointsman("evaluate", bundles[0], "--data", data, "-o", tmp_path).code == 0
    old = json.loads((demo / "run" / "jailbreak" / "metrics.json").read_text())
    new = json.loads((tmp_path / "metrics.json").read_text())
    ours, theirs = new.pop("audit"), old.pop("audit")
    assert ours.pop("data").startswith("Of the data that was evaluated on, with all of its splits")
    assert ours.pop("lengths").items() <= theirs.pop("lengths").items()  # a run knows tokens too
    cut = [line for line in theirs["findings"] if "tokens" in line]
    assert theirs["findings"] == ours["findings"] + cut
    assert {**ours, "findings": theirs["findings"]} == theirs and ours["leakage"] == 0
    assert set(new["baselines"]) == {"majority", "tfidf"}  # they learn from its training rows
    assert all("difference" in entry for entry in new["baselines"].values())
    assert new == old


def test_evaluate_on_a_bare_file_says_why_there_is_no_baseline(pointsman, bundles, tmp_path):
    file = write_rows(tmp_path / "mine.jsonl", jailbreak_rows(12, seed=4))
    result = pointsman("evaluate", bundles[0], "--data", file, "-o", tmp_path, "--no-perturb")
    assert result.code == 0 and "none is set apart to learn from" in result.err
    page = (tmp_path / "report.html").read_text()
    assert "Not run: TF-IDF with logistic regression" in page
    assert '<section id="audit">' in page and "cannot be told from them" in page
    found = json.loads((tmp_path / "metrics.json").read_text())["audit"]
    assert found["leakage"] is None and found["unknown_licence"] == ["mine.jsonl"]
    spans = write_rows(tmp_path / "spans.jsonl", pii_rows(9, seed=4))
    assert pointsman("evaluate", bundles[1], "--data", spans, "-o", tmp_path / "pii").code == 0
    baselines = json.loads((tmp_path / "pii" / "metrics.json").read_text())["baselines"]
    assert "difference" in baselines["patterns"] and "not_run" in baselines["tfidf"]


def test_evaluate_shows_personal_data_of_the_audit_where_it_is_asked_to(
    pointsman, bundles, tmp_path
):
    text = "please help me with the contract card system step tomorrow and now from call ann@x.org"
    rows = [{"text": text, "kind": kind} for kind in ("benign", "jailbreak")]
    file = write_rows(tmp_path / "mine.jsonl", jailbreak_rows(12, seed=4) + rows)
    evaluate = ("evaluate", bundles[0], "--data", file, "--no-perturb", "-o", tmp_path)
    for more, told in (((), "call [...]"), (("--reveal",), "call ann@x.org")):
        assert pointsman(*evaluate, *more).code == 0
        report = (tmp_path / "report.md").read_text().split("## Data audit")[1].split("\n## ")[0]
        assert f"benign / jailbreak: {text.split(' call')[0]} {told}" in report
        assert ("ann@x.org" in report) == bool(more)


def test_evaluate_calls_a_model_that_does_not_beat_its_baseline_so_in_red(
    pointsman, demo, bundles, tmp_path, monkeypatch
):

    def know(self, texts):  # a baseline that is always right
        attack = [any(word in text for word in ATTACK) for text in texts]
        return [
            Prediction("jailbreak", "jailbreak" if a else "benign", 1.0, {"benign": 1.0 - a, "jailbreak": float(a)})
            for a in attack
        ]  # fmt: skip

    monkeypatch.setattr("pointsman.evaluation.baselines.TfidfTexts.predict", know)
    data = demo / "run" / "jailbreak" / "data"
    evaluate = ("evaluate", bundles[0], "--data", data, "-o", tmp_path, "--no-perturb")
    result = pointsman(*evaluate)
    words = "TF-IDF with logistic regression"
    assert result.code == 0 and words in " ".join(result.err.split())
    page = (tmp_path / "report.html").read_text()
    assert '<div class="lead bad">' in page and words in page.split("</header>")[0]


def test_evaluate_refuses_data_of_another_task(pointsman, demo, bundles):
    for bundle, name in zip(bundles, ("pii", "jailbreak"), strict=True):
        result = pointsman("evaluate", bundle, "--data", demo / "run" / name / "data")
        assert result.code == 2 and f"data for {name}" in result.err


def test_evaluate_refuses_data_prepared_with_other_labels(pointsman, bundles, tmp_path):
    source = write_rows(tmp_path / "pii.jsonl", pii_rows(30))
    options = ("--set", "near_duplicate_threshold=null", "-o", tmp_path / "data")
    assert pointsman("data", "prepare", "pii", "--source", source, *options).code == 0
    result = pointsman("evaluate", bundles[1], "--data", tmp_path / "data")
    assert result.code == 2 and "GPE" in result.err


def test_evaluate_leaves_out_labels_that_a_narrowed_bundle_does_not_have(
    pointsman, bundles, tmp_path
):
    rows = pii_rows(6, seed=3)
    text = "call 555-123-4567 now " + rows[1]["text"]
    rows.append({"text": text, "spans": [{"start": 5, "end": 17, "label": "IP_ADDRESS"}]})
    data = write_rows(tmp_path / "pii.jsonl", rows)
    result = pointsman("evaluate", bundles[1], "--data", data, "-o", tmp_path / "out")
    assert result.code == 0 and "IP_ADDRESS" in result.err
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["rows"] == 7 and figures["per_type"]["LOCATION"]["spans"] == 4


def test_evaluate_reads_csv_with_other_column_names(pointsman, bundles, tmp_path):
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "verdict"])
        writer.writerows([["solve integral", "benign"], ["ignore all", "jailbreak"]])
    options = ("--column", "text=prompt", "--column", "label=verdict", "-o", tmp_path / "out")
    assert pointsman("evaluate", bundles[0], "--data", path, *options).code == 0
    result = pointsman("evaluate", bundles[0], "--data", path, "--column", "text=promt")
    assert result.code == 2 and "did you mean 'prompt'" in result.err
    result = pointsman("evaluate", bundles[0], "--data", path, "--column", "textprompt")
    assert result.code == 2 and "--column" in result.err and "textprompt" in result.err


def test_evaluate_runs_the_documents_prompts(pointsman, bundles):
    result = pointsman("evaluate", bundles[0], "--reference")
    assert result.code == 0 and "of 5" in result.out and "expected" in result.out
    assert "of 4" in pointsman("evaluate", bundles[1], "--reference").out


def test_the_document_has_no_prompts_for_a_task_of_ones_own(pointsman, own_demo):
    bundle = own_demo / "run" / "jailbreak" / "bundle"
    values = json.loads((bundle / "bundle.json").read_text())
    values["task"]["name"] = "mine"
    (bundle / "bundle.json").write_text(json.dumps(values))
    result = pointsman("evaluate", bundle, "--reference")
    assert result.code == 0 and "no prompts for mine" in result.err and result.out == ""


BAD_ROWS = {
    "utf-8": (b'{"text": "a", "label": "benign"}\n{"text": "\xff", "label": "benign"}\n', "UTF-8"),
    "json": (b'{"text": "a", "label": "benign"}\n{"text": \n', "JSON"),
    "label": (b'{"text": "a", "label": "benign"}\n{"text": "b", "label": "evil"}\n', "'evil'"),
    "nul": (b'{"text": "a", "label": "benign"}\n{"text": "\\u0000b", "label": "benign"}\n', "NUL"),
}


@pytest.mark.parametrize(("content", "words"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_rows_stop_an_evaluation_or_are_skipped(pointsman, bundles, tmp_path, content, words):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    result = pointsman("evaluate", bundles[0], "--data", path)
    assert result.code == 4 and "rows.jsonl: row 2" in result.err and words in result.err
    options = ("--on-bad-row", "skip", "-o", tmp_path / "out")
    result = pointsman("evaluate", bundles[0], "--data", path, *options)
    assert result.code == 0 and "1 bad rows skipped" in result.err
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["rows"] == 1


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 2, "--reference"),
        (("--data", "gone.jsonl"), 3, "gone.jsonl"),
        (("--data", "EMPTY"), 3, "at least one row"),
        (("--data", "EMPTY", "--on-bad-row", "skp"), 2, "skip"),
    ],
)
def test_evaluate_refuses_wrong_arguments(pointsman, bundles, tmp_path, options, code, words):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    options = [str(empty) if option == "EMPTY" else option for option in options]
    result = pointsman("evaluate", bundles[0], *options)
    assert result.code == code and words in result.err
