"""Calibration: the temperature that made the data comes back; noise is not taken for error."""

import numpy as np
import pytest

from pointsman.bundle.meta import BundleMeta
from pointsman.core.types import Example, Span
from pointsman.data.encode import Window, label_ids, label_tokens
from pointsman.evaluation.calibration import (
    Scores,
    calibration_error,
    can_calibrate,
    collect_scores,
    describe_calibration,
    few_to_calibrate,
    fit_temperature,
    lowers_loss,
    reliability,
)
from pointsman.runtime.predictor import Reading
from pointsman.runtime.windows import softmax
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.labels import model_labels
from pointsman.tasks.pii import PII

THREE = CATEGORY.adapt(labels=("business", "law", "psychology"))


def meta(spec, **more):
    return BundleMeta(task=spec, labels=model_labels(spec), max_length=64, **more)


def window(tokens, first=0):
    """A window of one special token before and after `tokens` words of three letters."""
    offsets = [((first + i) * 4, (first + i) * 4 + 3) for i in range(tokens)]
    return Window([1] * (tokens + 2), offsets, 1, first)


def sampled(spec, rows, heat, seed=0, windows=1):
    """Texts whose labels are drawn from their true probabilities; logits are `heat` times too hot."""
    draw = np.random.default_rng(seed)
    examples, readings = [], []
    for i in range(rows):
        logits = draw.normal(0, 2, (windows, len(spec.labels)))
        true = np.average(softmax(logits), axis=0)
        label = spec.labels[draw.choice(len(true), p=true)]
        examples.append(Example(str(i), label))
        parts = tuple(window(5, first=i * 5) for i in range(windows))
        hot = tuple(np.asarray(row, dtype=np.float32) for row in logits * heat)
        readings.append(Reading(str(i), parts, hot))
    return examples, readings


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("spec", [THREE, JAILBREAK], ids=lambda s: s.name)
def test_the_temperature_comes_back(spec, heat):
    examples, readings = sampled(spec, 3000, heat)
    found = fit_temperature(meta(spec, temperature=7.0), examples, readings)
    assert found == pytest.approx(heat, rel=0.12)
    cold = collect_scores(meta(spec), examples, readings)
    fitted = collect_scores(meta(spec, temperature=found), examples, readings)
    assert fitted.nll() <= cold.nll() + 1e-9
    assert calibration_error(fitted, examples)["value"] < 0.02
    if heat == 3.0:
        assert calibration_error(cold, examples)["low"] > 0.05
        assert fitted.brier() < cold.brier()


@pytest.mark.parametrize("rows", [20, 500])
def test_rows_that_are_all_right_do_not_ask_for_certainty(rows):
    examples = [Example(str(i), THREE.labels[i % 3]) for i in range(rows)]
    logits = [np.eye(3, dtype=np.float32)[i % 3] * 2 for i in range(rows)]
    readings = [Reading(e.text, (window(5),), (x,)) for e, x in zip(examples, logits, strict=True)]
    found = fit_temperature(meta(THREE), examples, readings)
    scores = collect_scores(meta(THREE, temperature=found), examples, readings)
    assert scores.confidence[0] == pytest.approx(1 - 1 / (rows + 2), abs=0.002)


def test_the_merged_probability_of_long_texts_is_what_is_fitted():
    examples, readings = sampled(THREE, 1500, 2.0, windows=3)
    found = fit_temperature(meta(THREE), examples, readings)
    assert found == pytest.approx(2.0, rel=0.15)


