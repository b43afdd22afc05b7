"""Intervals: their statistics are the metrics, their width is right, pairs are told apart."""

import numpy as np
import pytest
from scipy.stats import norm

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.intervals import intervals, share_interval, type_intervals
from pointsman.evaluation.score import score
from pointsman.evaluation.statistics import statistics
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII
from tests.evaluation.rows import THREE, detector, spans, texts


@pytest.mark.parametrize("case", ["texts", "detector", "ties", "spans"])
def test_with_weights_of_one_they_are_the_figures(case):
    if case == "texts":
        random = np.random.default_rng(1)
        gold = [THREE.labels[i] for i in random.integers(0, 2, 40)]  # the third never occurs
        given = [THREE.labels[i] for i in random.integers(0, 3, 40)]
        spec, (examples, answers) = THREE, texts(THREE, gold, given)
    elif case == "spans":
        spec, (examples, answers) = PII, spans()
    else:
        spec, (examples, answers) = JAILBREAK, detector(200, 3, ties=case == "ties")
    figures = score(spec, examples, answers)
    found = statistics(spec, examples, answers)
    assert spec.headline in found and spec.checkpoint in found
    for name, statistic in found.items():
        assert statistic(np.ones(len(examples))) == pytest.approx(figures[name]), name
        doubled = statistic(np.full(len(examples), 2.0))
        assert doubled == pytest.approx(figures[name]), name


def test_a_weight_is_a_repetition():
    examples, answers = detector(120, 5, ties=True)
    weights = np.random.default_rng(0).integers(0, 4, 120)
    repeated = np.repeat(np.arange(120), weights)
    figures = score(JAILBREAK, [examples[i] for i in repeated], [answers[i] for i in repeated])
    for name, statistic in statistics(JAILBREAK, examples, answers).items():
        assert statistic(weights.astype(float)) == pytest.approx(figures[name]), name


def test_the_interval_of_an_accuracy_is_the_binomial_one():
    gold = ["law"] * 400
    given = ["law"] * 300 + ["business"] * 100
    found = intervals(THREE, *texts(THREE, gold, given), metrics=["accuracy"])["accuracy"]
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert found.value == 0.75 and found.groups == 400
    assert found.low == pytest.approx(0.75 - half, abs=0.006)
    assert found.high == pytest.approx(0.75 + half, abs=0.006)
    assert found.to_dict()["few"] is False


def test_groups_are_drawn_whole():
    gold = ["law"] * 400
    given = ["law"] * 300 + ["business"] * 100
    alone = intervals(THREE, *texts(THREE, gold, given))["accuracy"]
    groups = [f"g{i // 50}" for i in range(400)]
    together = intervals(THREE, *texts(THREE, gold, given, groups))["accuracy"]
    assert together.groups == 8 and together.to_dict()["few"] is True
    assert together.high - together.low > 4 * (alone.high - alone.low)


def test_intervals_are_the_same_twice_and_cover():
    examples, answers = detector(300, 7)
    assert intervals(JAILBREAK, examples, answers) == intervals(JAILBREAK, examples, answers)
    truth = norm.cdf(1.5 / np.sqrt(2))  # the area under a binormal curve
    held = 0
    for seed in range(60):
        found = intervals(JAILBREAK, *detector(150, 100 + seed), metrics=["roc_auc"], draws=200)
        held += found["roc_auc"].low <= truth <= found["roc_auc"].high
    assert 52 <= held <= 60


def test_shares_of_none_or_all_have_exact_ends():
    examples = [Example(str(i), "benign" if i < 60 else "jailbreak") for i in range(70)]
    answers = [Prediction("jailbreak", "benign", 0.9, {"benign": 0.9, "jailbreak": 0.1})] * 70
    found = intervals(JAILBREAK, examples, answers)
    assert (found["false_positive_rate"].value, found["false_positive_rate"].low) == (0, 0)
    assert found["false_positive_rate"].high == pytest.approx(1 - 0.025 ** (1 / 60))
    assert found["false_positive_rate"].groups == 60
    assert found["false_negative_rate"].low == pytest.approx(0.025 ** (1 / 10))
    assert found["false_negative_rate"].high == 1 and found["false_negative_rate"].groups == 10
    grouped = [
        Example(e.text, e.label, group="g" if i < 60 else None) for i, e in enumerate(examples)
    ]
    assert intervals(JAILBREAK, grouped, answers)["false_positive_rate"].high == pytest.approx(
        0.975
    )


