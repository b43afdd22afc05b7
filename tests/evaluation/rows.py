"""Made-up rows and answers that tests of intervals and of differences share."""

import numpy as np
from scipy.stats import norm

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.tasks.category import CATEGORY

THREE = CATEGORY.adapt(labels=("business", "law", "psychology"))


def texts(spec, gold, given, groups=None):
    groups = groups or [None] * len(gold)
    examples = [
        Example(f"t{i}", g, group=x) for i, (g, x) in enumerate(zip(gold, groups, strict=True))
    ]
    return examples, [Prediction(spec.name, label, 0.9, {label: 0.9}) for label in given]


def detector(rows, seed, lift=1.5, ties=False):
    random = np.random.default_rng(seed)
    truth = random.random(rows) < 0.3
    scores = norm.cdf(random.normal(truth * lift))
    if ties:
        scores = scores.round(1)
    examples = [Example(str(i), "jailbreak" if t else "benign") for i, t in enumerate(truth)]
    answers = [
        Prediction("jailbreak", "jailbreak" if s >= 0.5 else "benign", max(s, 1 - s),
                   {"benign": 1 - s, "jailbreak": s})
        for s in map(float, scores)
    ]  # fmt: skip
    return examples, answers


def spans():
    examples = [
        Example("Ann and Bo", spans=(Span(0, 3, "PERSON"), Span(8, 10, "PERSON"))),
        Example("nothing"),
        Example("call Cy", spans=(Span(5, 7, "PERSON"),)),
        Example("none here"),
    ]
    found = [[(0, 3, "PERSON")], [(0, 7, "GPE")], [(5, 7, "GPE")], []]
    answers = [
        Prediction(
            "pii", None, 0.9, spans=tuple(PredictedSpan(a, b, x, "", 0.9) for a, b, x in row)
        )
        for row in found
    ]
    return examples, answers
