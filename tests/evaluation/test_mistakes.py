"""Mistakes are listed without the personal data in them."""

import pytest

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.mistakes import span_mistakes, text_mistakes
from pointsman.tasks.jailbreak import JAILBREAK

TEXT = "Mail Ann Lee (ann.lee@example.org) in Oslo on +47 555 123 456"
ANN, MAIL, OSLO, PHONE = Span(5, 12, "PERSON"), Span(14, 33, "EMAIL_ADDRESS"), Span(38, 42, "GPE"), Span(46, 61, "PHONE_NUMBER")  # fmt: skip
SECRETS = ("Ann", "Lee", "ann.lee", "Oslo", "555")


def answer(*spans):
    return Prediction("pii", None, 0.9, spans=tuple(
        PredictedSpan(s.start, s.end, s.label, TEXT[s.start : s.end], 0.9) for s in spans
    ))  # fmt: skip


def kinds(gold, *found):
    rows = span_mistakes([Example(TEXT, spans=gold, source="s")], [answer(*found)])
    return {row["kind"]: (row["expected"], row["given"], row["span"]) for row in rows}


def test_the_text_holds_what_the_tests_say():
    assert [TEXT[s.start : s.end] for s in (ANN, MAIL, OSLO, PHONE)] == [
        "Ann Lee", "ann.lee@example.org", "Oslo", "+47 555 123 456",
    ]  # fmt: skip


def test_every_kind_of_mistake():
    assert kinds((ANN, MAIL), ANN, MAIL) == {}
    assert kinds((ANN,)) == {"missed": ("PERSON", None, "[7]")}
    assert kinds((), OSLO) == {"spurious": (None, "GPE", "[4]")}
    assert kinds((ANN,), Span(5, 12, "GPE")) == {"wrong type": ("PERSON", "GPE", "[7]")}
    assert kinds((ANN,), Span(5, 8, "PERSON")) == {"boundary": ("PERSON", "PERSON", "[7]")}


@pytest.mark.parametrize(
    ("gold", "found"),
    [
        ((ANN, MAIL, OSLO, PHONE), ()),
        ((), (ANN, MAIL, OSLO, PHONE)),
        ((ANN, MAIL, OSLO), (Span(5, 8, "GPE"), Span(9, 20, "PERSON"), PHONE)),
    ],
)
def test_nothing_personal_is_shown_unless_it_is_asked_for(gold, found):
    rows = span_mistakes([Example(TEXT, spans=gold)], [answer(*found)])
    shown = str(rows)
    assert rows and not [secret for secret in SECRETS if secret in shown]
    revealed = str(span_mistakes([Example(TEXT, spans=gold)], [answer(*found)], reveal=True))
    assert all(secret in revealed for secret in SECRETS)


def test_long_texts_are_cut_after_masking():
    text = "x" * 150 + " ann.lee@example.org"
    rows = span_mistakes([Example(text, spans=(Span(151, 170, "EMAIL_ADDRESS"),))], [answer()])
    assert len(rows[0]["text"]) <= 160 and "ann" not in rows[0]["text"]


def test_each_kind_is_listed_a_few_times_only():
    gold = [Example(TEXT, spans=(ANN,))] * 30 + [Example(TEXT)] * 30
    found = [answer()] * 30 + [answer(OSLO)] * 30
    rows = span_mistakes(gold, found, limit=20)
    assert [row["kind"] for row in rows] == ["missed"] * 5 + ["spurious"] * 5


def label(name, score):
    return Prediction("jailbreak", name, score, {})


def test_the_surest_mistakes_of_a_text_task_come_first():
    examples = [
        Example("right", "benign", source="s"),
        Example("mail ann.lee@example.org or 555-123-4567 |now|\nplease", "benign", source="s"),
        Example("unsure", "jailbreak", source="s"),
    ]
    given = [label("benign", 0.99), label("jailbreak", 0.97777), label("benign", 0.6)]
    rows = text_mistakes(JAILBREAK, examples, given)
    assert rows[0] == {
        "text": "mail [...] or [...] |now| please", "expected": "benign", "given": "jailbreak",
        "score": 0.9778, "source": "s",
    }  # fmt: skip
    assert [row["text"] for row in rows[1:]] == ["unsure"]
    assert (
        "ann.lee@example.org" in text_mistakes(JAILBREAK, examples, given, reveal=True)[0]["text"]
    )
    assert len(text_mistakes(JAILBREAK, examples, given, limit=1)) == 1
