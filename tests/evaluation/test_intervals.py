"""Intervals: their statistics are the metrics, their width is right, pairs are told apart."""

import numpy as np
import pytest
from scipy.stats import norm

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.intervals import (
    Difference,
    intervals,
    mcnemar,
    paired_difference,
    statistics,
)
from pointsman.evaluation.score import score
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII

THREE = CATEGORY.adapt(labels=("business", "law", "psychology"))


def texts(spec, gold, given, groups=None):
    groups = groups or [None] * len(gold)
    examples = [
        Example(f"t{i}", g, group=x) for i, (g, x) in enumerate(zip(gold, groups, strict=True))
    ]
    return examples, [Prediction(spec.name, label, 0.9, {label: 0.9}) for label in given]


def detector(rows, seed, lift=1.5, ties=False):
    random = np.random.default_rng(seed)
    truth = random.random(rows) < 0.3
    scores = norm.cdf(random.normal(truth * lift))
    if ties:
        scores = scores.round(1)
    examples = [Example(str(i), "jailbreak" if t else "benign") for i, t in enumerate(truth)]
    answers = [
        Prediction("jailbreak", "jailbreak" if s >= 0.5 else "benign", max(s, 1 - s),
                   {"benign": 1 - s, "jailbreak": s})
        for s in map(float, scores)
    ]  # fmt: skip
    return examples, answers


def spans():
    examples = [
        Example("Ann and Bo", spans=(Span(0, 3, "PERSON"), Span(8, 10, "PERSON"))),
        Example("nothing"),
        Example("call Cy", spans=(Span(5, 7, "PERSON"),)),
        Example("none here"),
    ]
    found = [[(0, 3, "PERSON")], [(0, 7, "GPE")], [(5, 7, "GPE")], []]
    answers = [
        Prediction(
            "pii", None, 0.9, spans=tuple(PredictedSpan(a, b, x, "", 0.9) for a, b, x in row)
        )
        for row in found
    ]
    return examples, answers


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


def test_a_pair_is_told_apart_where_each_alone_is_not():
    random = np.random.default_rng(2)
    gold = [THREE.labels[i] for i in random.integers(0, 3, 300)]
    wrong = [THREE.labels[(THREE.labels.index(g) + 1) % 3] for g in gold]
    worse = [w if i < 100 else g for i, (g, w) in enumerate(zip(gold, wrong, strict=True))]
    better = [w if i < 85 else g for i, (g, w) in enumerate(zip(gold, wrong, strict=True))]
    examples, first = texts(THREE, gold, better)
    second = texts(THREE, gold, worse)[1]
    difference = paired_difference(THREE, examples, first, second)
    assert difference.metric == "macro_f1" and difference.verdict == "better"
    assert difference.p_value == pytest.approx(2 * 0.5**15)
    alone = [intervals(THREE, examples, x)["macro_f1"] for x in (first, second)]
    assert alone[0].low < alone[1].high
    back = paired_difference(THREE, examples, second, first)
    assert back.verdict == "worse" and back.value == -difference.value
    same = paired_difference(THREE, examples, first, first)
    assert same.verdict == "no difference" and same.p_value == 1.0 and same.value == 0


def test_mcnemar():
    assert mcnemar([True] * 10, [True] * 10) == 1.0
    first = [True] * 40 + [False] * 20 + [True] * 5
    second = [False] * 40 + [True] * 20 + [True] * 5
    assert mcnemar(first, second) == pytest.approx(0.0142, abs=2e-4)  # chi2 = 19^2 / 60
    assert mcnemar([True], [False]) == 1.0


def test_mcnemar_counts_groups_that_win_and_not_their_rows():
    """Eight of twelve groups of forty rows are won: that is nothing, and 320 rows of 480 are."""
    first = [i // 40 < 8 for i in range(480)]
    second = [not x for x in first]
    assert mcnemar(first, second) < 1e-10
    groups = [i // 40 for i in range(480)]
    assert mcnemar(first, second, groups) == pytest.approx(0.3877, abs=1e-4)  # 8 of 12 coins
    alone = list(range(480))
    assert mcnemar(first, second, alone) == mcnemar(first, second)
    sizes = [5, 3, 1]  # 5 + 3 - 1 = 7: four of the eight sums are as large, by hand
    won = [True] * 8 + [False]
    lost = [not x for x in won]
    members = [0] * 5 + [1] * 3 + [2]
    assert mcnemar(won, lost, members) == pytest.approx(0.5) and sum(sizes) == 9


def test_mcnemar_of_many_groups_keeps_its_level():
    draw = np.random.default_rng(0)
    small = 0
    for _ in range(400):
        wins = np.repeat(draw.integers(2, size=60), 7).astype(bool)
        groups = np.repeat(np.arange(60), 7)
        small += mcnemar(wins, ~wins, groups) < 0.05
    assert small / 400 < 0.08


def test_detectors_are_compared_at_one_rate_of_false_positives():
    """The same ranking under two thresholds is no difference."""
    examples, answers = detector(400, 1)
    moved = [
        Prediction(a.task, "jailbreak" if a.probabilities["jailbreak"] > 0.1 else "benign",
                   a.score, a.probabilities) for a in answers
    ]  # fmt: skip
    assert sum(a.label != b.label for a, b in zip(answers, moved, strict=True)) > 50
    difference = paired_difference(JAILBREAK, examples, answers, moved)
    assert difference.metric in ("recall_at_fpr_1", "roc_auc") and difference.p_value == 1.0
    labels = paired_difference(JAILBREAK, examples, answers, moved, metric="accuracy")
    assert labels.p_value < 0.01


def test_a_token_task_has_a_paired_interval_and_no_mcnemar():
    examples, answers = spans()
    blind = [Prediction("pii", None, 0.0)] * 4
    difference = paired_difference(PII, examples, answers, blind)
    assert difference.value == pytest.approx(score(PII, examples, answers)["span_f1"])
    assert difference.p_value is None and Difference("x", 1, 0.5, 2, None).verdict == "better"
    assert difference.to_dict()["verdict"] == difference.verdict


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
