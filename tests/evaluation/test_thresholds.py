"""Thresholds: each rule against counting by hand, its guarantee against simulation."""

import numpy as np
import pytest

from pointsman.core.errors import ConfigError, DataError
from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.cuts import threshold_at_fpr
from pointsman.evaluation.point import describe_point
from pointsman.evaluation.rules import OperatingPoint, Rule, default_rule, parse_rule
from pointsman.evaluation.thresholds import choose_operating_point
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII

THREE = CATEGORY.adapt(labels=("business", "law", "psychology"))


def detections(pairs):
    examples = [Example(str(i), "jailbreak" if t else "benign") for i, (_, t) in enumerate(pairs)]
    answers = [
        Prediction("jailbreak", "benign", 1 - s, {"benign": 1 - s, "jailbreak": s})
        for s, _ in pairs
    ]
    return examples, answers


def choose(rule, pairs):
    return choose_operating_point(JAILBREAK, parse_rule(rule, JAILBREAK), *detections(pairs))


def random_pairs(benign, attacks, seed=0):
    draw = np.random.default_rng(seed)
    return [(float(s), False) for s in draw.beta(1, 5, benign)] + [
        (float(s), True) for s in draw.beta(5, 2, attacks)
    ]


@pytest.mark.parametrize(
    ("text", "spec", "rule"),
    [
        ("fpr=0.01", JAILBREAK, Rule("fpr", 0.01)),
        (" precision=0.9 ", JAILBREAK, Rule("precision", 0.9)),
        ("recall=0.95", JAILBREAK, Rule("recall", 0.95)),
        ("cost=20:1", JAILBREAK, Rule("cost", 20, 1)),
        ("risk=0.01@0.9", JAILBREAK, Rule("risk", 0.01, 0.9)),
        ("risk=0.02", JAILBREAK, Rule("risk", 0.02, 0.95)),
        ("accuracy=0.95", THREE, Rule("accuracy", 0.95)),
        ("coverage=0.9", THREE, Rule("coverage", 0.9)),
        ("f1", PII, Rule("f1")),
        ("precision=0.9", PII, Rule("precision", 0.9)),
    ],
)
def test_rules_are_read_and_written(text, spec, rule):
    assert parse_rule(text, spec) == rule
    assert parse_rule(str(rule), spec) == rule


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("fpr=0.01", THREE), ("accuracy=0.9", JAILBREAK), ("fpr", JAILBREAK), ("fpr=x", JAILBREAK),
        ("fpr=0", JAILBREAK), ("fpr=1", JAILBREAK), ("fpr=1%", JAILBREAK), ("cost=-1:2", JAILBREAK),
        ("cost=inf:1", JAILBREAK), ("risk=0.01@2", JAILBREAK), ("", JAILBREAK), ("f1", JAILBREAK),
        ("recall=0.5", PII), ("fpr=0.01 ; x", JAILBREAK),
    ],
)  # fmt: skip
def test_what_is_no_rule_of_the_task_is_refused(text, spec):
    with pytest.raises(ConfigError) as caught:
        parse_rule(text, spec)
    assert caught.value.got == text and "as in" in caught.value.fix


@pytest.mark.parametrize("spec", [JAILBREAK, THREE, PII], ids=lambda s: s.name)
def test_every_task_has_a_default(spec):
    assert parse_rule(str(default_rule(spec)), spec) == default_rule(spec)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.2, 0.999])
@pytest.mark.parametrize("digits", [1, 6])
def test_no_lower_threshold_keeps_the_false_positive_rate(rate, digits):
    pairs = [(round(s, digits), t) for s, t in random_pairs(500, 200)]
    scores, truth = np.asarray([s for s, _ in pairs]), np.asarray([t for _, t in pairs])
    threshold = threshold_at_fpr(scores, truth, rate)
    flagged = scores >= threshold
    assert flagged[~truth].mean() <= rate
    recall = flagged[truth].mean()
    for lower in np.unique(scores[scores < threshold])[-3:]:
        more = scores >= lower
        assert more[~truth].mean() > rate or more[truth].mean() == recall


