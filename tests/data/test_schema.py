"""The door: what is let in, and that every refusal names place, need and find, never the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.errors import RowError
from pointsman.core.types import Example, Span
from pointsman.data.schema import is_split, labels_left_out, to_example
from pointsman.tasks.catalogue import TASKS

CATEGORY, PII, JAILBREAK = TASKS["category"], TASKS["pii"], TASKS["jailbreak"]
WHERE = "file.jsonl: row 17"


def refusal(raw, spec=CATEGORY, **rules) -> RowError:
    with pytest.raises(RowError) as caught:
        to_example(raw, where=WHERE, spec=spec, **rules)
    assert WHERE in str(caught.value)
    return caught.value


def spans(*triples):
    return [{"start": s, "end": e, "label": x} for s, e, x in triples]


def test_a_good_row_of_each_level():
    row = to_example({"text": " Law? ", "label": "law", "group": 3}, where=WHERE, spec=CATEGORY)
    assert row == Example(text=" Law? ", label="law", group="3")
    raw = {"text": "Ann, Bo", "spans": spans((5, 7, "PERSON"), (0, 3, "PERSON"))}
    found = to_example(raw, where=WHERE, spec=PII)
    assert found.spans == (Span(0, 3, "PERSON"), Span(5, 7, "PERSON"))
    assert found.label is None


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        (None, "a string"),
        (7, "a string"),
        ("", "more than blanks"),
        (" \n\t\u00a0", "more than blanks"),
        ("secret\0", "without NUL"),
        ("secret \ud800", "valid Unicode"),
        ("secret" * 4, "at most 20 characters"),
    ],
)
def test_bad_texts(text, needed):
    error = refusal({"text": text, "label": "law"}, max_chars=20)
    assert needed in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("label", [None, "", "Law", "laws", 3, ["law"], "x" * 500])
def test_unknown_labels(label):
    error = refusal({"text": "hello", "label": label})
    assert error.fix is not None
    assert "x" * 60 not in str(error)


def test_a_near_label_is_suggested():
    assert "did you mean 'law'" in refusal({"text": "hello", "label": "lawe"}).fix


@pytest.mark.parametrize(
    ("raw", "needed"),
    [
        (None, "a list"),
        ("[]", "a list"),
        ([3], "a mapping"),
        (spans(("0", 3, "PERSON")), "integers"),
        (spans((True, 3, "PERSON")), "integers"),
        (spans((0.0, 3, "PERSON")), "integers"),
        (spans((3, 3, "PERSON")), "start < end"),
        (spans((-1, 3, "PERSON")), "start < end"),
        (spans((0, 9, "PERSON")), "start < end <= 8"),
        (spans((3, 4, "PERSON")), "more than blanks"),
        (spans((0, 3, "MAN")), "a label that the task knows"),
        (spans((0, 3, "PERSON"), (2, 5, "TITLE")), "do not overlap"),
    ],
)
def test_bad_spans(raw, needed):
    error = refusal({"text": "Ann came", "spans": raw}, PII)
    assert needed in str(error)
    assert "Ann" not in str(error)


def test_touching_spans_do_not_overlap():
    raw = {"text": "AnnBo", "spans": spans((0, 3, "PERSON"), (3, 5, "PERSON"))}
    assert len(to_example(raw, where=WHERE, spec=PII).spans) == 2


def test_offsets_count_code_points():
    raw = {"text": "👩‍👩‍👧 Ann", "spans": spans((6, 9, "PERSON"))}
    (span,) = to_example(raw, where=WHERE, spec=PII).spans
    assert raw["text"][span.start : span.end] == "Ann"


@pytest.mark.parametrize(
    ("kind", "label", "split"),
    [
        ("benign", "benign", None),
        ("injection", "jailbreak", None),
        ("harmful", "benign", "slice:harmful"),
    ],
)
def test_kinds_make_labels_and_slices(kind, label, split):
    row = to_example({"text": "hi", "kind": kind}, where=WHERE, spec=JAILBREAK)
    assert (row.label, row.split, row.kind) == (label, split, kind)


def test_chosen_kinds_count_as_positive():
    spec = JAILBREAK.adapt(positive_kinds=("jailbreak", "harmful"))
    row = to_example({"text": "hi", "kind": "harmful"}, where=WHERE, spec=spec)
    assert (row.label, row.split) == ("jailbreak", None)
    row = to_example({"text": "hi", "kind": "injection"}, where=WHERE, spec=spec)
    assert row.split == "slice:injection"


def test_unknown_kind():
    assert "`kind` to be one of" in str(refusal({"text": "hi", "kind": "evil"}, JAILBREAK))


def test_dropped_labels_are_left_out_and_unknown_ones_are_not():
    spec = CATEGORY.adapt(labels=("law", "math"))
    dropped = labels_left_out(spec)
    row = {"text": "hi", "label": "physics"}
    assert to_example(row, where=WHERE, spec=spec, dropped_labels=dropped) is None
    refusal({"text": "hi", "label": "astrology"}, spec, dropped_labels=dropped)
    refusal(row, spec)


def test_merged_and_dropped_span_types():
    spec = PII.adapt(
        label_map={"GPE": "LOCATION", "STREET_ADDRESS": "LOCATION"}, labels=("PERSON", "LOCATION")
    )
    raw = {"text": "Ann in Rome", "spans": spans((0, 3, "PERSON"), (7, 11, "GPE"), (0, 6, "AGE"))}
    row = to_example(raw, where=WHERE, spec=spec, dropped_labels=labels_left_out(spec))
    assert [span.label for span in row.spans] == ["PERSON", "LOCATION"]


@pytest.mark.parametrize("split", ["dev", "slice:", "slice:../x", "slice:A", "slice:.x", 3])
def test_bad_splits(split):
    assert "`split`" in str(refusal({"text": "hi", "label": "law", "split": split}))
    assert not is_split(str(split))


def test_meta_is_text_and_sound():
    raw = {"text": "hi", "label": "law", "meta": {"n": 3, "none": None}}
    assert to_example(raw, where=WHERE, spec=CATEGORY).meta == {"n": "3"}
    refusal(raw | {"meta": "x"})
    refusal(raw | {"meta": {"a": "\ud800"}})


@given(st.text(max_size=30), st.integers(-3, 40), st.integers(-3, 40))
def test_what_is_let_in_can_be_sliced_and_read_back(text, start, end):
    raw = {"text": text, "spans": spans((start, end, "PERSON"))}
    try:
        row = to_example(raw, where=WHERE, spec=PII)
    except RowError:
        return
    (span,) = row.spans
    assert row.text[span.start : span.end].strip()
    assert len(row.text[span.start : span.end]) == end - start
    row.text.encode("utf-8")
    assert Example.from_row(row.to_row()) == row
