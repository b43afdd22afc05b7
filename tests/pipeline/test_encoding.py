"""Encoded splits: which windows teach, what stays open, how often a source's rows are drawn."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from pointsman.core.types import Example, Span
from pointsman.data.encode import IN_PART, TextEncoder
from pointsman.pipeline.encoding import Encoded, encode_split, row_weights
from pointsman.tasks.intent import INTENT
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.labels import model_labels
from pointsman.tasks.pii import PII
from pointsman.training.rows import Row

ROWS = [Row([1], 0, "large")] * 90 + [Row([1], 0, "small")] * 10


@pytest.mark.parametrize(("power", "small"), [(0.0, 0.5), (0.5, 0.25), (0.999999, 0.1)])
def test_the_share_of_a_source_is_its_rows_to_a_power(power, small):
    weights = row_weights(Encoded([], [], ROWS, {}), power)
    assert sum(weights[90:]) / sum(weights) == pytest.approx(small, abs=1e-4)


def test_a_power_of_one_changes_nothing():
    assert row_weights(Encoded([], [], ROWS, {}), 1.0) is None


def test_what_a_source_does_not_label_stays_open():
    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    spans, types = (Span(0, 3, "PERSON"),), ("GPE", "PERSON")
    rows = [
        Example("Ann waits here", spans=spans),
        Example("Ann waits here on Monday", spans=spans, annotated=types),
    ]
    encoded = encode_split(PII, TextEncoder(words, max_length=16), rows, every_window=True)
    person = model_labels(PII).index("B-PERSON")
    assert [row.labels for row in encoded.rows] == [[person, 0, 0], [person, *[IN_PART] * 4]]
    assert encoded.facts["labelled_in_part"] == 1
    (classes,) = encoded.open_labels
    left = {model_labels(PII)[i].partition("-")[2] for i in classes} - {""}
    assert 0 in classes and left == set(PII.labels) - {"O", *types}


def test_every_window_of_a_benign_text_teaches_a_detector():
    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    encoder = TextEncoder(words, max_length=8, overlap=2)
    long = "word " * 20
    benign, attack = Example(long, "benign"), Example(long, "jailbreak")
    assert len(encoder.encode([long])[0]) == 3

    taught = encode_split(JAILBREAK, encoder, [benign, attack], every_window=False).rows
    assert [row.labels for row in taught] == [0, 0, 0, 1]
    asked = encode_split(JAILBREAK, encoder, [benign, attack], every_window=True).rows
    assert [row.labels for row in asked] == [0, 0, 0, 1, 1, 1]
    other = Example(long, INTENT.labels[0])
    assert len(encode_split(INTENT, encoder, [other], every_window=False).rows) == 1
