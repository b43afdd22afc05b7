"""Figures of sequence tasks against scikit-learn and against counting by hand."""

import numpy as np
import pytest
from sklearn import metrics

from pointsman.core.types import Prediction
from pointsman.evaluation.text_metrics import pair_insights, recall_at_fpr, score_texts
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK

THREE = CATEGORY.adapt(labels=("business", "law", "psychology"))
GOLD = ["business"] * 5 + ["law"] * 4 + ["psychology"] * 3
GIVEN = [*["business"] * 3, "law", "law", *["law"] * 3, "business", *["psychology"] * 3]


def answers(spec, labels):
    return [Prediction(spec.name, label, 0.9, {label: 0.9}) for label in labels]


def detections(scores, threshold=0.5):
    return [
        Prediction("jailbreak", "jailbreak" if s >= threshold else "benign", max(s, 1 - s),
                   {"benign": 1 - s, "jailbreak": s})
        for s in scores
    ]  # fmt: skip


def test_averages_are_scikit_learns():
    figures = score_texts(THREE, GOLD, answers(THREE, GIVEN))
    assert figures["rows"] == 12
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(GOLD, GIVEN))
    for average in ("macro", "weighted"):
        expected = metrics.precision_recall_fscore_support(GOLD, GIVEN, average=average)
        found = [figures[f"{average}_{name}"] for name in ("precision", "recall", "f1")]
        assert found == pytest.approx(expected[:3])


def test_the_table_per_class_and_the_confusion():
    figures = score_texts(THREE, GOLD, answers(THREE, GIVEN))
    assert figures["confusion"] == [[3, 2, 0], [1, 3, 0], [0, 0, 3]]
    assert figures["confusion"] == metrics.confusion_matrix(GOLD, GIVEN).tolist()
    law = figures["per_class"]["law"]
    assert law == {"precision": 0.6, "recall": 0.75, "f1": pytest.approx(2 / 3), "rows": 4}
    assert list(figures["per_class"]) == list(THREE.labels)


def test_the_pairs_that_the_document_calls_insights():
    figures = score_texts(THREE, GOLD, answers(THREE, GIVEN))
    assert figures["most_confused"] == {"labels": ["business", "law"], "rate": 3 / 9, "rows": 9}
    assert figures["best_separated"] == {"labels": ["business", "psychology"], "rate": 0, "rows": 8}


def test_labels_without_rows_have_no_part_in_the_averages_or_pairs():
    gold, given = ["business", "law"], ["business", "psychology"]
    figures = score_texts(THREE, gold, answers(THREE, given))
    assert figures["macro_recall"] == 0.5 and figures["macro_f1"] == 0.5
    assert figures["per_class"]["psychology"]["rows"] == 0
    assert "most_confused" not in figures and "best_separated" not in figures  # one pair alone


def test_one_label_alone_has_no_pairs():
    assert pair_insights(("a", "b"), np.asarray([[3, 1], [0, 0]])) == {}


def test_a_detector_is_scored_as_scikit_learn_does():
    random = np.random.default_rng(3)
    truth = random.random(300) < 0.4
    scores = np.clip(truth * 0.3 + random.random(300) * 0.7, 0, 1)
    gold = ["jailbreak" if t else "benign" for t in truth]
    figures = score_texts(JAILBREAK, gold, detections(scores.tolist()))
    assert figures["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert figures["average_precision"] == pytest.approx(
        metrics.average_precision_score(truth, scores)
    )
    flagged = scores >= 0.5
    assert figures["false_positive_rate"] == pytest.approx(flagged[~truth].mean())
    assert figures["false_negative_rate"] == pytest.approx((~flagged)[truth].mean())


def by_hand(truth, scores, rate):
    best = 0.0
    for threshold in [*sorted(set(scores)), np.inf]:
        flagged = scores >= threshold
        if flagged[~truth].mean() <= rate:
            best = max(best, flagged[truth].mean())
    return best


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 1.0])
def test_recall_at_a_false_positive_rate_is_the_largest_one(seed, rate):
    random = np.random.default_rng(seed)
    truth = random.random(250) < 0.3
    scores = np.round(truth * 0.4 + random.random(250), 2)  # with ties
    assert recall_at_fpr(truth, scores, rate) == pytest.approx(by_hand(truth, scores, rate))


def test_one_false_positive_in_a_hundred_is_allowed_and_two_are_not():
    truth = np.asarray([True] * 4 + [False] * 100)
    scores = np.asarray([0.9, 0.8, 0.6, 0.1, 0.85, 0.7, *np.linspace(0.01, 0.05, 98)])
    assert recall_at_fpr(truth, scores, 0.01) == 0.5


def test_figures_that_need_both_classes_are_left_out_where_there_is_one():
    figures = score_texts(JAILBREAK, ["benign"] * 4, detections([0.1, 0.2, 0.6, 0.3]))
    assert figures["false_positive_rate"] == 0.25
    assert not {"roc_auc", "recall_at_fpr_1", "false_negative_rate"} & set(figures)
    figures = score_texts(JAILBREAK, ["jailbreak"] * 2, detections([0.1, 0.9]))
    assert figures["false_negative_rate"] == 0.5 and "false_positive_rate" not in figures
