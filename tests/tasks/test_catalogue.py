"""The four tasks are the contract, and a recipe or a YAML file may make others of them."""

import pytest
import yaml

from pointsman.core.errors import ConfigError
from pointsman.tasks.catalogue import TASKS, load_task
from pointsman.tasks.labels import begin_id, inside_id, model_labels
from pointsman.tasks.spec import TaskSpec

CATEGORIES = (
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health",
    "history", "law", "math", "other", "philosophy", "physics", "psychology",
)  # fmt: skip
DOCUMENT_TEN = (
    "math", "physics", "computer science", "biology", "chemistry", "business", "economics", "law",
    "health", "psychology",
)  # fmt: skip
COARSE = ("PERSON", "EMAIL_ADDRESS", "PHONE_NUMBER", "US_SSN", "LOCATION")
PLACES = {"STREET_ADDRESS": "LOCATION", "GPE": "LOCATION", "ZIP_CODE": "LOCATION"}


def test_the_catalogue():
    assert list(TASKS) == ["category", "pii", "jailbreak", "intent"]
    assert all(load_task(name) is spec for name, spec in TASKS.items())
    heads = {name: (spec.headline, spec.checkpoint) for name, spec in TASKS.items()}
    assert heads == {
        "category": ("macro_f1", "macro_f1"),
        "pii": ("span_f1", "span_f1"),
        "jailbreak": ("recall_at_fpr_1", "roc_auc"),
        "intent": ("macro_f1", "macro_f1"),
    }


def test_categories_stand_in_the_contracts_order():
    assert TASKS["category"].labels == CATEGORIES


def test_pii_has_35_labels_with_outside_first():
    labels = model_labels(TASKS["pii"])
    assert len(TASKS["pii"].labels) == 17 and len(labels) == 35 == len(set(labels))
    assert labels[:3] == ("O", "B-AGE", "I-AGE") and labels[-1] == "I-ZIP_CODE"
    for index, kind in enumerate(TASKS["pii"].labels):
        assert labels[begin_id(index)] == f"B-{kind}" and labels[inside_id(index)] == f"I-{kind}"


def test_jailbreak_has_benign_at_0():
    spec = TASKS["jailbreak"]
    assert spec.labels == ("benign", "jailbreak")
    assert (spec.positive, spec.negative) == ("jailbreak", "benign")
    assert {kind: spec.label_of_kind(kind) for kind in spec.kinds} == {
        "benign": "benign", "jailbreak": "jailbreak", "injection": "jailbreak", "harmful": None,
        "toxic": None,
    }  # fmt: skip


def test_every_intent_names_its_tools():
    spec = TASKS["intent"]
    assert len(spec.labels) == 8 and tuple(spec.tools) == spec.labels
    assert [label for label in spec.labels if not spec.tools[label]] == ["no_function_needed"]
    assert spec.tools["calculation"] == ("calculator", "math_solver", "statistics")


def test_a_subset_of_labels_keeps_the_recipes_order():
    assert TASKS["category"].adapt(labels=DOCUMENT_TEN).labels == DOCUMENT_TEN
    narrowed = TASKS["intent"].adapt(labels=("calculation", "scheduling"))
    assert set(narrowed.tools) == {"calculation", "scheduling"}


def test_the_documents_coarse_pii_set():
    spec = TASKS["pii"].adapt(labels=COARSE, label_map=PLACES)
    assert spec.labels == COARSE and spec.label_map == PLACES
    assert model_labels(spec)[:3] == ("O", "B-PERSON", "I-PERSON")


def test_merged_labels_leave_no_double():
    spec = TASKS["pii"].adapt(label_map=PLACES)
    assert len(spec.labels) == 15 and spec.labels.count("LOCATION") == 1
    assert not set(PLACES) & set(spec.labels)


def test_merged_labels_keep_the_tools_of_both():
    spec = TASKS["intent"].adapt(label_map={"calculation": "analysis", "scheduling": "office"})
    assert spec.tools["analysis"] == (
        "calculator", "math_solver", "statistics", "data_analyzer", "text_summarizer",
    )  # fmt: skip
    assert spec.tools["office"] == ("calendar_api", "reminder_system")
    assert "calculation" not in spec.tools


def test_a_renamed_positive_label_stays_the_positive_one():
    spec = TASKS["jailbreak"].adapt(label_map={"jailbreak": "attack"})
    assert (spec.labels, spec.positive) == (("benign", "attack"), "attack")
    assert spec.label_of_kind("injection") == "attack"


def test_positive_kinds_decide_and_leave_the_negative_ones():
    spec = TASKS["jailbreak"].adapt(positive_kinds=("jailbreak", "harmful"))
    assert spec.label_of_kind("harmful") == "jailbreak" and spec.label_of_kind("injection") is None
    spec = TASKS["jailbreak"].adapt(positive_kinds=("toxic",))
    assert spec.label_of_kind("jailbreak") is None and spec.label_of_kind("benign") == "benign"


def test_without_changes_the_task_stays():
    for spec in TASKS.values():
        assert spec.adapt() == spec


