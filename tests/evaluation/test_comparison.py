"""Verdicts hold what the draws hold; a missing answer never helps; pages say what was found."""

import json

import numpy as np
import pytest

from pointsman.core.errors import ConfigError
from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.comparison import (
    Entrant,
    Pair,
    compare,
    empty_span,
    holm,
    is_missing,
    no_answer,
    over_seeds,
)
from pointsman.evaluation.comparison_plots import common_metric, plot_comparison
from pointsman.evaluation.comparison_report import write_comparison
from pointsman.evaluation.score import score
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII

TWO = CATEGORY.adapt(labels=("law", "math"))


def says(label, score=0.9, spec=TWO):
    rest = {x: 1 - score for x in spec.labels if x != label}
    return Prediction(spec.name, label, score, {label: score, **rest})


def rows(count, spec=TWO):
    return [Example(f"t{i}", spec.labels[i % 2]) for i in range(count)]


def answers(examples, right, seed, spec=TWO):
    """Answers of which a share is right."""
    draw = np.random.default_rng(seed).random(len(examples))
    other = {spec.labels[0]: spec.labels[1], spec.labels[1]: spec.labels[0]}
    return [
        says(e.label if d < right else other[e.label], spec=spec)
        for e, d in zip(examples, draw, strict=True)
    ]


def test_holm_is_the_step_down_method():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_real_difference_is_told_from_none():
    examples = rows(400)
    good, alike, bad = (answers(examples, r, s) for r, s in ((0.9, 1), (0.9, 2), (0.6, 3)))
    entrants = [Entrant("good", good), Entrant("alike", alike), Entrant("bad", bad)]
    pairs = [Pair("alike", "good"), Pair("bad", "good")]
    result = compare(TWO, examples, entrants, pairs, draws=300)
    same, worse = result["differences"]
    assert same["verdict"] == "no difference" and same["low"] < 0 < same["high"]
    assert worse["verdict"] == "worse" and worse["high"] < 0 and worse["corrected"] < 0.001
    assert worse["words"] == "bad is worse than good"
    assert worse["corrected"] == pytest.approx(2 * worse["p_value"])
    good_figures = result["entrants"][0]["metrics"]["accuracy"]
    assert good_figures["value"] == score(TWO, examples, good)["accuracy"]
    assert good_figures["low"] < good_figures["value"] < good_figures["high"]
    assert result["entrants"][0]["confidence"] == pytest.approx(0.9)


def test_chance_among_many_pairs_is_no_verdict():
    """One pair would be called better by its interval; among twelve that is what chance does."""
    examples = rows(60)
    base = [says(e.label) for e in examples]
    worse = [says("law" if e.label == "math" else "math") if i < 6 else b
             for i, (e, b) in enumerate(zip(examples, base, strict=True))]  # fmt: skip
    one = compare(TWO, examples, [Entrant("a", base), Entrant("b", worse)], [Pair("b", "a")])
    assert one["differences"][0]["verdict"] == "worse"
    others = [Entrant(f"c{i}", base) for i in range(11)]
    pairs = [Pair("b", "a"), *(Pair(c.name, "a") for c in others)]
    many = compare(
        TWO, examples, [Entrant("a", base), Entrant("b", worse), *others], pairs, draws=200
    )
    first = many["differences"][0]
    assert first["high"] < 0 and first["corrected"] > 0.05
    assert first["verdict"] == "no difference" and "by chance" in first["words"]


def test_a_missing_label_is_wrong_and_is_no_label():
    examples = rows(4)
    given = [says("law"), no_answer(TWO), no_answer(TWO), says("math")]
    figures = score(TWO, examples, given)
    assert figures["accuracy"] == 0.5
    assert figures["confusion"] == [[1, 0], [0, 1]]
    assert figures["per_class"]["law"]["precision"] == 1.0
    account = compare(TWO, examples, [Entrant("a", given)], [], draws=50)["entrants"][0]
    assert account["missing"] == 2 and account["metrics"]["accuracy"]["value"] == 0.5
    assert account["metrics"]["macro_f1"]["value"] == pytest.approx(figures["macro_f1"])


def test_missing_spans_are_wrong_even_where_there_is_nothing_to_find():
    examples = [Example("nothing here"), Example("Ann", spans=(Span(0, 3, "PERSON"),))]
    silent = [no_answer(PII)] * 2
    honest = [Prediction("pii", None, 0.0)] * 2
    assert score(PII, examples, silent)["clean_share"] == 0.0
    assert score(PII, examples, honest)["clean_share"] == 1.0
    assert all(map(is_missing, silent)) and not any(map(is_missing, honest))
    invented = Prediction("pii", None, 1.0, spans=(empty_span("PERSON", 12),))
    assert not is_missing(invented)
    figures = compare(PII, examples, [Entrant("a", silent), Entrant("b", honest)], [Pair("b", "a")])
    assert [e["missing"] for e in figures["entrants"]] == [2, 0]


