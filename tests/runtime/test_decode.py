"""The rule for inconsistent BIO sequences, and the likeliest sequence of types."""

import itertools
import math

import numpy as np
import pytest

from pointsman.core.types import Span
from pointsman.runtime.decode import ADJACENT_COST, cost_of_adjacency, decode_labels, decode_spans
from pointsman.tasks.pii import PII

BEGIN, INSIDE = 1, 2  # of the first type; 3 and 4 of the second
WORDS = [(0, 2), (3, 5), (6, 8), (9, 11)]


def spans(labels, offsets=WORDS):
    return [s[:3] for s in decode_labels(labels, [1.0] * len(labels), offsets)]


def test_begin_and_inside_make_one_span():
    assert spans([BEGIN, INSIDE, INSIDE, 0]) == [(0, 8, 0)]


def test_inside_without_begin_begins_a_span():
    assert spans([0, INSIDE, INSIDE, 0]) == [(3, 8, 0)]


def test_inside_of_another_type_begins_a_span():
    assert spans([BEGIN, 4, 4, 0]) == [(0, 2, 0), (3, 8, 1)]


def test_begin_always_begins():
    assert spans([BEGIN, BEGIN, INSIDE, 0]) == [(0, 2, 0), (3, 8, 0)]


def test_outside_ends_a_span_and_a_later_inside_begins_another():
    assert spans([BEGIN, 0, INSIDE, INSIDE]) == [(0, 2, 0), (6, 11, 0)]


def test_tokens_without_width_do_not_end_a_span():
    assert spans([BEGIN, 0, INSIDE], [(0, 2), (2, 2), (3, 5)]) == [(0, 5, 0)]


def test_bytes_of_one_character_make_no_overlapping_spans():
    assert spans([BEGIN, 3, 3], [(0, 1), (0, 1), (0, 2)]) == [(0, 1, 0), (1, 2, 1)]


def test_decoded_spans_are_trimmed_and_scored():
    probabilities = np.zeros((2, 35), dtype=np.float32)
    probabilities[0, 21], probabilities[1, 22] = 0.8, 0.6
    (found,) = decode_spans(probabilities, [(0, 4), (4, 9)], "Ann  Lee ", PII.labels)
    assert (found.start, found.end, found.text, found.label) == (0, 8, "Ann  Lee", "PERSON")
    assert abs(found.score - 0.7) < 1e-6


NAMES = "ab cd ef gh ij"
PLACES = [(i, i + 2) for i in range(0, len(NAMES), 3)]


def told(rows, cost=ADJACENT_COST, **how):
    """Spans of two types, by what is said of words: O, B-X, I-X, B-Y, I-Y."""
    table = np.asarray(rows, dtype=np.float32)
    bounds = how.pop("offsets", PLACES[: len(rows)])
    text = how.pop("text", NAMES)
    found = decode_spans(table, bounds, text, ["X", "Y"], adjacent_cost=cost, **how)
    return [(s.start, s.end, s.label) for s in found]


def test_a_mind_changed_within_a_name_is_not_two_spans():
    rows = [(0.1, 0.45, 0.0, 0.40, 0.05), (0.1, 0.0, 0.1, 0.1, 0.7)]
    assert told(rows) == [(0, 5, "Y")]
    assert told(rows, cost=0.0) == [(0, 2, "X"), (3, 5, "Y")]


def test_spans_that_follow_each_other_are_two_where_the_model_is_sure():
    rows = [(0.02, 0.95, 0.01, 0.01, 0.01), (0.02, 0.01, 0.01, 0.95, 0.01)]
    assert told(rows) == [(0, 2, "X"), (3, 5, "Y")]
    again = [(0.01, 0.97, 0.01, 0.0, 0.01), (0.01, 0.97, 0.01, 0.0, 0.01)]
    assert told(again) == [(0, 2, "X"), (3, 5, "X")]
    unsure = [(0.01, 0.97, 0.01, 0.0, 0.01), (0.01, 0.68, 0.30, 0.0, 0.01)]
    assert told(unsure) == [(0, 5, "X")]


def test_a_type_may_give_way_to_nothing_beside_another():
    rows = [(0.45, 0.5, 0.0, 0.05, 0.0), (0.01, 0.0, 0.0, 0.98, 0.01)]
    assert told(rows) == [(3, 5, "Y")]
    assert told(rows[:1]) == [(0, 2, "X")], "alone it costs nothing"


def test_words_decide_together_and_tokens_without_width_say_nothing():
    rows = [
        (0.1, 0.6, 0.1, 0.1, 0.1), (0.9, 0.0, 0.0, 0.1, 0.0), (0.0, 0.2, 0.2, 0.3, 0.3),
        (0.1, 0.1, 0.6, 0.1, 0.1),
    ]  # fmt: skip
    text, offsets = "Ann Leer", [(0, 3), (3, 3), (4, 6), (6, 8)]
    assert told(rows, text=text, offsets=offsets, words=True) == [(0, 8, "X")]
    apart = told(rows, text=text, offsets=offsets, cost=0.0)
    assert apart == [(0, 3, "X"), (4, 6, "Y"), (6, 8, "X")]
    assert told([], text="", offsets=[]) == told(rows[1:2], offsets=[(3, 3)]) == []


def brute_force(rows, cost):
    """The best of all sequences of O, and of types that begin or go on."""
    best, winner = -math.inf, None
    for path in itertools.product(range(5), repeat=len(rows)):
        score, before = 0.0, 0
        for row, label in zip(rows, path, strict=True):
            kind = (label + 1) // 2
            if label and label % 2 == 0 and before != kind:
                score = -math.inf  # nothing to go on with
            p = row[0] if kind == 0 else row[2 * kind - 1] + row[2 * kind]
            score += math.log(p)
            if kind and before == kind:
                share = row[label] / (row[2 * kind - 1] + row[2 * kind])
                score += math.log(share) - (cost if label % 2 else 0.0)
            elif kind and before:
                score -= cost
            before = kind
        if score > best:
            best, winner = score, path
    return [s[:3] for s in decode_labels(winner, [1.0] * len(rows), PLACES[: len(rows)])]


@pytest.mark.parametrize("cost", [0.0, 0.7, ADJACENT_COST, 5.0])
def test_the_sequence_is_the_best_of_all(cost):
    draw = np.random.default_rng(7)
    several = 0
    for _ in range(120):
        rows = draw.dirichlet([0.6] * 5, size=int(draw.integers(1, 6))).astype(np.float32)
        rows = np.maximum(rows, 1e-4).astype(np.float32)
        wanted = [(start, end, "XY"[kind]) for start, end, kind in brute_force(rows.tolist(), cost)]
        assert told(rows, cost) == wanted
        several += len(wanted) > 1
    assert several > 10


def test_spans_that_often_follow_each_other_cost_less():
    apart = ("Ann met Lee", [Span(0, 3, "PERSON"), Span(8, 11, "PERSON")])
    beside = ("Bonn 53111", [Span(5, 10, "ZIP_CODE"), Span(0, 4, "GPE")])
    assert cost_of_adjacency([apart] * 50) == ADJACENT_COST
    assert cost_of_adjacency([apart] * 50 + [beside] * 5) == ADJACENT_COST
    assert cost_of_adjacency([beside] * 50) == pytest.approx(math.log(102 / 51), abs=1e-4)
    assert cost_of_adjacency([]) == pytest.approx(math.log(2), abs=1e-4)
