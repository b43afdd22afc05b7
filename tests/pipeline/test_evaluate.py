"""What is said of the rows that were kept out, and of data that holds none."""

import pytest

from pointsman.bundle.meta import NO_POSTPROCESSING, BundleMeta
from pointsman.core.errors import DataError
from pointsman.core.types import Example, Prediction, Span
from pointsman.data.encode import Window
from pointsman.pipeline.encoding import Encoded, metric_function
from pointsman.pipeline.evaluate import evaluate
from pointsman.runtime.predictor import Predictor
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.labels import model_labels
from pointsman.tasks.pii import PII


class Says:
    """A predictor that gives one answer to everything."""

    def __init__(self, spec, label):
        self.meta = BundleMeta(task=spec, labels=model_labels(spec), max_length=32)
        self.task, self._label = spec, label

    def predict(self, texts, *, progress=None):
        probabilities = {name: float(name == self._label) for name in self.task.labels}
        label = None if self.task.level == "token" else self._label
        return [Prediction(self.task.name, label, 1.0, probabilities) for _ in texts]


def test_a_slice_of_a_detector_is_how_much_of_it_is_flagged():
    rows = [Example("a", "benign"), Example("b", "jailbreak")]
    slices = {"harmful": [Example("c", "benign")] * 3, "none": []}
    figures = evaluate(Says(JAILBREAK, "jailbreak"), rows, slices=slices).figures
    assert figures["slices"] == {"harmful": {"rows": 3, "flagged": 1.0}}


def test_a_slice_of_another_task_is_scored():
    rows = [Example("a", "law"), Example("b", "math")]
    slices = {"hard": [Example("c", "law"), Example("d", "law"), Example("e", "math")]}
    figures = evaluate(Says(CATEGORY, "law"), rows, slices=slices).figures
    hard = figures["slices"]["hard"]
    assert hard["rows"] == 3 and hard["accuracy"] == pytest.approx(2 / 3)
    assert "flagged" not in hard


def test_a_slice_of_a_token_task_is_scored():
    slices = {"clean": [Example("c"), Example("d")]}
    figures = evaluate(Says(PII, None), [Example("a")], slices=slices).figures
    assert figures["slices"]["clean"] == {"rows": 2, "span_f1": 0.0, "clean_share": 1.0}


def test_a_token_task_tells_what_post_processing_does(finder):
    text = "please mail b12@example.org. now"
    rows = [Example(text, spans=(Span(12, 27, "EMAIL_ADDRESS"),))]
    effect = evaluate(finder, rows).figures["postprocess"]
    assert set(effect) == {"with", "without", "per_type"}
    assert effect["with"]["rows"] == 1 and "EMAIL_ADDRESS" in effect["per_type"]
    off = finder.meta.model_copy(update={"postprocess": NO_POSTPROCESSING})
    plain = Predictor(off, finder._encoder, finder._backend)
    assert "postprocess" not in evaluate(plain, rows).figures
    assert evaluate(plain, rows).figures["span_f1"] == effect["without"]["span_f1"]


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(DataError, match="rows to evaluate on"):
        evaluate(Says(JAILBREAK, "benign"), [])


def encoded(*labels):
    window = Window([2, 9, 3], [(0, 1)], 1)
    return Encoded([Example("a", label) for label in labels], [[window]] * len(labels), [], {})


def test_the_metric_function_reads_the_windows_in_order():
    meta = Says(JAILBREAK, "benign").meta
    split = encoded("benign", "jailbreak", "benign")
    split.windows[1] = split.windows[1] * 2  # a long text
    figures = metric_function(meta, split)([[9, 0], [9, 0], [0, 9], [9, 0]])
    assert figures["accuracy"] == 1 and figures["roc_auc"] == 1
    assert all(isinstance(value, float) for value in figures.values())


def test_a_split_that_cannot_pick_a_checkpoint_is_refused():
    with pytest.raises(DataError, match="roc_auc"):
        metric_function(Says(JAILBREAK, "benign").meta, encoded("benign", "benign"))


def test_labels_that_the_bundle_does_not_have_are_said():
    with pytest.raises(DataError, match="lore") as caught:
        evaluate(Says(CATEGORY, "law"), [Example("a", "law"), Example("a secret", "lore")])
    assert "secret" not in str(caught.value)
