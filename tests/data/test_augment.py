"""Perturbed copies come on top of the clean rows, as many as asked, of every label."""

from collections import Counter

import pytest

from pointsman.core.errors import ConfigError
from pointsman.core.types import Example, Span
from pointsman.data.augment import augment
from pointsman.data.benign import EVALUATED
from pointsman.data.perturb import LONGEST, perturb_example
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.pii import PII

ROWS = [
    Example(f"Question {n} about contracts", label="law" if n % 4 else "math") for n in range(40)
]


def test_nothing_asked_nothing_made():
    assert augment(CATEGORY, ROWS, {}, seed=1) == {}


def test_copies_by_share_and_label():
    made = augment(CATEGORY, ROWS, {"typos": 0.5, "uppercase": 0.1}, seed=1)
    assert {name: len(rows) for name, rows in made.items()} == {"typos": 20, "uppercase": 4}
    assert Counter(row.label for row in made["typos"]) == {"law": 15, "math": 5}
    assert not {row.text for row in made["typos"]} & {row.text for row in ROWS}
    assert made == augment(CATEGORY, ROWS, {"typos": 0.5, "uppercase": 0.1}, seed=1)
    assert made != augment(CATEGORY, ROWS, {"typos": 0.5, "uppercase": 0.1}, seed=2)


def test_a_copy_is_the_perturbation_of_a_row():
    (made,) = augment(CATEGORY, ROWS, {"typos": 1.0}, seed=5).values()
    assert sorted(e.text for e in made) == sorted(
        perturb_example(row, "typos", 5).text for row in ROWS
    )


def test_every_perturbation_draws_rows_of_its_own():
    made = augment(CATEGORY, ROWS, {"lowercase": 0.25, "uppercase": 0.25}, seed=1)
    texts = [{row.text.lower() for row in rows} for rows in made.values()]
    assert texts[0] != texts[1]


def test_spans_move_with_their_text():
    rows = [Example(f"Ask Ann {n}", spans=(Span(4, 7, "PERSON"),)) for n in range(10)]
    (made,) = augment(PII, rows, {"padding": 1.0}, seed=0).values()
    assert [[row.text[s.start : s.end] for s in row.spans] for row in made] == [["Ann"]] * 10
    seen = {line for row in made for line in row.text.split(". ")}
    assert not any(line.rstrip(".") in text for line in EVALUATED.small_talk for text in seen), (
        "what reports measure with is held out"
    )
    with pytest.raises(ConfigError, match="keeps spans"):
        augment(PII, rows, {"base64": 0.5}, seed=0)


def test_very_long_texts_have_no_copies():
    rows = [*ROWS, Example("x" * (LONGEST + 1), label="math")]
    (made,) = augment(CATEGORY, rows, {"lowercase": 1.0}, seed=0).values()
    assert len(made) == 40 and max(len(row.text) for row in made) < LONGEST
