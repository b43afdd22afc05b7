"""What is said of the rows that were kept out, and of data that holds none."""

import numpy as np
import pytest

from pointsman.bundle.meta import NO_POSTPROCESSING, BundleMeta
from pointsman.core.errors import DataError
from pointsman.core.types import Example, Span
from pointsman.data.encode import Window
from pointsman.data.perturb import names_for
from pointsman.evaluation.perturbed import EvaluateOptions
from pointsman.pipeline.encoding import Encoded, metric_function
from pointsman.pipeline.evaluate import evaluate, texts_to_answer
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
        if progress is not None:
            progress(len(texts))
        return [self._reading(text, len(text.split())) for text in texts]

    def _reading(self, text, words):
        window = Window([2, *[9] * words, 3], [(0, 1)] * words, 1)
        logits = np.zeros(len(self.meta.labels), dtype=np.float32)
        logits[self._index] = 40
        if self.task.level == "token":
            logits = np.tile(logits, (words + 2, 1))
        return Reading(text, (window,), (logits,))


def test_a_slice_of_a_detector_is_how_much_of_it_is_flagged():
    rows = [Example("a", "benign"), Example("b", "jailbreak")]
    slices = {"harmful": [Example("c", "benign")] * 3, "none": []}
    figures = evaluate(Says(JAILBREAK, "jailbreak"), rows, slices=slices).figures
    assert list(figures["slices"]) == ["harmful"]
    harmful = figures["slices"]["harmful"]
    assert harmful["rows"] == 3 and harmful["by"] == "kept out" and harmful["few"]
    assert harmful["metric"] == "flagged" and harmful["value"] == harmful["flagged"] == 1.0


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
    clean = figures["slices"]["clean"]
    assert clean["rows"] == 2 and clean["metric"] == "clean_share" and clean["value"] == 1.0


def test_slices_of_the_test_rows_stand_beside_the_kept_out_ones():
    rows = [Example("a", "law", source="x"), Example("a b c d e f g h i", "math", source="y")]
    figures = evaluate(Says(CATEGORY, "law"), rows, slices={"far": [Example("c", "law")]}).figures
    assert list(figures["slices"]) == [
        "source: x", "source: y", "length: 1-8 tokens", "length: 9-32 tokens", "far",
    ]  # fmt: skip
    assert "perturbations" not in figures


def test_perturbations_run_when_they_are_asked_for():
    rows = [Example("a plain text", "law"), Example("another one", "math")]
    options = EvaluateOptions(perturbations=("typos", "rot13"))
    predictor = Says(CATEGORY, "law")
    predictor.meta = predictor.meta.model_copy(
        update={"recipe": {"train": {"augment": {"typos": 0.2}}}}
    )
    figures = evaluate(predictor, rows, perturbations=options).figures
    assert list(figures["perturbations"]) == ["typos", "rot13"]
    assert figures["perturbations"]["rot13"]["clean"] == 0.5
    assert figures["perturbations"]["typos"]["trained_with"]
    assert not figures["perturbations"]["rot13"]["trained_with"]


@pytest.mark.parametrize("options", [None, EvaluateOptions(), EvaluateOptions(rows=2)])
def test_progress_reaches_what_was_announced(options):
    rows = [Example("a", "law"), Example("b", "math"), Example("c", "law")]
    slices, done = {"far": rows[:2]}, []
    evaluate(
        Says(CATEGORY, "law"), rows, slices=slices, perturbations=options, progress=done.append
    )
    asked = 0 if options is None else min(3, options.rows) * len(names_for("sequence"))
    assert sum(done) == texts_to_answer(CATEGORY, rows, slices, options) == 5 + asked


def test_an_account_of_the_errors_is_kept():
    rows = [Example("a", "law"), Example("mail me: ann@example.org", "math")]
    (pair,) = evaluate(Says(CATEGORY, "law"), rows).figures["errors"]["confused"]
    assert pair == {
        "expected": "math", "given": "law", "rows": 1, "examples": ["mail me: [...]"],
    }  # fmt: skip
    (pair,) = evaluate(Says(CATEGORY, "law"), rows, reveal=True).figures["errors"]["confused"]
    assert pair["examples"] == ["mail me: ann@example.org"]


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
    assert all(isinstance(value, float | int) for value in figures.values())


def test_a_split_that_cannot_pick_a_checkpoint_is_refused():
    with pytest.raises(DataError, match="roc_auc"):
        metric_function(Says(JAILBREAK, "benign").meta, encoded("benign", "benign"))


def test_labels_that_the_bundle_does_not_have_are_said():
    with pytest.raises(DataError, match="lore") as caught:
        evaluate(Says(CATEGORY, "law"), [Example("a", "law"), Example("a secret", "lore")])
    assert "secret" not in str(caught.value)
