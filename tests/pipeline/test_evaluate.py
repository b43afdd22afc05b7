"""What is said of the rows that were kept out, and of data that holds none."""

import numpy as np
import pytest

from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import DataError
from pointsman.core.types import Example
from pointsman.data.encode import Window
from pointsman.pipeline.encoding import Encoded, metric_function
from pointsman.pipeline.evaluate import evaluate
from pointsman.runtime.predictor import Predictor, Reading
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.labels import model_labels
from pointsman.tasks.pii import PII


class Says(Predictor):
    """A predictor whose network gives one answer to everything."""

    def __init__(self, spec, label):
        super().__init__(
            BundleMeta(task=spec, labels=model_labels(spec), max_length=32), None, None
        )
        self._index = 0 if spec.level == "token" else spec.labels.index(label)

    def read(self, texts, *, progress=None):
        window = Window([2, 9, 3], [(0, 1)], 1)
        logits = np.zeros(len(self.meta.labels), dtype=np.float32)
        logits[self._index] = 40
        if self.task.level == "token":
            logits = np.tile(logits, (3, 1))
        return [Reading(text, (window,), (logits,)) for text in texts]


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
