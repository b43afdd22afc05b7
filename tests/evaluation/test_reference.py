"""The document's own prompts, against any bundle."""

from collections import Counter

import pytest

from pointsman.core.types import PredictedSpan, Prediction
from pointsman.evaluation.reference import REFERENCES, run_reference
from pointsman.tasks.catalogue import TASKS


class Oracle:
    """A predictor that answers from a table."""

    def __init__(self, spec, answers):
        self.task, self._answers = spec, answers

    def predict(self, texts):
        return [self._answers(text) for text in texts]


def label(task, name):
    return Prediction(task, name, 0.5, {name: 0.5})


def spans(text, *found):
    return Prediction("pii", None, 1.0, spans=tuple(
        PredictedSpan(text.index(t), text.index(t) + len(t), kind, t, 1.0) for t, kind in found
    ))  # fmt: skip


def test_the_documents_prompts_are_all_there():
    counts = Counter(reference.task for reference in REFERENCES)
    assert (counts["category"], counts["pii"], counts["jailbreak"]) == (6, 4, 5)
    intents = Counter(r.labels for r in REFERENCES if r.task == "intent")
    assert set(intents) == {(name,) for name in TASKS["intent"].labels}


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.text[:30])
def test_what_is_expected_exists(reference):
    spec = TASKS[reference.task]
    assert all(name in spec.labels for name in reference.labels)
    assert all(text in reference.text and kind in spec.labels for text, kind in reference.spans)
    assert bool(reference.labels) == (spec.level == "sequence")


def test_right_and_wrong_answers_are_told_apart():
    checks = run_reference(Oracle(TASKS["jailbreak"], lambda text: label("jailbreak", "benign")))
    assert [check.right for check in checks] == [True, False, True, False, True]
    assert (checks[1].expected, checks[1].given) == ("jailbreak", "benign (0.5000)")


def test_two_answers_count_where_the_document_gives_two():
    checks = run_reference(Oracle(TASKS["category"], lambda text: label("category", "law")))
    assert checks[1].right and checks[1].expected == "business or law"


def test_spans_must_all_be_found():
    text = "Contact Dr. Sarah Johnson"
    both = spans(text, ("Dr.", "TITLE"), ("Sarah Johnson", "PERSON"))
    one = spans(text, ("Sarah Johnson", "PERSON"))
    for answer, right in ((both, True), (one, False)):
        check = run_reference(Oracle(TASKS["pii"], lambda _, a=answer: a))[-1]
        assert check.right is right
    assert check.expected == "Dr. = TITLE, Sarah Johnson = PERSON"
    assert check.given == "Sarah Johnson = PERSON"
    nothing = run_reference(Oracle(TASKS["pii"], lambda _: Prediction("pii", None, 0.0)))[0]
    assert nothing.given == "nothing" and not nothing.right


def test_a_coarse_bundle_is_not_asked_for_types_that_it_does_not_have():
    labels = ("PERSON", "EMAIL_ADDRESS", "PHONE_NUMBER", "US_SSN", "LOCATION")
    spec = TASKS["pii"].adapt(labels=labels, label_map={"GPE": "LOCATION"})
    text = "Contact Dr. Sarah Johnson"
    found = spans(text, ("Sarah Johnson", "PERSON"))
    assert run_reference(Oracle(spec, lambda _: found))[-1].right


def test_a_bundle_of_fewer_or_merged_labels_is_asked_what_it_can_answer():
    spec = TASKS["intent"].adapt(
        labels=("calculation", "office"), label_map={"communication": "office"}
    )
    checks = run_reference(Oracle(spec, lambda text: label("intent", "office")))
    assert {check.expected for check in checks} == {"calculation", "office"}
    assert sum(check.right for check in checks) == 2 and len(checks) == 4


def test_a_task_that_the_document_does_not_have():
    own = TASKS["intent"].model_copy(update={"name": "mood"})
    assert run_reference(Oracle(own, None)) == []