@pytest.mark.parametrize(
    ("task", "changes", "name", "near"),
    [
        ("category", {"labels": ("maths", "law")}, "maths", "math"),
        ("pii", {"label_map": {"STRET_ADDRESS": "LOCATION"}}, "STRET_ADDRESS", "STREET_ADDRESS"),
        ("pii", {"labels": ("GPE",), "label_map": {"GPE": "PLACE"}}, "GPE", "AGE"),
        ("jailbreak", {"positive_kinds": ("inject",)}, "inject", "injection"),
        ("category", {"positive_kinds": ("benign",)}, "benign", None),
    ],
)
def test_unknown_names_suggest(task, changes, name, near):
    with pytest.raises(ConfigError) as caught:
        TASKS[task].adapt(**changes)
    assert repr(name) in caught.value.needed
    assert near is None or repr(near) in caught.value.fix


@pytest.mark.parametrize(
    ("task", "changes", "words"),
    [
        ("category", {"labels": ("law",)}, "two labels"),
        ("category", {"labels": ("law", "law")}, "repeat"),
        ("jailbreak", {"positive_kinds": ("benign",)}, "negative kind"),
    ],
)
def test_a_task_that_cannot_be_learned_is_refused(task, changes, words):
    with pytest.raises(ConfigError, match=words):
        TASKS[task].adapt(**changes)


def test_an_unknown_task_suggests():
    with pytest.raises(ConfigError) as caught:
        load_task("categroy")
    assert "'category'" in caught.value.fix and "YAML" in caught.value.fix


OWN = {
    "name": "mood", "title": "Mood", "question": "Which mood?", "level": "sequence",
    "labels": ["glad", "sad"], "headline": "accuracy", "checkpoint": "macro_f1",
}  # fmt: skip


@pytest.fixture
def own(tmp_path):
    def write(**changes):
        path = tmp_path / "mood.yaml"
        path.write_text(yaml.safe_dump({**OWN, **changes}))
        return str(path)

    return write


def test_an_own_task_is_a_yaml_file(own):
    spec = load_task(own(tools={"sad": ["call_a_friend"]}))
    assert isinstance(spec, TaskSpec)
    assert (spec.name, spec.labels, spec.positive) == ("mood", ("glad", "sad"), None)
    assert spec.tools == {"sad": ("call_a_friend",)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ["glad"]}, "two labels"),
        ({"labels": ["glad", "glad"]}, "repeat"),
        ({"level": "sentence"}, "level"),
        ({"name": "My Mood"}, "name"),
        ({"positive": "angry"}, "positive"),
        ({"labels": ["a", "b", "c"], "positive": "a"}, "positive"),
        ({"tools": {"angry": ["x"]}}, "'angry'"),
        ({"label_map": {"happy": "glda"}}, "'glda'"),
        ({"kinds": ["x", "y"]}, "positive"),
        ({"level": "token", "labels": ["O", "X"]}, "implied"),
        ({"lables": ["glad"]}, "unknown key 'lables'"),
        ({"headline": "f1"}, "headline"),
        ({"checkpoint": "roc_auc"}, "checkpoint"),
        ({"level": "token", "headline": "span_f1"}, "checkpoint"),
    ],
)
def test_a_wrong_own_task_is_refused_with_its_file(own, changes, words):
    path = own(**changes)
    with pytest.raises(ConfigError, match=words) as caught:
        load_task(path)
    assert "mood.yaml" in str(caught.value)


def test_a_missing_own_task_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        load_task(str(tmp_path / "gone.yaml"))


def test_every_metric_that_a_task_may_name_is_measured():
    from pointsman.core.types import Example, PredictedSpan, Prediction, Span
    from pointsman.evaluation.score import scalars, score
    from pointsman.tasks.spec import metrics_of

    jailbreak, pii = TASKS["jailbreak"], TASKS["pii"]
    texts = [Example("a", "benign"), Example("b", "jailbreak")]
    answers = [
        Prediction("jailbreak", label, 0.9, {"benign": 1 - p, "jailbreak": p})
        for label, p in (("benign", 0.1), ("jailbreak", 0.9))
    ]
    assert set(metrics_of(jailbreak)) <= set(scalars(score(jailbreak, texts, answers)))
    assert set(metrics_of(TASKS["category"])) < set(metrics_of(jailbreak))
    people = [Example("Ann", spans=(Span(0, 3, "PERSON"),)), Example("no")]
    found = [
        Prediction("pii", None, 1.0, spans=(PredictedSpan(0, 3, "PERSON", "Ann", 1.0),)),
        Prediction("pii", None, 0.0),
    ]
    assert set(metrics_of(pii)) <= set(scalars(score(pii, people, found)))


def test_a_task_of_ones_own_is_narrowed_like_any_other():
    from pointsman.data.schema import labels_left_out

    own = TaskSpec(
        name="category", title="Own", question="?", level="sequence", labels=("a", "b", "c"),
        headline="accuracy", checkpoint="accuracy",
    )  # fmt: skip
    assert labels_left_out(own) == set()
    assert labels_left_out(own.adapt(labels=("a", "b"))) == {"c"}
    assert labels_left_out(own.adapt(label_map={"c": "b"})) == set()
