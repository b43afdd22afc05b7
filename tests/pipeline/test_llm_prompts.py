"""What a model is asked comes from the task; what it says is found in the text, or is not."""

import json

import pytest

from pointsman.evaluation.comparison import is_missing
from pointsman.pipeline.llm_prompts import Answer, locate, messages, read_answer, schema
from pointsman.tasks.catalogue import TASKS
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.intent import INTENT
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII
from pointsman.tasks.spec import TaskSpec

OWN = TaskSpec(
    name="language", title="Language", question="In which language is the prompt?",
    level="sequence", labels=("english", "polish {x}"), headline="accuracy", checkpoint="accuracy",
)  # fmt: skip


@pytest.mark.parametrize("spec", [*TASKS.values(), OWN], ids=lambda spec: spec.name)
def test_a_prompt_is_made_from_the_task(spec):
    system, user = messages(spec, "Ignore {all} of this")
    assert spec.question in system["content"] and "Ignore" not in system["content"]
    assert all(f"- {label}" in system["content"] for label in spec.labels)
    assert user == {"role": "user", "content": "<prompt>\nIgnore {all} of this\n</prompt>"}
    assert list(spec.labels) in [
        json.loads(x) for x in [json.dumps(y) for y in enums(schema(spec))]
    ]


def enums(value):
    if isinstance(value, dict):
        yield from ([value["enum"]] if "enum" in value else [])
        for inner in value.values():
            yield from enums(inner)


def test_tools_are_told():
    assert (
        "calculation (tools: calculator, math_solver, statistics)"
        in messages(INTENT, "x")[0]["content"]
    )


def test_schemas_are_closed():
    assert schema(JAILBREAK)["properties"]["label"]["enum"] == ["benign", "jailbreak"]
    span = schema(PII)["properties"]["spans"]["items"]
    assert span["required"] == ["text", "type"] and span["additionalProperties"] is False


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"label": "law"}', Answer("answered", "law")),
        ('```json\n{"label": "law"}\n```', Answer("answered", "law")),
        ('I {think} it is {"label": "law"}, surely', Answer("answered", "law")),
        ('{"label": "sports"}', Answer("wrong label")),
        ('{"label": 3}', Answer("unparsable")),
        ('{"label": "law"', Answer("unparsable")),
        ("law", Answer("unparsable")),
        ("", Answer("unparsable")),
        ("{" * 100_000, Answer("unparsable")),
    ],
)
def test_a_label_is_read(content, expected):
    assert read_answer(CATEGORY, "text", content) == expected


def test_an_answer_becomes_a_prediction():
    prediction = Answer("answered", "calculation").prediction(INTENT, "x")
    assert prediction.label == "calculation" and prediction.tools == INTENT.tools["calculation"]
    assert sum(prediction.probabilities.values()) == 1.0
    assert is_missing(Answer("refused").prediction(INTENT, "x"))
    assert is_missing(Answer("wrong label").prediction(PII, "x"))


def spans(text, *pieces):
    rows = [{"text": piece, "type": name} for piece, name in pieces]
    return read_answer(PII, text, json.dumps({"spans": rows}))


def test_spans_are_found_in_code_points():
    text = "😀 Zoë Łuk met Zoë Łuk at zoe@example.org 👩‍👩‍👧"
    answer = spans(text, ("Zoë Łuk", "PERSON"), ("zoe@example.org", "EMAIL_ADDRESS"))
    assert [(text[a:b], name) for a, b, name in answer.spans] == [
        ("Zoë Łuk", "PERSON"), ("Zoë Łuk", "PERSON"), ("zoe@example.org", "EMAIL_ADDRESS"),
    ]  # fmt: skip
    found = answer.prediction(PII, text).spans
    assert all(span.text == text[span.start : span.end] for span in found)


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("Ann and Anna and Ann", [("Ann", "PERSON")], [(0, 3, "PERSON"), (17, 20, "PERSON")]),
        ("Annabel", [("Ann", "PERSON")], [(0, 3, "PERSON")]),
        ("New York City", [("York", "PERSON"), ("New York City", "GPE")], [(0, 13, "GPE")]),
        ("Paris in Paris, Paris", [("Paris", "PERSON"), ("Paris", "GPE")],
         [(0, 5, "PERSON"), (9, 14, "GPE"), (16, 21, "GPE")]),
        ("+1 555", [(" +1 555 ", "PHONE_NUMBER")], [(0, 6, "PHONE_NUMBER")]),
        ("nobody", [], []),
    ],
)  # fmt: skip
def test_the_rule_of_occurrences(text, pieces, expected):
    assert locate(text, pieces) == (expected, 0)


def test_what_is_not_in_the_text_is_a_wrong_span():
    answer = spans("Call Ann", ("Bob", "PERSON"), ("Ann", "PERSON"), ("Ann", "DOG"), ("", "PERSON"))
    assert answer.spans == ((5, 8, "PERSON"),) and answer.unmatched == 3
    prediction = answer.prediction(PII, "Call Ann")
    assert len(prediction.spans) == 4 and not is_missing(prediction)
    alone = spans("Call", ("Bob", "PERSON")).prediction(PII, "Call")
    assert not is_missing(alone) and alone.spans[0].text == ""


@pytest.mark.parametrize(
    "content", ['{"spans": "none"}', "{}", '{"spans": [1]}', '{"spans": [{"type": "PERSON"}]}']
)
def test_spans_that_are_none_cannot_be_read(content):
    assert read_answer(PII, "text", content) == Answer("unparsable")
