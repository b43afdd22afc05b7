"""Sub-tokens of one word agree."""

import numpy as np
import pytest

from pointsman.core.types import Span
from pointsman.runtime.words import joined, pool_words, spans_fit_words

BEGIN, INSIDE, OTHER = 1, 2, 3  # B and I of the first type, B of the second


def rows(*tokens):
    table = np.full((len(tokens), 5), 0.02, dtype=np.float32)
    for row, (label, score) in zip(table, tokens, strict=True):
        row[label] = score
    return table


def test_a_word_takes_the_type_that_its_tokens_favour_together():
    pooled = pool_words(
        rows((BEGIN, 0.9), (INSIDE, 0.8), (OTHER, 0.6)), [(0, 3), (3, 5), (5, 8)], "Forsberg"
    )
    assert pooled.argmax(axis=1).tolist() == [BEGIN, INSIDE, INSIDE]
    assert pooled[0, BEGIN] == pytest.approx((0.92 + 0.82 + 0.04) / 3)


def test_a_word_may_go_on_with_the_span_before_it():
    pooled = pool_words(
        rows((BEGIN, 0.9), (INSIDE, 0.9), (BEGIN, 0.9)), [(0, 3), (4, 6), (6, 8)], "Ann Leer"
    )
    assert pooled.argmax(axis=1).tolist() == [BEGIN, INSIDE, INSIDE]


def test_outside_wins_a_word_by_the_mean():
    pooled = pool_words(rows((0, 0.9), (BEGIN, 0.6)), [(0, 3), (3, 5)], "roses")
    assert pooled.argmax(axis=1).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("text", "position", "together"),
    [
        ("Forsberg", 3, True),
        ("Ann Lee", 3, False),
        ("a.b", 1, False),
        ("e\u0301a", 1, True),
        ("東京", 1, False),
        ("สวัสดี", 2, False),
        ("שלום", 2, True),
        ("a\\nThelma", 3, False),
        ("anThelma", 2, True),
        ("ab", 0, False),
        ("ab", 2, False),
    ],
)
def test_where_words_go_on(text, position, together):
    assert joined(text, position) is together


def test_tokens_of_other_words_are_left_alone():
    given = rows((BEGIN, 0.9), (OTHER, 0.6), (0, 0.7))
    offsets = [(0, 3), (3, 4), (4, 7)]
    assert (pool_words(given, offsets, "Ann,Lee") == given).all()


def test_data_whose_spans_end_inside_words_turns_it_off():
    assert spans_fit_words([("Ann Lee", [Span(0, 3, "PERSON")])] * 10)
    assert not spans_fit_words([("Budapestben", [Span(0, 8, "GPE")])] * 10)
    assert spans_fit_words([])
