"""One model against another: pairs are told apart, groups count once, detectors rank at one rate."""

import numpy as np
import pytest

from pointsman.core.types import Prediction
from pointsman.evaluation.intervals import intervals
from pointsman.evaluation.score import score
from pointsman.evaluation.significance import Difference, mcnemar, paired_difference
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII
from tests.evaluation.rows import THREE, detector, spans, texts


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
