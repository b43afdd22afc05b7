"""Figures of token tasks, counted by hand."""

import pytest

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.score import scalars, score
from pointsman.evaluation.span_metrics import score_spans
from pointsman.tasks.pii import PII

TEXT = "Dr. Ann Lee of Oslo, ann@x.org"


def example(*spans, group=None, text=TEXT):
    return Example(text, spans=tuple(Span(*span) for span in spans), group=group)


def guesses(*spans):
    return [PredictedSpan(a, b, label, TEXT[a:b], 0.9) for a, b, label in spans]


GOLD = [
    example((4, 11, "PERSON"), (15, 19, "GPE"), (21, 30, "EMAIL_ADDRESS"), group="t1"),
    example((4, 11, "PERSON"), group="t1"),
    example((4, 11, "PERSON"), group="t2"),
    example(),
    example(),
]
FOUND = [
    guesses((4, 11, "PERSON"), (15, 19, "ORGANIZATION"), (21, 30, "EMAIL_ADDRESS")),
    guesses((4, 7, "PERSON"), (8, 11, "PERSON")),
    guesses(),
    guesses((0, 3, "TITLE")),
    guesses(),
]


@pytest.fixture(scope="module")
def figures():
    return score_spans(PII, GOLD, FOUND)


def test_strict_counts_start_end_and_type(figures):
    assert figures["rows"] == 5
    assert figures["span_precision"] == pytest.approx(2 / 6)
    assert figures["span_recall"] == pytest.approx(2 / 5)
    assert figures["span_f1"] == pytest.approx(2 * 2 / (6 + 5))


def test_overlap_is_blind_to_type_and_boundary(figures):
    assert figures["overlap_precision"] == pytest.approx(5 / 6)
    assert figures["overlap_recall"] == pytest.approx(4 / 5)


def test_per_type(figures):
    person = figures["per_type"]["PERSON"]
    assert (person["precision"], person["recall"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (person["spans"], person["groups"]) == (3, 2)  # of two templates
    assert figures["per_type"]["EMAIL_ADDRESS"]["f1"] == 1
    assert figures["per_type"]["GPE"] == {
        "precision": 0, "recall": 0, "f1": 0, "spans": 1, "groups": 1,
    }  # fmt: skip
    assert figures["per_type"]["AGE"]["spans"] == 0
    assert list(figures["per_type"]) == list(PII.labels)


def test_the_macro_average_is_over_the_types_that_occur(figures):
    assert figures["macro_span_f1"] == pytest.approx((1 / 3 + 0 + 1) / 3)


def test_clean_texts(figures):
    assert (figures["clean_texts"], figures["clean_share"]) == (2, 0.5)
    assert "clean_share" not in score_spans(PII, GOLD[:2], FOUND[:2])


def test_nothing_found_is_nothing_and_not_an_error():
    figures = score_spans(PII, GOLD[:2], [[], []])
    assert (figures["span_precision"], figures["span_f1"], figures["overlap_f1"]) == (0, 0, 0)
    assert score_spans(PII, [example()], [[]])["span_f1"] == 0


def test_two_guesses_for_one_span_count_once():
    figures = score_spans(PII, [example((4, 11, "PERSON"))], [guesses(*[(4, 11, "PERSON")] * 2)])
    assert (figures["span_precision"], figures["span_recall"]) == (0.5, 1)


def test_texts_without_a_template_are_their_own_group():
    gold = [example((0, 1, "AGE"), text="7 a"), example((0, 1, "AGE"), text="8 b")]
    assert score_spans(PII, gold, [[], []])["per_type"]["AGE"]["groups"] == 2


def test_scalars_leave_the_tables_out():
    predictions = [Prediction("pii", None, 0.9, spans=tuple(found)) for found in FOUND]
    plain = scalars(score(PII, GOLD, predictions))
    assert plain["rows"] == 5 and "per_type" not in plain
    assert all(
        isinstance(value, int if name == "rows" else float | int) for name, value in plain.items()
    )
