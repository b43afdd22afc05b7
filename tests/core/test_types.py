"""The shared words keep what they hold."""

import pytest

from pointsman.core.types import Example, PredictedSpan, Prediction, Span

EXAMPLES = [
    Example("hello", "benign", kind="benign", source="s", group="g", split="test", meta={"a": "b"}),
    Example("hello", "benign"),
    Example("Ann 東京", spans=(Span(0, 3, "PERSON"), Span(4, 6, "GPE")), source="s"),
    Example("nobody", source="s"),
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_row_comes_back(example):
    assert Example.from_row(example.to_row()) == example


def test_a_row_holds_only_what_the_task_has():
    assert EXAMPLES[1].to_row() == {"text": "hello", "label": "benign"}
    assert EXAMPLES[3].to_row() == {"text": "nobody", "spans": [], "source": "s"}


def test_a_prediction_shows_only_what_the_task_has():
    sure = Prediction("intent", "a", 0.9, {"a": 0.9, "b": 0.1}, tools=("x",))
    assert sure.to_dict() == {
        "task": "intent", "label": "a", "score": 0.9, "probabilities": {"a": 0.9, "b": 0.1},
        "tools": ["x"],
    }  # fmt: skip
    found = Prediction("pii", None, 0.5, spans=(PredictedSpan(0, 3, "PERSON", "Ann", 0.5),))
    span = {"start": 0, "end": 3, "label": "PERSON", "text": "Ann", "score": 0.5}
    assert found.to_dict() == {"task": "pii", "spans": [span]}


def test_spans_sort_by_their_place():
    assert sorted([Span(4, 6, "A"), Span(0, 9, "B"), Span(0, 3, "C")])[0] == Span(0, 3, "C")
