"""A model against its baselines: the same rows, a paired difference, a reason where none ran."""

from pointsman.core.types import Example, Prediction, Span
from pointsman.evaluation.against import against_baselines
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.pii import PII

THREE = CATEGORY.adapt(labels=("business", "law", "psychology"))
WORDS = {
    "business": "profit market firm",
    "law": "court statute judge",
    "psychology": "mind fear joy",
}


def rows(count):
    labels = list(WORDS)
    return [
        Example(f"{WORDS[labels[i % 3]].split()[i % 2]} of number {i}", labels[i % 3])
        for i in range(count)
    ]


def answers(examples, wrong):
    return [
        Prediction("category", "law" if i < wrong else e.label, 1.0, {})
        for i, e in enumerate(examples)
    ]


def test_a_sequence_task_has_a_majority_and_tfidf():
    test = rows(60)
    done = []
    found = against_baselines(THREE, rows(90), test, answers(test, 0), progress=done.append)
    assert list(found) == ["majority", "tfidf"] and done == [1, 1]
    assert found["majority"]["difference"]["verdict"] == "better"
    assert found["majority"]["figures"]["accuracy"] == 20 / 60
    assert found["tfidf"]["figures"]["accuracy"] == 1.0
    assert found["tfidf"]["difference"]["verdict"] == "no difference"
    worse = against_baselines(THREE, rows(90), test, answers(test, 40))
    assert worse["tfidf"]["difference"]["verdict"] == "worse"
    assert worse["tfidf"]["difference"]["metric"] == "macro_f1"


def test_a_token_task_has_patterns_and_a_tagger():
    made = [
        Example(f"mail {name}@x.org now", spans=(Span(5, 11 + len(name), "EMAIL_ADDRESS"),))
        for name in ("ann", "bob", "cyd", "dee", "eve", "fay")
    ]
    found = against_baselines(PII, made, made, [Prediction("pii", None, 0.0)] * 6)
    assert found["patterns"]["figures"]["span_f1"] == 1.0
    assert found["patterns"]["difference"]["verdict"] == "worse"
    assert "figures" in found["tfidf"]
    assert "not_run" in found["presidio"] or "figures" in found["presidio"]