def test_whole_texts_are_what_mcnemar_counts_for_spans():
    examples = [Example(f"Ann {i}", spans=(Span(0, 3, "PERSON"),)) for i in range(12)]
    found = [Prediction("pii", None, 1.0, spans=(PredictedSpan(0, 3, "PERSON", "Ann", 1.0),))] * 12
    result = compare(
        PII, examples, [Entrant("a", found), Entrant("b", [no_answer(PII)] * 12)], [Pair("a", "b")]
    )
    (difference,) = result["differences"]
    assert difference["metric"] == "span_f1" and difference["value"] == 1.0
    assert difference["p_value"] == pytest.approx(2 / 2**12)


def test_labels_without_scores_are_compared_by_labels():
    examples = [Example(f"t{i}", JAILBREAK.labels[i % 2]) for i in range(40)]
    ours = answers(examples, 0.9, 1, JAILBREAK)
    entrants = [Entrant("bundle", ours), Entrant("llm", ours, ranks=False)]
    result = compare(JAILBREAK, examples, entrants, [Pair("llm", "bundle")], draws=100)
    bundle, llm = result["entrants"]
    assert "recall_at_fpr_1" in bundle["metrics"] and "recall_at_fpr_1" not in llm["metrics"]
    assert result["differences"][0]["metric"] == "accuracy"
    assert llm["confidence"] is None and common_metric(result) == "accuracy"


def test_rows_of_one_kind_are_compared_by_what_they_can_tell():
    examples = [Example(f"t{i}", "benign") for i in range(30)]
    entrants = [Entrant(x, answers(examples, 0.9, s, JAILBREAK)) for x, s in (("a", 1), ("b", 2))]
    result = compare(JAILBREAK, examples, entrants, [Pair("b", "a")], draws=50)
    assert result["differences"][0]["metric"] == "accuracy"
    assert "NaN" not in json.dumps(result)


def test_two_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="a name of its own"):
        compare(TWO, rows(2), [Entrant("a", []), Entrant("a", [])], [])


def test_seeds_are_summed_up_by_variant():
    found = [("full", 0.8), ("full", 0.9), ("lora", 0.7)]
    accounts = [{"variant": v, "metrics": {"accuracy": {"value": x}}} for v, x in found]
    full, lora = over_seeds([*accounts, {"metrics": {}}], "accuracy")
    assert full["mean"] == pytest.approx(0.85) and full["deviation"] == pytest.approx(
        0.0707, abs=1e-4
    )
    assert (full["low"], full["high"], full["seeds"]) == (0.8, 0.9, 2)
    assert lora["deviation"] is None


@pytest.fixture
def result():
    examples = rows(40)
    facts = {"kind": "bundle", "latency_ms": 1.5, "trainable_parameters": 1234567, "variant": "v"}
    other = {"kind": "language model", "model": "m|$x", "refusals": 2, "structured": "yes"}
    entrants = [
        Entrant("ours", answers(examples, 0.9, 1), facts=facts),
        Entrant("also", answers(examples, 0.8, 2), facts=facts),
        Entrant("m|$x", answers(examples, 0.7, 3), ranks=False, facts=other),
    ]
    found = compare(
        TWO, examples, entrants, [Pair("also", "ours"), Pair("m|$x", "ours")], draws=100
    )
    seeds = over_seeds(found["entrants"], "macro_f1")
    return {
        **found,
        "data": "rows.jsonl",
        "notes": ["a note"],
        "not_run": {"presidio": "absent"},
        "seeds": seeds,
    }


def test_the_page_says_what_was_found(result):
    page = write_comparison(result)
    for words in ("# category: side by side", "40 rows of rows.jsonl", "1,234,567", "1.5 ms",
                  "presidio: absent", "a note", "## Over seeds", "refusals", "McNemar's p"):  # fmt: skip
        assert words in page
    assert r"m\|$x" in page and "GPU" not in page
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert all(line.endswith(" |") for line in lines)


def test_plots_are_svg_with_their_words(result, tmp_path):
    headline, latency = plot_comparison(result, tmp_path)
    assert headline.name == "headline.svg" and latency.name == "latency.svg"
    text = headline.read_text()
    assert text.lstrip().startswith("<?xml") and "ours" in text and "m|$x" in text
    assert "m|$x" not in latency.read_text()  # its latency is not known
    before = headline.read_bytes()
    plot_comparison(result, tmp_path)
    assert headline.read_bytes() == before
