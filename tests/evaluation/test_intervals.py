"""Intervals: their statistics are the metrics, their width is right, pairs are told apart."""

import numpy as np
import pytest
from scipy.stats import norm

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.intervals import intervals, statistics
from pointsman.evaluation.score import score
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
