"""Mentions are replaced by others of their kind, whole runs at once, and spans go along."""

from __future__ import annotations

import pytest

from pointsman.core.types import Example, Span
from pointsman.data.mentions import runs_of, swap_mentions


def row(marked: str, **fields: object) -> Example:
    """Build a row from text with `[TYPE value]` in it."""
    text, spans = "", []
    for part in marked.replace("]", "[").split("["):
        label, _, value = part.partition(" ")
        if label.isupper() and len(label) > 2:
            spans.append(Span(len(text), len(text) + len(value), label))
            text += value
        else:
            text += part
    return Example(text, spans=tuple(spans), **fields)


ROWS = [
    row("I live at [STREET_ADDRESS 47] [STREET_ADDRESS Lawson Street], [GPE Glenross]."),
    row("[PERSON Ann] moved to [STREET_ADDRESS Unit 9501\nDPO AP 73762]"),
    row("Ask [PERSON Kim Lee] today"),
    row("Nothing here"),
]


def test_neighbours_without_a_word_between_them_are_one_run():
    (run,) = runs_of(ROWS[0])
    assert run.text == "47 Lawson Street, Glenross"
    assert run.kind == "STREET_ADDRESS"
    assert [r.kind for r in runs_of(ROWS[1])] == ["PERSON", "STREET_ADDRESS"]


def test_copies_hold_whole_runs_of_other_rows_of_the_same_kind():
    made = swap_mentions(ROWS, 10, seed=1)
    assert len(made) == 30
    texts = {example.text for example in made}
    assert "I live at Unit 9501\nDPO AP 73762." in texts
    assert any(text.endswith("moved to 47 Lawson Street, Glenross") for text in texts)
    assert texts & {"Ask Ann today"}
    known = {(run.kind, run.text) for example in ROWS for run in runs_of(example)}
    assert all((run.kind, run.text) in known for example in made for run in runs_of(example))


def test_the_same_seed_gives_the_same_copies():
    assert swap_mentions(ROWS, 2, seed=1) == swap_mentions(ROWS, 2, seed=1)
    assert swap_mentions(ROWS, 2, seed=1) != swap_mentions(ROWS, 2, seed=2)


@pytest.mark.parametrize("rows", [[], [ROWS[3]], [row("Ask [PERSON Kim]", annotated=("PERSON",))]])
def test_rows_that_tell_nothing_have_no_copies(rows):
    assert swap_mentions(rows, 1.0, seed=0) == []
