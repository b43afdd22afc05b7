"""The audit tells when the sources of a token task label in different ways."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pointsman.core.types import Example, Span
from pointsman.data.audit import AuditedData, audit
from pointsman.data.conventions import contradictions, find_conventions, unlabelled_types
from pointsman.data.request import SourceRequest
from pointsman.data.sources import load_source
from pointsman.tasks.catalogue import TASKS

PII = TASKS["pii"]


def made(template, source, labels, count=10, **fields):
    """Rows of one template, whose slots {} hold a word each."""
    found = []
    for number in range(count):
        text, spans = "", []
        pieces = template.split("{}")
        for piece, label in zip(pieces, [*labels, None], strict=True):
            text += piece
            if label is not None:
                word = f"{label.lower()}x{number}"
                spans.append(Span(len(text), len(text) + len(word), label))
                text += word
        found.append(Example(text, spans=tuple(spans), source=source, **fields))
    return found


def test_sources_that_label_alike_raise_nothing():
    rows = [
        row
        for source in ("one", "other")
        for row in made("my code is {} and I am {}", source, ["ZIP_CODE", "PERSON"], 300)
    ]
    assert find_conventions(rows) == {"unlabelled": [], "contradictions": []}


def test_a_type_that_one_source_never_labels_is_found():
    rows = made("I am {} and {} old", "one", ["PERSON", "AGE"], 100)
    rows += made("I am {} and unheard of", "one", ["PERSON"], 300)
    silent = made("they call me {} over there", "other", ["PERSON"], 100)
    assert unlabelled_types(rows + silent) == [
        {"source": "other", "label": "AGE", "rows": 100, "share": 0.25}
    ]
    few = silent[:79]  # 20 rows of AGE are what makes their absence more than chance
    assert unlabelled_types(rows + few) == []


def test_what_a_source_says_it_leaves_out_is_no_finding():
    rows = made("I am {} and {} old", "one", ["PERSON", "AGE"], 100)
    partly = [
        replace(row, annotated=("PERSON",))
        for row in made("they call me {} over there", "other", ["PERSON"], 100)
    ]
    assert unlabelled_types(rows + partly) == []


def test_a_source_without_any_entities_is_no_finding():
    rows = made("I am {} and {} old", "one", ["PERSON", "AGE"], 100)
    clean = [Example(f"nothing to see in line {n}", source="clean") for n in range(500)]
    assert unlabelled_types(rows + clean) == []


def test_slots_that_two_sources_label_apart_are_found():
    rows = made("my code is {}, says {}", "one", ["ZIP_CODE", "PERSON"], 10)
    rows += made("My  code is {}, says {}", "other", ["STREET_ADDRESS", "PERSON"], 8)
    rows += made("Another one: {} for you", "other", ["PERSON"], 9)
    assert contradictions(rows) == [
        {
            "source": "one", "label": "ZIP_CODE", "other_source": "other",
            "other_label": "STREET_ADDRESS", "templates": 1, "rows": 18, "row": 0,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("template", "count"),
    [("is {}, {}", 10), ("my code is {}, says {}", 4)],
    ids=["too few words to be a template", "too few rows"],
)
def test_chance_is_no_contradiction(template, count):
    rows = made(template, "one", ["ZIP_CODE", "PERSON"], 10)
    rows += made(template, "other", ["STREET_ADDRESS", "PERSON"], count)
    assert contradictions(rows) == []


def test_one_source_that_is_of_two_minds_contradicts_nobody():
    template, rows = "my code is {} these days", []
    for source, labels in (("one", ["ZIP_CODE"]), ("two", ["ZIP_CODE"]), ("two", ["PERSON"])):
        rows += made(template, source, labels)
    assert contradictions(rows) == []


def test_the_audit_warns_of_it_with_an_example_that_is_masked():
    rows = made("I am {} and {} years old", "one", ["PERSON", "AGE"], 100)
    rows += made("my code is {} these days", "one", ["ZIP_CODE"], 100)
    rows += made("my code is {} these days", "other", ["STREET_ADDRESS"], 100)
    data = AuditedData(PII, {"train": rows}, [{"name": "one", "licence": "MIT"}])
    found = audit(data, shown=lambda row: row.text[:2])
    told = [entry for entry in found["findings"] if entry["check"] == "conventions"]
    assert [entry["severity"] for entry in told] == ["warning"] * len(told)
    texts = " / ".join(entry["text"] for entry in told)
    assert "other, 100 rows, never labels AGE (in 50.0% of the other rows), PERSON" in texts
    assert "what one labels ZIP_CODE is STREET_ADDRESS in other, in the same words" in texts
    assert ["my"] in [entry["examples"] for entry in told]
    assert json.loads(json.dumps(found)) == found


def test_a_sequence_task_has_none():
    rows = [Example(f"w{n} of law", label="law", source="one") for n in range(9)]
    spec = TASKS["category"].adapt(labels=("law", "math"))
    assert audit(AuditedData(spec, {"train": rows}, []), shown=str)["conventions"] == {}


def test_the_audit_finds_what_presidio_rows_of_three_versions_contradict(shared_data):
    examples = []
    for file in sorted((shared_data / "pii").glob("presidio_*.jsonl")):
        rows = load_source(SourceRequest(path=str(file)), PII).examples
        examples += [replace(row, source=file.stem) for row in rows]
    found = find_conventions(examples)
    silent = {(entry["source"], entry["label"]) for entry in found["unlabelled"]}
    tests = "presidio_tests_generated"
    assert silent == {(tests, "AGE"), (tests, "NRP"), (tests, "ZIP_CODE")}
    apart = {(entry["label"], entry["other_label"]) for entry in found["contradictions"]}
    assert {("TITLE", "PERSON"), ("ZIP_CODE", "STREET_ADDRESS")} <= apart
    assert {entry["other_source"] for entry in found["contradictions"]} == {tests}
