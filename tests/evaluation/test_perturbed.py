"""Perturbed figures: the same rows, the stated strength, the fall from the clean figure."""

import pytest

from pointsman.core.errors import ConfigError
from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.data.perturb import LONGEST, PERTURBATIONS, names_for
from pointsman.evaluation.perturbed import EvaluateOptions, perturbed_figures, sample_rows
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII

ROWS = [Example(f"law question {n}", "law") for n in range(30)]
ROWS += [Example(f"math question {n}", "math") for n in range(10)]


def by_first_word(texts):
    """Law, unless the text begins with `math`: a reader that upper case deceives."""
    return [
        Prediction("category", "math" if text.startswith("math") else "law", 1.0, {})
        for text in texts
    ]


def run(rows=ROWS, spec=CATEGORY, answer=by_first_word, **options):
    clean = answer([row.text for row in rows])
    return perturbed_figures(spec, rows, clean, answer=answer, options=EvaluateOptions(**options))


def test_the_fall_is_that_of_the_rows_that_are_read_differently():
    found = run(perturbations=["lowercase", "uppercase"])
    upper = found["uppercase"]
    assert upper["clean"] == 1.0 and upper["value"] == 0.75 and upper["drop"] == 0.25
    assert upper["metric"] == "accuracy" and upper["rows"] == 40 and upper["seed"] == 0
    assert upper["strength"] == PERTURBATIONS["uppercase"].strength
    assert upper["interval"]["low"] < 0.75 < upper["interval"]["high"]
    assert 0.1 < upper["drop_interval"]["low"] < 0.25 < upper["drop_interval"]["high"] < 0.5
    assert found["lowercase"]["drop"] == 0


def test_all_run_unless_some_are_named():
    found = run(seed=5)
    assert tuple(found) == names_for("sequence") == tuple(PERTURBATIONS)
    assert all(part["seed"] == 5 and part["rows"] == 40 for part in found.values())
    stated = {name: part["strength"] for name, part in found.items()}
    assert stated == {name: p.strength for name, p in PERTURBATIONS.items()} and all(
        stated.values()
    )
    assert run(perturbations=[]) == {}


def test_a_sample_has_every_label_and_is_the_same_each_time():
    options = EvaluateOptions(rows=8, seed=3)
    drawn = sample_rows(CATEGORY, ROWS, options)
    assert drawn == sample_rows(CATEGORY, ROWS, options)
    assert sum(ROWS[i].label == "law" for i in drawn) == 6 and len(drawn) == 8
    assert drawn != sample_rows(CATEGORY, ROWS, EvaluateOptions(rows=8, seed=4))
    assert run(rows=[*ROWS], perturbations=["typos"])["typos"]["rows"] == 40


def test_very_long_texts_are_left_out():
    long = Example("x" * (LONGEST + 1), "law")
    assert sample_rows(CATEGORY, [long, *ROWS], EvaluateOptions()) == list(range(1, 41))
    assert run(rows=[long]) == {}


def test_spans_are_scored_where_they_moved_to():
    def find(texts):
        places = [(text, text.find("Ann")) for text in texts]
        return [
            Prediction("pii", None, 1.0, spans=(PredictedSpan(i, i + 3, "PERSON", "Ann", 1.0),) * (i >= 0))
            for _, i in places
        ]  # fmt: skip

    rows = [Example(f"Ask Ann {n}", spans=(Span(4, 7, "PERSON"),)) for n in range(12)]
    found = run(rows=rows, spec=PII, answer=find)
    assert tuple(found) == names_for("token") and "base64" not in found
    assert found["padding"]["value"] == 1.0 and found["document"]["drop"] == 0.0
    assert found["lowercase"]["value"] == 0.0 and found["lowercase"]["drop"] == 1.0
    assert "drop_interval" not in found["padding"]


def test_what_is_named_and_does_not_fit_a_token_task_is_left_to_the_others():
    options = EvaluateOptions(perturbations=("typos", "rot13"))
    assert options.names(PII) == ("typos",) and options.names(CATEGORY) == ("typos", "rot13")


@pytest.mark.parametrize("values", [{"perturbations": ["typo"]}, {"row": 5}, {"rows": 0}])
def test_options_are_closed(values):
    with pytest.raises(ConfigError, match="typos|rows"):
        EvaluateOptions.parse(values, where="options")


def test_a_detector_is_told_at_its_threshold_where_the_ranking_hides_all():
    """Upper case lowers every score alike: ROC-AUC stays 1 while nothing is caught any more."""

    def answer(texts):
        scores = [
            (0.9 if "ATTACK" in t.upper() else 0.3) * (0.5 if t.isupper() else 1) for t in texts
        ]
        return [
            Prediction("jailbreak", "jailbreak" if s >= 0.5 else "benign", s, {"benign": 1 - s, "jailbreak": s})
            for s in scores
        ]  # fmt: skip

    rows = [Example(f"attack number {n}", "jailbreak") for n in range(20)]
    rows += [Example(f"question number {n}", "benign") for n in range(30)]
    found = run(rows=rows, spec=JAILBREAK, answer=answer, perturbations=["uppercase", "lowercase"])
    upper = found["uppercase"]
    assert upper["metric"] == "roc_auc" and upper["value"] == upper["clean"] == 1.0
    sides = upper["at_threshold"]
    assert sides["clean"]["recall"]["value"] == 1.0 and sides["perturbed"]["recall"]["value"] == 0.0
    assert sides["perturbed"]["recall"]["high"] == pytest.approx(1 - 0.025 ** (1 / 20))
    assert sides["clean"]["false_positive_rate"]["high"] == pytest.approx(1 - 0.025 ** (1 / 30))
    same = found["lowercase"]["at_threshold"]
    assert same["perturbed"] == same["clean"]
    assert "at_threshold" not in run(perturbations=["uppercase"])["uppercase"]
