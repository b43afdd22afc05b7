"""Baselines of token tasks that learn nothing: patterns, and Presidio where it can run."""

from dataclasses import dataclass

import pytest

from pointsman.core.types import Example, Span
from pointsman.evaluation import pattern_baseline
from pointsman.evaluation.baselines import Majority, TfidfTexts, TfidfTokens, baselines_for
from pointsman.evaluation.pattern_baseline import NotRun, Patterns, Presidio, presidio
from pointsman.evaluation.score import score
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.pii import PII
from pointsman.tasks.spec import TaskSpec
from tests.runs import COARSE, PLACES

TEXT = (
    "Ann, born 1980-02-03, mail ann@x.org, SSN 925-22-8758, card 4111 1111 1111 1111, not "
    "4111 1111 1111 1112, phone (415) 555-2671, IBAN GB82 WEST 1234 5698 7654 32, from 10.0.0.1"
)
FOUND = [
    ("1980-02-03", "DATE_TIME"),
    ("ann@x.org", "EMAIL_ADDRESS"),
    ("925-22-8758", "US_SSN"),
    ("4111 1111 1111 1111", "CREDIT_CARD"),
    ("(415) 555-2671", "PHONE_NUMBER"),
    ("GB82 WEST 1234 5698 7654 32", "IBAN_CODE"),
    ("10.0.0.1", "IP_ADDRESS"),
]
TEXTS = [Example("a", "law"), Example("b", "math")]
SPANS = [Example("Ann", spans=(Span(0, 3, "PERSON"),))]
DRUGS = TaskSpec(
    name="drugs",
    title="Drugs",
    question="Which drugs?",
    level="token",
    labels=("DRUG",),
    headline="span_f1",
    checkpoint="span_f1",
)


def pieces(prediction):
    return [(span.text, span.label) for span in prediction.spans]


def test_patterns_find_structured_types():
    empty, full = Patterns(PII).fit([]).predict(["nothing here", TEXT])
    assert pieces(full) == FOUND and full.score == 1
    assert all(TEXT[s.start : s.end] == s.text for s in full.spans)
    assert pieces(empty) == [] and empty.score == 0


def test_patterns_use_the_names_of_the_task():
    spec = PII.adapt(labels=tuple(COARSE), label_map=PLACES)
    wanted = [pair for pair in FOUND if pair[1] in COARSE]
    assert pieces(Patterns(spec).predict([TEXT])[0]) == wanted
    mapped = PII.adapt(labels=("NUMBER",), label_map={"US_SSN": "NUMBER"})
    assert pieces(Patterns(mapped).predict([TEXT])[0]) == [("925-22-8758", "NUMBER")]


def test_patterns_are_scored_like_a_model():
    start = TEXT.index("ann@")
    row = Example(TEXT, spans=(Span(start, start + 9, "EMAIL_ADDRESS"),))
    figures = score(PII, [row], Patterns(PII).predict([TEXT]))
    assert figures["per_type"]["EMAIL_ADDRESS"]["f1"] == 1


@dataclass
class Result:
    """What Presidio's analyzer gives."""

    start: int
    end: int
    entity_type: str
    score: float


def test_presidio_answers_in_our_names_and_without_overlaps():
    text = "Ann of Paris, www.x.org, M.D."
    results = [
        Result(0, 3, "PERSON", 0.85),
        Result(7, 12, "LOCATION", 0.85),
        Result(14, 23, "URL", 0.6),
        Result(14, 23, "PERSON", 0.4),  # less sure than what it overlaps
        Result(25, 28, "MEDICAL_LICENSE", 1.0),  # no type of ours
    ]
    (answer,) = Presidio(PII, lambda _: results).fit([]).predict([text])
    assert pieces(answer) == [("Ann", "PERSON"), ("Paris", "GPE"), ("www.x.org", "DOMAIN_NAME")]
    coarse = PII.adapt(labels=tuple(COARSE), label_map=PLACES)
    (answer,) = Presidio(coarse, lambda _: results).predict([text])
    assert pieces(answer) == [("Ann", "PERSON"), ("Paris", "LOCATION")]


def test_presidio_that_is_not_installed_says_so(monkeypatch):
    monkeypatch.setattr(pattern_baseline, "find_spec", lambda name: None)
    reason = presidio(PII)
    assert isinstance(reason, NotRun)
    assert reason.to_dict() == {"not_run": "presidio-analyzer is not installed"}


def test_presidio_is_not_started_without_a_language_model(monkeypatch):
    def fail(model):
        raise AssertionError("started")

    monkeypatch.setattr(pattern_baseline, "find_spec", lambda name: object())
    monkeypatch.setattr(pattern_baseline, "entry_points", lambda group: [])
    monkeypatch.setattr(pattern_baseline, "_analyzer", fail)
    reason = presidio(PII)
    assert isinstance(reason, NotRun) and "would try to download" in reason.reason


def test_presidio_takes_an_installed_english_model(monkeypatch):
    names = [type("Entry", (), {"name": name})() for name in ("de_core", "en_core")]
    monkeypatch.setattr(pattern_baseline, "find_spec", lambda name: object())
    monkeypatch.setattr(pattern_baseline, "entry_points", lambda group: names)
    monkeypatch.setattr(
        pattern_baseline, "_analyzer", lambda model: lambda text: [Result(0, 3, "PERSON", 0.5)]
    )
    assert pieces(presidio(PII).predict(["Ann"])[0]) == [("Ann", "PERSON")]


def test_presidio_itself_where_it_is_installed():
    found = presidio(PII)
    if isinstance(found, NotRun):
        pytest.skip(found.reason)
    (answer,) = found.predict(["My name is John Smith, mail john.smith@example.org"])
    assert ("john.smith@example.org", "EMAIL_ADDRESS") in pieces(answer)


def test_every_task_has_its_baselines():
    texts, spans = baselines_for(CATEGORY, TEXTS), baselines_for(PII, SPANS)
    assert {k: type(v) for k, v in texts.items()} == {"majority": Majority, "tfidf": TfidfTexts}
    assert list(spans) == ["patterns", "tfidf", "presidio"]
    assert isinstance(spans["patterns"], Patterns) and isinstance(spans["tfidf"], TfidfTokens)
    assert isinstance(spans["presidio"], Presidio | NotRun)
    assert list(baselines_for(DRUGS, SPANS)) == ["tfidf"]


@pytest.mark.parametrize(
    ("spec", "train", "why"),
    [
        (CATEGORY, None, "a file of rows to answer"),
        (CATEGORY, [], "no training rows"),
        (CATEGORY, TEXTS[:1], "all of one label"),
        (PII, None, "a file of rows to answer"),
        (PII, [Example("nothing")], "no training row has a span"),
    ],
)
def test_what_has_nothing_to_learn_from_says_so(spec, train, why):
    found = baselines_for(spec, train)
    learners = {"majority", "tfidf"} & set(found)
    assert "tfidf" in learners and all(why in found[name].reason for name in learners)
    assert spec is not PII or isinstance(found["patterns"], Patterns)  # it needs none
