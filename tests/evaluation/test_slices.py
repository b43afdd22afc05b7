"""Slices: the right rows in each, the figure that they can tell, and an interval around it."""

import pytest

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.slices import kept_out_figures, length_band, measure, slice_figures
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII


def detected(*scores):
    return [
        Prediction("jailbreak", "jailbreak" if s >= 0.5 else "benign", s, {"benign": 1 - s, "jailbreak": s})
        for s in scores
    ]  # fmt: skip


def category(*labels):
    return [Prediction("category", label, 1.0, {}) for label in labels]


@pytest.mark.parametrize(
    ("tokens", "band"),
    [
        (1, "1-8 tokens"), (8, "1-8 tokens"), (9, "9-32 tokens"), (32, "9-32 tokens"),
        (128, "33-128 tokens"), (129, "129-512 tokens"), (512, "129-512 tokens"),
        (513, "beyond 512 tokens"),
    ],
)  # fmt: skip
def test_bands(tokens, band):
    assert length_band(tokens) == band


def test_a_detectors_rows_of_both_classes_tell_the_area_under_the_curve():
    rows = [Example("t", "benign"), Example("t", "jailbreak")] * 6
    part = measure(JAILBREAK, rows, detected(*[0.1, 0.9] * 5, 0.9, 0.8))
    assert part["rows"] == 12 and part["metric"] == "roc_auc" and not part["few"]
    assert part["value"] == pytest.approx((5 * 6 + 2.5) / 36)
    assert part["interval"]["low"] <= part["value"] <= part["interval"]["high"]
    assert part["false_positive_rate"] == pytest.approx(1 / 6)
    assert part["flagged"] == pytest.approx(7 / 12)


@pytest.mark.parametrize("label", ["benign", "jailbreak"])
def test_rows_of_one_class_tell_the_share_flagged_alone(label):
    part = measure(JAILBREAK, [Example("t", label)] * 40, detected(*[0.9] * 10, *[0.1] * 30))
    assert set(part) == {"rows", "metric", "value", "interval", "few", "flagged"}
    assert part["metric"] == "flagged" and part["value"] == part["flagged"] == 0.25
    assert 0.1 < part["interval"]["low"] < 0.25 < part["interval"]["high"] < 0.45
    assert part["interval"]["groups"] == 40


def test_none_of_sixty_is_not_surely_none():
    part = measure(JAILBREAK, [Example("t", "benign")] * 60, detected(*[0.1] * 60))
    assert part["value"] == part["interval"]["low"] == 0
    assert part["interval"]["high"] == pytest.approx(1 - 0.025 ** (1 / 60))
    part = measure(CATEGORY, [Example("t", "law")] * 60, category(*["law"] * 60))
    assert part["value"] == part["interval"]["high"] == 1
    assert part["interval"]["low"] == pytest.approx(0.025 ** (1 / 60))


def test_few_rows_are_called_so():
    assert measure(CATEGORY, [Example("t", "law")] * 9, category(*["law"] * 9))["few"]
    assert not measure(CATEGORY, [Example("t", "law")] * 10, category(*["law"] * 10))["few"]


def test_rows_of_one_group_count_once():
    rows = [Example("t", "law", group="g")] * 30
    interval = measure(CATEGORY, rows, category(*["law"] * 30))["interval"]
    assert interval["groups"] == 1 and interval["few"]


def test_a_token_task_tells_span_f1_or_the_share_left_alone():
    row = Example("Ann", spans=(Span(0, 3, "PERSON"),))
    found = Prediction("pii", None, 1.0, spans=(PredictedSpan(0, 3, "PERSON", "Ann", 1.0),))
    nothing = Prediction("pii", None, 0.0)
    part = measure(PII, [row, row], [found, nothing])
    assert part["metric"] == "span_f1" and part["value"] == pytest.approx(2 / 3)
    part = measure(PII, [Example("x"), Example("y")], [found, nothing])
    assert part["metric"] == "clean_share" and part["value"] == 0.5


def test_the_divisions_of_the_test_rows():
    rows = [
        Example("t", "benign", source="a", kind="benign", meta={"lang": "en"}),
        Example("t", "jailbreak", source="b", kind="injection", meta={"lang": "de"}),
        Example("t", "jailbreak", source="b", kind="jailbreak"),
    ]
    found = slice_figures(JAILBREAK, rows, detected(0.1, 0.9, 0.2), [600, 5, 20])
    assert list(found) == [
        "source: a", "source: b",
        "length: 1-8 tokens", "length: 9-32 tokens", "length: beyond 512 tokens",
        "language: de", "language: en", "language: not told",
        "kind: benign", "kind: injection", "kind: jailbreak",
    ]  # fmt: skip
    assert found["source: b"]["rows"] == 2 and found["source: b"]["value"] == 0.5
    assert {part["by"] for part in found.values()} == {"source", "length", "language", "kind"}
    assert found["kind: jailbreak"]["value"] == 0.0 and found["kind: injection"]["value"] == 1.0


def test_a_text_tells_its_language_where_no_row_does():
    german = "Der Vertrag wurde gestern unterschrieben und tritt morgen in Kraft"
    english = "The contract was signed yesterday and comes into force tomorrow morning"
    rows = [Example(text, "law") for text in (german, english, english, "ok")]
    found = slice_figures(CATEGORY, rows, category(*["law"] * 4), [9] * 4)
    counts = {name: part["rows"] for name, part in found.items()}
    assert counts == {"language: de": 1, "language: en": 2, "language: not told": 1}
    assert slice_figures(CATEGORY, rows[1:], category(*["law"] * 3), [9] * 3) == {}


def test_a_division_into_one_slice_repeats_nothing():
    rows = [Example("t", "law", source="a"), Example("t", "math", source="a")]
    assert slice_figures(CATEGORY, rows, category("law", "math"), [3, 3]) == {}


def test_kept_out_rows_and_sources_out_of_distribution():
    slices = {
        "harmful": [Example("t", "benign", kind="harmful")] * 3,
        "ood-far": [Example("a", "benign"), Example("b", "jailbreak")],
        "none": [],
    }

    def answer(texts):
        return detected(*[0.9 if text != "a" else 0.1 for text in texts])

    found = kept_out_figures(JAILBREAK, slices, answer)
    assert {name: part["by"] for name, part in found.items()} == {
        "harmful": "kept out",
        "ood-far": "ood",
    }
    assert found["harmful"]["metric"] == "flagged" and found["harmful"]["value"] == 1.0
    assert found["ood-far"]["metric"] == "roc_auc" and found["ood-far"]["value"] == 1.0
