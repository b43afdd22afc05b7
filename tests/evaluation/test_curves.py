"""Curves: against scikit-learn, and thin where nobody looks."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from pointsman.core.types import Example, Prediction
from pointsman.evaluation.curves import POINTS, describe_curves, thin
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII


def detections(rows, seed=0, digits=8):
    draw = np.random.default_rng(seed)
    truth = draw.random(rows) < 0.4
    scores = np.where(truth, draw.beta(4, 2, rows), draw.beta(2, 4, rows)).round(digits)
    examples = [Example(str(i), "jailbreak" if t else "benign") for i, t in enumerate(truth)]
    answers = [Prediction("jailbreak", None, 0, {"jailbreak": float(s)}) for s in scores]
    return examples, answers, truth, scores


@pytest.mark.parametrize("digits", [1, 8])
def test_the_curve_of_a_detector_is_scikit_learns(digits):
    examples, answers, truth, scores = detections(120, digits=digits)
    curves = describe_curves(JAILBREAK, examples, answers)
    rates, recall, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    assert np.asarray(curves["roc"]) == pytest.approx(np.column_stack((rates, recall)))
    found = [p["threshold"] for p in curves["threshold"]]
    assert found == pytest.approx(thresholds[1:])
    for point, (r, precision) in zip(curves["threshold"], curves["precision_recall"], strict=True):
        flagged = scores >= point["threshold"]
        assert truth[flagged].mean() == pytest.approx(precision)
        assert flagged[truth].mean() == pytest.approx(r) == pytest.approx(point["recall"])


def test_long_curves_are_thinned_and_keep_their_ends():
    examples, answers, truth, _ = detections(5000)
    curves = describe_curves(JAILBREAK, examples, answers)
    assert all(len(curve) <= POINTS for curve in curves.values())
    assert curves["roc"][0] == [0, 0] and curves["roc"][-1] == [1, 1]
    strict = [p for p in curves["threshold"] if p["false_positive_rate"] <= 0.01]
    assert len(strict) > 40  # the end that is read
    table = np.arange(20.0).reshape(10, 2)
    assert thin(table, 10) is table


def test_coverage_falls_as_the_threshold_rises():
    rows = [(0.9, True), (0.8, False), (0.8, True), (0.6, False)]
    examples = [Example(str(i), "law") for i in range(4)]
    answers = [Prediction("category", "law" if r else "math", s) for s, r in rows]
    curve = describe_curves(CATEGORY, examples, answers)["coverage"]
    assert curve == [[0.25, 1.0, 0.9], [0.75, pytest.approx(2 / 3), 0.8], [1.0, 0.5, 0.6]]


def test_there_is_no_curve_without_both_labels_or_of_spans():
    examples, answers, _, _ = detections(50)
    benign = [(e, a) for e, a in zip(examples, answers, strict=True) if e.label == "benign"]
    assert describe_curves(JAILBREAK, *map(list, zip(*benign, strict=True))) == {}
    assert describe_curves(PII, [Example("a")], [Prediction("pii", None, 0.0)]) == {}
