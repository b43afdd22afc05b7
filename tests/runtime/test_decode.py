"""The rule for inconsistent BIO sequences."""

import numpy as np

from pointsman.runtime.decode import decode_labels, decode_spans
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
