"""Baselines learn, answer in the predictor's form, and are scored by the same code."""

import pytest

from pointsman.core.errors import DataError
from pointsman.core.types import Example, Span
from pointsman.evaluation.baselines import Majority, shape, tfidf
from pointsman.evaluation.score import score
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.pii import PII

THREE = CATEGORY.adapt(labels=("business", "law", "psychology"))
WORDS = {"business": "profit market firm", "law": "court statute judge", "psychology": "mind fear"}


def test_texts():
    rows = [
        Example(f"{word} of the {word} {n}", label)
        for label, words in WORDS.items()
        if label != "psychology"
        for word in words.split()
        for n in range(3)
    ]
    answers = tfidf(THREE).fit(rows).predict(["the court", "a firm profit"])
    assert [a.label for a in answers] == ["law", "business"]
    for answer in answers:
        assert list(answer.probabilities) == list(THREE.labels)
        assert answer.probabilities["psychology"] == 0.0  # no row of it was seen
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.score == max(answer.probabilities.values())
    assert (
        score(THREE, rows, tfidf(THREE).fit(rows).predict([r.text for r in rows]))["accuracy"] == 1
    )


def test_tokens():
    rows = []
    for name in ("Ann Lee", "Bo Carr", "Cy Dunn", "Di Eads"):
        for filler in ("please", "today", "now"):
            text = f"Call {name} {filler}, or mail {name[:2].lower()}@x.org"
            start, mail = text.index(name), text.index("mail ") + 5
            spans = (
                Span(start, start + len(name), "PERSON"),
                Span(mail, len(text), "EMAIL_ADDRESS"),
            )
            rows.append(Example(text, spans=spans))
    model = tfidf(PII).fit(rows)
    answers = model.predict([rows[0].text, "", "Nothing here."])
    assert [(s.start, s.end, s.label) for s in answers[0].spans] == [
        (s.start, s.end, s.label) for s in rows[0].spans
    ]
    assert all(s.text == rows[0].text[s.start : s.end] for s in answers[0].spans)
    assert answers[1].spans == () and answers[1].score == 0


def test_shapes():
    assert shape("Ab9-") == "Xx9-"
    assert shape("ABCDEFG") == shape("ABCDEFGHI") == "XXX+"


def test_majority():
    rows = [Example("a", "law"), Example("b", "law"), Example("c", "business")]
    answers = Majority(THREE).fit(rows).predict(["x", "y"])
    assert [a.label for a in answers] == ["law", "law"]
    assert answers[0].probabilities == pytest.approx(
        {"business": 1 / 3, "law": 2 / 3, "psychology": 0}
    )
    assert list(answers[0].probabilities) == list(THREE.labels)
    assert score(THREE, rows, Majority(THREE).fit(rows).predict("abc"))[
        "accuracy"
    ] == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="labelled rows"):
        Majority(THREE).fit([])