def test_scores_of_one_leave_no_room():
    scores, truth = np.asarray([1.0] * 10), np.asarray([False] * 9 + [True])
    assert threshold_at_fpr(scores, truth, 0.1) > 1


def test_too_few_benign_rows_are_said():
    point = choose("fpr=0.01", random_pairs(100, 50))
    assert (
        not point.enough
        and "100 benign rows" in point.notes[0]
        and "is 1 of them" in point.notes[0]
    )
    assert choose("fpr=0.01", random_pairs(500, 50)).enough
    assert choose("fpr=0.05", [(s, t) for s, t in random_pairs(500, 0)]).thresholds["jailbreak"] < 1


def test_a_risk_bound_holds_as_often_as_it_says():
    broken = 0
    for seed in range(300):
        point = choose("risk=0.05@0.9", random_pairs(150, 5, seed))
        assert point.enough
        from scipy.stats import beta

        broken += beta.sf(point.thresholds["jailbreak"], 1, 5) > 0.05
    assert 3 <= broken <= 42  # one in ten at most, and not so strict that it never comes near


def test_a_risk_bound_says_how_many_rows_it_needs():
    point = choose("risk=0.01@0.95", random_pairs(298, 50))
    assert not point.enough and "needs 299" in point.notes[0]
    scores = [s for s, t in random_pairs(298, 50) if not t]
    assert point.thresholds["jailbreak"] > max(scores)
    assert choose("risk=0.01@0.95", random_pairs(299, 50)).enough


def test_precision_takes_the_lowest_threshold_that_keeps_it():
    pairs = [
        (0.9, True),
        (0.8, True),
        (0.7, False),
        (0.6, True),
        (0.5, True),
        (0.4, False),
        (0.3, False),
    ]
    assert choose("precision=0.8", pairs).thresholds["jailbreak"] == pytest.approx(0.45)
    assert choose("precision=0.99", pairs).thresholds["jailbreak"] == pytest.approx(0.75)
    hopeless = choose("precision=0.9", [(0.9, False), (0.5, True), (0.2, False)])
    assert not hopeless.reached and "the best is 0.500" in hopeless.notes[-1]


def test_recall_takes_the_highest_precision_among_the_thresholds_that_keep_it():
    pairs = [
        (0.9, True),
        (0.8, True),
        (0.7, False),
        (0.6, True),
        (0.5, True),
        (0.4, False),
        (0.3, True),
    ]
    point = choose("recall=0.6", pairs)  # 0.6: 3 of 4; 0.5: 4 of 5; 0.3: 5 of 7
    assert point.thresholds["jailbreak"] == pytest.approx(0.45) and point.reached
    assert "precision 0.800" in point.notes[-1]
    assert choose("recall=0.4", pairs).thresholds["jailbreak"] == pytest.approx(0.75)
    assert choose("recall=0.9", pairs).thresholds["jailbreak"] == pytest.approx(0.15)
    with_ties = [(0.9, True), (0.5, True), (0.5, False), (0.5, True), (0.2, False)]
    assert choose("recall=0.5", with_ties).thresholds["jailbreak"] == pytest.approx(0.35)


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("digits", [1, 6])
def test_no_other_threshold_with_the_recall_is_more_precise(recall, digits):
    pairs = [(round(s, digits), t) for s, t in random_pairs(400, 200, seed=3)]
    scores, truth = np.asarray([s for s, _ in pairs]), np.asarray([t for _, t in pairs])
    flagged = scores >= choose(f"recall={recall}", pairs).thresholds["jailbreak"]
    assert flagged[truth].mean() >= recall
    for other in np.unique(scores):
        mine = scores >= other
        assert mine[truth].mean() < recall or truth[mine].mean() <= truth[flagged].mean()


