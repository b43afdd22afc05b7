"""What is blessed, what is not, and what the search keeps in higher precision."""

import json

import numpy as np
import pytest

from pointsman.core.types import Example, PredictedSpan, Prediction
from pointsman.data.encode import Window
from pointsman.export import bless
from pointsman.export.bless import (
    Reference,
    agreement,
    logit_error,
    mean_logit_error,
    prove,
    ways_to_ask,
)
from pointsman.export.quantise import _part, search
from pointsman.runtime.predictor import Reading


def text(label, *, unsure=False):
    return Prediction("t", label, 0.9, {}, unsure=unsure)


def found(*bounds, label="PERSON"):
    return Prediction(
        "t", None, 0.9, spans=tuple(PredictedSpan(a, b, label, "x", 0.9) for a, b in bounds)
    )


def test_decisions_of_texts_are_label_and_sureness():
    ours = [text("a"), text("b"), text("a"), text("b", unsure=True)]
    theirs = [text("a"), text("a"), text("a", unsure=True), text("b", unsure=True)]
    assert agreement(ours, theirs) == 0.5
    assert agreement(ours, ours) == agreement([], []) == 1


def test_decisions_of_token_tasks_are_spans_and_silence():
    silent = found()
    assert agreement([silent, found((0, 2))], [silent, found((0, 2))]) == 1
    assert agreement([found((0, 2), (4, 6))], [found((0, 2), (4, 7))]) == pytest.approx(1 / 3)
    assert agreement([silent], [found((0, 2))]) == 0
    assert agreement([found((0, 2))], [found((0, 2), label="AGE")]) == 0


def reading(*logits):
    window = Window([0, 1, 2], [(0, 1)], 1)
    return Reading("x", (window,), (np.asarray(logits, dtype=np.float32),))


def test_errors_of_logits():
    ours, theirs = [reading(1, 2), reading(3, 4)], [reading(1, 2), reading(3, 6)]
    assert logit_error(ours, theirs) == 2 and mean_logit_error(ours, theirs) == 1
    assert logit_error(ours, ours) == 0


class Answers:
    """A predictor with its answers in hand."""

    def __init__(self, labels, shift=0.0, odd=()):
        self.labels, self.shift, self.odd = labels, shift, dict(odd)

    def read(self, texts):
        return [reading(self.odd.get(i, self.shift), 0) for i in range(len(texts))]

    def decide(self, readings):
        return [text(label) for label in self.labels]


def proof(
    labels, *, precision="bf16", shift=0.0, odd=(), headline=lambda examples, predictions: 0.5
):
    rows = [Example("x", "a")] * 1000
    reference = Reference.ask(Answers(["a"] * 1000), rows, headline)
    return prove(reference, [Answers(labels, shift, odd)], precision)


def test_a_precision_is_blessed_by_its_decisions_and_its_figures():
    assert proof(["b"] * 10 + ["a"] * 990).blessed
    assert not proof(["b"] * 11 + ["a"] * 989).blessed

    def falls_by(points):
        return lambda rows, predictions: 0.9 - points * (predictions[0].label == "b")

    slightly = ["b"] + ["a"] * 999
    assert proof(slightly, headline=falls_by(0.0049)).blessed
    lost = proof(slightly, headline=falls_by(0.0051))
    assert not lost.blessed and lost.to_dict()["headline"]["torch"] == 0.9


def test_half_a_point_is_half_a_point_in_floating_point():
    def falls(before, after):
        return lambda rows, predictions: after if predictions[0].label == "b" else before

    slightly = ["b"] + ["a"] * 999
    assert bless.MOST_LOST < 0.9 - 0.895
    for before in (0.9, 0.94, 1.0, 0.5):
        assert proof(slightly, headline=falls(before, round(before - 0.005, 3))).blessed
        assert not proof(slightly, headline=falls(before, before - 0.00501)).blessed


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 700])
def test_logits_that_are_no_numbers_are_never_blessed(precision, value, row):
    def refused(examples, predictions):
        raise AssertionError("figures of what is no number")

    found = proof(["a"] * 1000, precision=precision, odd={row: value}, headline=refused)
    assert not found.blessed and found.logit_error == np.inf and found.agreement == 0
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["logit_error"] is None


def test_numbers_that_both_lack_are_no_agreement():
    odd = [reading(1, 2), reading(np.inf, np.nan)]
    assert logit_error(odd, odd) == mean_logit_error(odd, odd) == np.inf