def test_noise_alone_is_no_calibration_error():
    values, plain = [], []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        confidence = draw.uniform(0.5, 1, 200)
        right = draw.random(200) < confidence
        scores = Scores(
            np.column_stack((1 - confidence, confidence)), right.astype(np.int64), np.arange(200), 1
        )
        examples = [Example(str(i), "x") for i in range(200)]
        values.append(calibration_error(scores, examples)["value"])
        bins = reliability(scores)
        plain.append(sum(b["rows"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / 200)
    assert np.mean(plain) > 0.07  # what the plain sum would say of a perfect model
    assert np.mean(values) < 0.5 * np.mean(plain)


@pytest.mark.parametrize(("texts", "tokens"), [(200, 1), (2000, 1), (100, 20)])
def test_the_interval_holds_the_error_of_a_calibrated_model(texts, tokens):
    """Tokens of a text are right or wrong together here: a text is one draw and not twenty."""
    held, values = 0, []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        confidence = np.repeat(draw.uniform(0.5, 1, texts), tokens)
        right = np.repeat(draw.random(texts), tokens) < confidence
        scores = Scores(
            np.column_stack((1 - confidence, confidence)), right.astype(np.int64),
            np.repeat(np.arange(texts), tokens), 1,
        )  # fmt: skip
        found = calibration_error(scores, [Example(str(i), "x") for i in range(texts)])
        held += found["low"] <= 0 <= found["high"]
        values.append(found["value"])
    assert held >= 36
    assert np.mean(values) < 0.6 / np.sqrt(texts)


@pytest.mark.parametrize("rows", [300, 3000])
def test_the_interval_holds_a_known_gap(rows):
    held = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        confidence = draw.uniform(0.6, 0.9, rows)
        right = draw.random(rows) < confidence - 0.1
        scores = Scores(
            np.column_stack((1 - confidence, confidence)), right.astype(int), np.arange(rows), 1
        )
        found = calibration_error(scores, [Example(str(i), "x") for i in range(rows)])
        held += found["low"] <= 0.1 <= found["high"]
    assert held >= 35


def test_the_error_of_a_known_gap():
    draw = np.random.default_rng(3)
    confidence = draw.uniform(0.6, 0.9, 20_000)
    right = draw.random(20_000) < confidence - 0.1
    scores = Scores(
        np.column_stack((1 - confidence, confidence)), right.astype(int), np.arange(20_000), 1
    )
    found = calibration_error(scores, [Example(str(i), "x") for i in range(20_000)])
    assert found["value"] == pytest.approx(0.1, abs=0.01)
    assert found["low"] < found["value"] < found["high"] < found["low"] + 0.03


def test_the_reliability_diagram_has_equal_bins_and_means():
    confidence = np.linspace(0.4, 0.99, 150)
    right = np.arange(150) % 3 > 0
    scores = Scores(
        np.column_stack((1 - confidence, confidence)), right.astype(int), np.arange(150), 1
    )
    bins = reliability(scores)
    assert {b["rows"] for b in bins} == {10} and len(bins) == 15
    assert bins[0]["confidence"] == pytest.approx(confidence[:10].mean())
    assert bins[0]["accuracy"] == pytest.approx(right[:10].mean())
    assert all(a["high"] < b["low"] for a, b in zip(bins, bins[1:], strict=False))
    few = Scores(scores.probabilities[:45], scores.gold[:45], scores.owner[:45], 1)
    assert [b["rows"] for b in reliability(few)] == [11, 11, 11, 12], "ten rows or more in each"
    flat = Scores(np.full((30, 2), 0.5), np.zeros(30, dtype=int), np.arange(30), 1)
    assert len(reliability(flat)) == 1  # equal confidences are not torn apart


def test_brier_of_both_kinds():
    table = np.asarray([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    scores = Scores(table, np.asarray([0, 2]), np.arange(2))
    expected = (0.3**2 + 0.2**2 + 0.1**2 + 0.1**2 + 0.8**2 + 0.9**2) / 2
    assert scores.brier() == pytest.approx(expected)
    assert scores.right.tolist() == [1, 0] and scores.confidence.tolist() == [0.7, 0.8]
    two = Scores(np.asarray([[0.7, 0.3], [0.1, 0.9]]), np.asarray([0, 1]), np.arange(2), 1)
    assert two.brier() == pytest.approx((0.3**2 + 0.1**2) / 2)
    assert two.confidence.tolist() == [0.3, 0.9] and two.right.tolist() == [0, 1]


def tokens(rows, heat, seed=0):
    draw = np.random.default_rng(seed)
    ids = label_ids(PII)
    labels = len(model_labels(PII))
    examples, readings = [], []
    for i in range(rows):
        text = " ".join(["abc"] * 6)
        part = window(6)
        spans = (Span(4, 7, "PERSON"),) if i % 2 else ()
        gold = label_tokens(part.offsets, spans, ids)
        logits = np.zeros((8, labels), dtype=np.float32)
        for place, label in enumerate(gold):
            seen = label if draw.random() < 0.8 else int(draw.integers(0, 3))
            logits[place + 1, seen] = 4.0 * heat
        examples.append(Example(text, spans=spans))
        readings.append(Reading(text, (part,), (logits,)))
    return examples, readings


@pytest.mark.parametrize("pool", [False, True])
def test_tokens_are_fitted_and_described(pool):
    examples, readings = tokens(300, 3.0)
    found = fit_temperature(meta(PII, pool_words=pool), examples, readings)
    assert found > 1.5
    before = describe_calibration(
        collect_scores(meta(PII, pool_words=pool), examples, readings), examples
    )
    after = describe_calibration(
        collect_scores(meta(PII, pool_words=pool, temperature=found), examples, readings), examples
    )
    assert sum(b["rows"] for b in after["reliability"]) == 300 * 6
    assert after["ece"]["value"] < before["ece"]["value"]
    assert after["ece"]["low"] <= after["ece"]["value"] <= after["ece"]["high"]


def test_rows_of_one_label_cannot_tell_a_temperature():
    assert can_calibrate(THREE, [Example("a", "law"), Example("b", "business")])
    assert not can_calibrate(THREE, [Example("a", "law"), Example("b", "law")])
    assert can_calibrate(PII, [Example("a"), Example("b", spans=(Span(0, 1, "PERSON"),))])
    assert not can_calibrate(PII, [Example("a")])


@pytest.mark.parametrize(
    ("spec", "labels", "says"),
    [
        (THREE, ["law", "business"] * 14, "28 independent texts"),
        (THREE, ["law", "business"] * 15, ""),
        (JAILBREAK, ["benign"] * 500 + ["jailbreak"] * 2, "2 independent texts of jailbreak"),
        (JAILBREAK, ["benign"] * 20 + ["jailbreak"] * 12, ""),
    ],
)
def test_too_few_rows_for_a_temperature_are_said(spec, labels, says):
    found = few_to_calibrate(spec, [Example(str(i), x) for i, x in enumerate(labels)])
    assert (says in found) if says else not found


def test_of_tokens_texts_with_spans_count():
    held, empty = Example("b", spans=(Span(0, 1, "PERSON"),)), Example("a")
    assert "29 independent texts with spans" in few_to_calibrate(PII, [held] * 29 + [empty] * 90)
    assert few_to_calibrate(PII, [held] * 30) == ""
    copies = [Example("b", spans=held.spans, group="one")] * 90
    assert "1 independent" in few_to_calibrate(PII, copies)


def test_what_lowers_the_loss_is_told_from_what_raises_it():
    examples, readings = sampled(THREE, 300, 3.0)
    fitted = fit_temperature(meta(THREE), examples, readings)
    assert lowers_loss(meta(THREE, temperature=9.0), fitted, examples, readings)
    assert not lowers_loss(meta(THREE), 0.2, examples, readings)
    described = describe_calibration(collect_scores(meta(THREE), examples, readings), examples)
    assert described["nll"] == pytest.approx(collect_scores(meta(THREE), examples, readings).nll())
    assert sum(described["histogram"]) == 300 and len(described["histogram"]) == 20
