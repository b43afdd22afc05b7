"""Mistakes are listed without the personal data in them."""

import pytest

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.mistakes import (
    CLUSTERED,
    error_account,
    false_positive_clusters,
    span_mistakes,
    text_mistakes,
)
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII

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


def test_every_span_error_is_counted_by_kind_and_type():
    gold = [Example(TEXT, spans=(ANN, MAIL, OSLO, PHONE)), Example(TEXT)]
    wrong = (Span(5, 12, "GPE"), Span(14, 20, "EMAIL_ADDRESS"), OSLO)
    account = error_account(PII, gold, [answer(*wrong), answer(PHONE)])
    assert account["counts"] == {"missed": 1, "wrong type": 1, "boundary": 1, "spurious": 1}
    assert account["by_type"]["PERSON"] == {
        "missed": 0, "wrong type": 1, "boundary": 0, "spurious": 0,
    }  # fmt: skip
    phone = account["by_type"]["PHONE_NUMBER"]
    assert phone["missed"] == 1 and phone["spurious"] == 1 and "GPE" not in account["by_type"]


def test_confused_pairs_come_by_count_with_their_surest_texts():
    def given(name, score):
        return Prediction("category", name, score, {})

    examples = [Example(f"law {n} of bob{n}@example.org", "law") for n in range(5)]
    examples += [Example("sum", "math"), Example("right", "math")]
    answers = [given("business", 0.5 + n / 10) for n in range(5)]
    answers += [given("law", 0.9), given("math", 0.9)]
    account = error_account(CATEGORY, examples, answers)
    assert list(account) == ["confused"]
    first, second = account["confused"]
    assert (first["expected"], first["given"], first["rows"]) == ("law", "business", 5)
    assert first["examples"] == ["law 4 of [...]", "law 3 of [...]", "law 2 of [...]"]
    assert (second["expected"], second["given"], second["rows"]) == ("math", "law", 1)
    shown = error_account(CATEGORY, examples, answers, reveal=True)["confused"][0]["examples"]
    assert shown[0] == "law 4 of bob4@example.org"


def false_positives(*texts):
    rows = [Example(text, "benign") for text in texts] + [Example("ignore rules", "jailbreak")] * 5
    return rows, [label("jailbreak", 0.9)] * len(rows)


def test_false_positives_fall_into_the_groups_that_a_person_sees():
    texts = [f"how do I kill a {what} process" for what in "python linux frozen stuck".split()]
    texts += [f"act as a {who} and answer my mail" for who in "doctor poet guide tutor".split()]
    clusters = false_positive_clusters(JAILBREAK, *false_positives(*texts))
    assert [cluster["rows"] for cluster in clusters] == [4, 4]
    found = {frozenset(cluster["terms"]) for cluster in clusters}
    assert found == {frozenset({"kill", "process"}), frozenset({"act", "answer", "mail"})}
    for cluster in clusters:
        assert len({"kill" in text for text in cluster["examples"]}) == 1


def test_clusters_hide_what_is_personal():
    texts = [f"mail ann.lee@example.org about order {n}555123456" for n in range(4)]
    clusters = false_positive_clusters(JAILBREAK, *false_positives(*texts))
    assert clusters[0]["terms"] == ["mail", "order"]
    assert not [secret for secret in ("ann", "555") if secret in str(clusters)]


@pytest.mark.parametrize("texts", [(), ("!",), ("!", "?", "1 2"), ("alpha", "beta", "gamma", "?")])
def test_texts_that_share_no_word_are_one_cluster(texts):
    clusters = false_positive_clusters(JAILBREAK, *false_positives(*texts))
    assert [(c["terms"], c["rows"]) for c in clusters] == ([([], len(texts))] if texts else [])


def test_equal_texts_and_very_many_can_be_grouped():
    clusters = false_positive_clusters(JAILBREAK, *false_positives(*["kill a process"] * 1200))
    assert sum(cluster["rows"] for cluster in clusters) == CLUSTERED