def test_fp32_has_to_give_the_same_logits():
    same = ["a"] * 1000
    assert proof(same, precision="fp32", shift=0.9e-4).blessed
    assert not proof(same, precision="fp32", shift=1.1e-4).blessed
    assert proof(same, precision="bf16", shift=0.1).blessed


def test_without_labels_only_fp32_is_blessed():
    same = ["a"] * 1000
    assert proof(same, precision="fp32", headline=None).blessed
    assert not proof(same, precision="bf16", headline=None).blessed
    assert bless.MOST_LOST == 0.005 and bless.LEAST_AGREEMENT == 0.99


def test_of_several_ways_to_ask_the_worst_counts():
    reference = Reference.ask(
        Answers(["a"] * 1000),
        [Example("x", "a")] * 1000,
        lambda rows, predictions: 0.9 - 0.1 * (predictions[0].label == "b"),
    )
    good, bad = Answers(["a"] * 1000, shift=1e-6), Answers(["b"] * 20 + ["a"] * 980, shift=2e-3)
    for ways in ([good, bad], [bad, good]):
        found = prove(reference, ways, "bf16")
        assert (found.agreement, found.before, found.after) == (0.98, 0.9, 0.8)
        assert found.logit_error == pytest.approx(2e-3) and not found.blessed
    assert prove(reference, [good, good], "fp32").blessed
    no_numbers = prove(reference, [good, Answers(["a"] * 1000, odd={3: np.nan})], "bf16")
    assert not no_numbers.blessed and no_numbers.before is None is no_numbers.after


class Heads:
    """A backend that notes which heads it is asked for at once."""

    name, digest = "noting fp32", ""

    def __init__(self, *heads):
        self.heads, self.asked = heads, []

    def run(self, batch, heads):
        self.asked.append(tuple(heads))
        return {head: np.zeros((len(batch), 2), np.float32) for head in heads}


def test_a_head_is_asked_by_itself_and_among_all():
    backend = Heads("a", "b")
    for way in ways_to_ask(backend):
        assert set(way.run([[1]], ["b"])) == {"b"} and way.heads == ("a", "b")
    assert backend.asked == [("b",), ("a", "b")]
    assert ways_to_ask(Heads("a"))[1:] == []


class Quantiser:
    """Decisions agree once the given parts are left out; each part has an error of its own."""

    def __init__(self, errors, needed):
        self.errors, self.needed, self.ignored, self.calls = errors, needed, (), []

    def quantise(self, names):
        self.ignored = tuple(names)
        self.calls.append(self.ignored)

    def search(self):
        parts = {part: (f"{part}.1", f"{part}.2") for part in self.errors}
        return search(
            parts, self.quantise, rough=self.quantise,
            error=lambda: 10 - self.errors[self.ignored[0][0]],
            agreement=lambda: 1.0 if self.needed <= {n[0] for n in self.ignored} else 0.9 + 0.001 * len(self.ignored),
            needed=0.995,
        )  # fmt: skip


def test_what_agrees_at_once_is_left_alone():
    quantiser = Quantiser({"a": 1, "b": 2}, set())
    assert quantiser.search().ignored == () and quantiser.calls == [()]


def test_the_most_sensitive_parts_are_left_out_until_decisions_agree():
    quantiser = Quantiser(
        {"a": 1, "b": 5, "c": 2, "d": 4, "e": 0, "f": 0, "g": 0, "h": 0}, {"b", "d"}
    )
    result = quantiser.search()
    assert result.ignored == ("b", "d") and result.agreement == 1 and result.parts == 8
    assert quantiser.ignored == ("b.1", "b.2", "d.1", "d.2")


def test_the_best_that_was_found_is_what_stands_in_the_end():
    quantiser = Quantiser({"a": 1, "b": 5, "c": 2, "d": 4}, {"a", "b", "c", "d"})
    result = quantiser.search()
    assert result.ignored == ("b", "d") and 0.9 < result.agreement < 0.995
    assert quantiser.ignored == ("b.1", "b.2", "d.1", "d.2")


@pytest.mark.parametrize(
    ("scopes", "part"),
    [
        ("['', 'm', 'm.layers.0', 'm.layers.0.attn', 'm.layers.0.attn.Wqkv', 'linear']", "m.layers.0.attn"),
        ("['', 'm.encoder.layer.11', 'm.encoder.layer.11.output', 'matmul']", "m.encoder.layer.11.output"),
        ("['', 'm', 'm.head', 'm.head.dense', 'linear_8']", "m.head.dense"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_part_of_a_node(scopes, part):
    assert _part(scopes) == part