def test_a_ranking_rests_on_its_scarcer_label():
    examples = [Example(str(i), "jailbreak" if i < 4 else "benign") for i in range(400)]
    scores = np.random.default_rng(0).random(400)
    answers = [
        Prediction("jailbreak", "benign", s, {"benign": 1 - s, "jailbreak": s}) for s in scores
    ]
    found = {k: v.to_dict() for k, v in intervals(JAILBREAK, examples, answers).items()}
    assert found["roc_auc"]["groups"] == found["recall_at_fpr_1"]["groups"] == 4
    assert found["roc_auc"]["few"] and found["recall_at_fpr_1"]["few"]
    assert found["false_negative_rate"]["few"] and not found["false_positive_rate"]["few"]
    assert found["accuracy"]["groups"] == 400 and not found["accuracy"]["few"]


@pytest.mark.parametrize("case", ["ranking", "spans"])
def test_a_perfect_figure_is_not_a_sure_one(case):
    if case == "spans":
        spec, metrics = PII, ("span_f1", "span_precision", "span_recall")
        examples = [Example("Ann", spans=(Span(0, 3, "PERSON"),)) for _ in range(12)]
        examples += [Example("no one")] * 50  # rows without spans tell nothing of spans
        answers = [
            Prediction("pii", None, 0.9, spans=tuple(PredictedSpan(0, 3, "PERSON", "Ann", 0.9) for _ in e.spans))
            for e in examples
        ]  # fmt: skip
    else:
        spec, metrics = JAILBREAK, ("roc_auc", "recall_at_fpr_1", "precision")
        examples = [Example(str(i), "jailbreak" if i < 12 else "benign") for i in range(62)]
        answers = [
            Prediction(spec.name, e.label, 0.9, {"jailbreak": 0.9 * (e.label != "benign")})
            for e in examples
        ]
    found = intervals(spec, examples, answers)
    for name in metrics:
        assert found[name].value == 1 and found[name].groups == 12, name
        assert found[name].low == pytest.approx(0.025 ** (1 / 12)) and found[name].exact, name
    assert found.get("accuracy", found[metrics[0]]).exact


def test_nothing_found_tells_nothing_of_precision():
    found = intervals(PII, [Example("Ann", spans=(Span(0, 3, "PERSON"),))], [Prediction("pii", None, 0.9)])  # fmt: skip
    assert (found["span_precision"].low, found["span_precision"].high) == (0, 1)
    assert found["span_precision"].groups == 0 and found["span_recall"].groups == 1


def test_a_share_has_an_interval_by_group():
    rows = [Example(str(i)) for i in range(400)]
    alone = share_interval(rows, [i < 300 for i in range(400)])
    assert alone.value == 0.75 and alone.groups == 400 and not alone.exact
    assert alone.high - alone.low == pytest.approx(3.92 * np.sqrt(0.75 * 0.25 / 400), abs=0.012)
    grouped = [Example(str(i), group=f"g{i // 100}") for i in range(400)]
    assert share_interval(grouped, [i < 300 for i in range(400)]).high == 1.0
    whole = share_interval(rows[:20], [True] * 20)
    assert whole.exact and whole.low == pytest.approx(0.025 ** (1 / 20))


def test_types_have_intervals_of_their_own():
    examples, answers = spans()
    found = type_intervals(PII, examples * 30, answers * 30)
    assert list(found) == ["GPE", "PERSON"]  # in the order of the task
    assert found["PERSON"]["recall"].value == pytest.approx(1 / 3)
    assert found["PERSON"]["recall"].low < 1 / 3 < found["PERSON"]["recall"].high
    assert found["PERSON"]["recall"].groups == 60 and found["PERSON"]["precision"].exact
    assert found["PERSON"]["precision"].value == 1 and found["PERSON"]["precision"].groups == 30
    assert list(found["GPE"]) == ["precision"] and found["GPE"]["precision"].value == 0
    assert found["GPE"]["precision"].high == pytest.approx(1 - 0.025 ** (1 / 60))