@pytest.mark.parametrize(
    ("rule", "benign", "attacks", "says"),
    [
        ("precision=0.9", 400, 40, "what is wrong is"),
        ("recall=0.95", 400, 99, "99 positive rows: at a recall of 0.95 what is missed is 4.95"),
        ("cost=20:1", 400, 29, "29 positive rows"),
        ("cost=20:1", 29, 400, "29 benign rows"),
        ("cost=20:1", 4, 2, "2 positive rows"),
        ("precision=0.5", 400, 2, "too few to say"),
        ("recall=0.95", 3, 400, "3 independent groups of rows of benign"),
    ],
)
def test_every_rule_of_a_detector_says_that_rows_are_few(rule, benign, attacks, says):
    point = choose(rule, random_pairs(benign, attacks))
    assert not point.enough and says in point.notes[0]


@pytest.mark.parametrize("rule", ["precision=0.9", "recall=0.95", "cost=20:1", "fpr=0.05"])
def test_enough_rows_are_enough_and_rows_of_one_group_are_one(rule):
    examples, answers = detections(random_pairs(400, 150))
    parsed = parse_rule(rule, JAILBREAK)
    assert choose_operating_point(JAILBREAK, parsed, examples, answers).enough
    copies = [Example(e.text, e.label, group=f"g{i % 5}") for i, e in enumerate(examples)]
    point = choose_operating_point(JAILBREAK, parsed, copies, answers)
    assert not point.enough and "5 independent groups" in point.notes[0]


@pytest.mark.parametrize(
    ("rule", "rows", "enough"),
    [
        ("accuracy=0.95", 6, False),
        ("accuracy=0.95", 99, False),
        ("accuracy=0.95", 200, True),
        ("coverage=0.9", 6, False),
        ("coverage=0.9", 49, False),
        ("coverage=0.9", 60, True),
    ],
)
def test_abstaining_says_that_rows_are_few(rule, rows, enough):
    point = abstain(rule, [(0.5 + i / 1000, True) for i in range(rows)])
    assert point.enough == enough
    assert any("too few to say" in note for note in point.notes) != enough


@pytest.mark.parametrize(
    ("rule", "threshold"), [("cost=1:1", 0.75), ("cost=20:1", 0.35), ("cost=1:20", 0.75)]
)
def test_cost_weighs_misses_against_alarms(rule, threshold):
    pairs = [(0.9, True), (0.8, True), (0.7, False), (0.6, False), (0.4, True), (0.3, False)]
    point = choose(rule, pairs)
    assert point.thresholds["jailbreak"] == pytest.approx(threshold)
    assert "mean cost" in point.notes[-1]


def test_cost_may_flag_nothing():
    assert choose("cost=1:20", [(0.9, False), (0.5, True)]).thresholds["jailbreak"] > 1.0
    sure = [(1.0, False)] * 3 + [(0.2, True)]  # a sure model's score, that 1.0 would flag
    point = choose("cost=1:100", sure)
    assert not any(score >= point.thresholds["jailbreak"] for score, _ in sure)


@pytest.mark.parametrize("rule", ["fpr=0.01", "risk=0.01"])
def test_benign_rows_alone_are_enough_for_a_rate(rule):
    assert choose(rule, random_pairs(800, 0)).enough
    with pytest.raises(DataError, match="'benign'"):
        choose(rule, random_pairs(0, 10))


@pytest.mark.parametrize("rule", ["precision=0.9", "cost=2:1"])
def test_other_rules_need_both_labels(rule):
    with pytest.raises(DataError, match="'jailbreak'"):
        choose(rule, random_pairs(10, 0))


def answers(rows):
    examples = [Example(str(i), "law") for i in range(len(rows))]
    return examples, [
        Prediction("category", "law" if right else "business", score, {}) for score, right in rows
    ]


def abstain(rule, rows):
    return choose_operating_point(THREE, parse_rule(rule, THREE), *answers(rows))


def test_abstaining_answers_as_much_as_the_accuracy_allows():
    rows = [(0.9, True), (0.8, True), (0.7, True), (0.6, False), (0.5, True), (0.4, False)]
    assert abstain("accuracy=0.8", rows).abstain_below == pytest.approx(0.45)
    assert abstain("accuracy=0.95", rows).abstain_below == pytest.approx(0.65)
    easy = abstain("accuracy=0.5", rows)
    assert easy.abstain_below == 0 and easy.reached
    hopeless = abstain("accuracy=0.9", [(0.9, False), (0.5, True)])
    assert hopeless.abstain_below == 0 and not hopeless.reached
    assert sum(s >= abstain("coverage=0.5", rows).abstain_below for s, _ in rows) == 3


def spans(noise, *, rows=60, kind="GPE"):
    """Rows of one true span each; `noise` of them also get a wrong one of a lower score."""
    examples = [Example("x" * 40, spans=(Span(0, 4, kind),), group=f"g{i}") for i in range(rows)]
    found = []
    for i in range(rows):
        mine = [PredictedSpan(0, 4, kind, "", 0.9 + i / 1000)]
        if i < noise:
            mine.append(PredictedSpan(10, 14, kind, "", 0.5 + i / 1000))
        found.append(Prediction("pii", None, 0.9, spans=tuple(mine)))
    return examples, found


def test_a_type_gets_a_threshold_where_it_helps():
    point = choose_operating_point(PII, Rule("f1"), *spans(40))
    assert 0.5 < point.thresholds["GPE"] < 0.9
    assert "PERSON" in point.notes[0] and "GPE" not in point.notes[0]


def test_a_gain_that_noise_could_make_sets_no_threshold():
    assert choose_operating_point(PII, Rule("f1"), *spans(1)).thresholds == {}
    assert choose_operating_point(PII, Rule("f1"), *spans(0)).thresholds == {}


def test_a_gain_of_one_group_alone_sets_no_threshold():
    examples, found = spans(40)
    together = [
        Example(e.text, spans=e.spans, group="one" if i < 40 else e.group)
        for i, e in enumerate(examples)
    ]
    assert choose_operating_point(PII, Rule("f1"), together, found).thresholds == {}


def test_few_spans_set_no_threshold():
    point = choose_operating_point(PII, Rule("f1"), *spans(20, rows=29))
    assert point.thresholds == {} and "GPE" in point.notes[0]


def test_a_precision_for_each_type():
    rule = parse_rule("precision=0.95", PII)
    assert 0.5 < choose_operating_point(PII, rule, *spans(40)).thresholds["GPE"] < 0.9
    assert choose_operating_point(PII, rule, *spans(1)).thresholds == {}
    examples, found = spans(0)
    wrong = [
        Prediction("pii", None, 0.9, spans=(PredictedSpan(10, 14, "GPE", "", 0.9),)) for _ in found
    ]
    hopeless = choose_operating_point(PII, rule, examples, wrong)
    assert not hopeless.reached and "GPE" in hopeless.notes[-1]


def test_a_precision_of_few_spans_is_said():
    rule = parse_rule("precision=0.95", PII)
    few = choose_operating_point(PII, rule, *spans(1))  # 60 spans: three wrong ones would do
    assert not few.enough and few.reached and few.notes[-1].endswith(": GPE")
    assert choose_operating_point(PII, rule, *spans(1, rows=200)).enough
    assert choose_operating_point(PII, Rule("f1"), *spans(1)).enough
    none = choose_operating_point(PII, Rule("f1"), *spans(1, rows=20))
    assert not none.enough and "fewer than 30 spans" in none.notes[0]


def test_a_point_has_a_json_form():
    point = OperatingPoint(Rule("cost", 20, 1), {"jailbreak": 0.5}, notes=("a", "b"))
    assert describe_point(point) == {
        "rule": "cost=20:1", "target": 20, "threshold": {"jailbreak": 0.5}, "abstain_below": 0.0,
        "enough": True, "reached": True, "note": "a; b",
    }  # fmt: skip
