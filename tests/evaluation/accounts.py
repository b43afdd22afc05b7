"""Evaluations with every kind of figure, for reports: answers made up, figures computed from them."""

from __future__ import annotations

import random
from typing import Any

from pointsman.bundle.meta import BundleMeta, Cost
from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.account import Account
from pointsman.evaluation.intervals import intervals
from pointsman.evaluation.mistakes import span_mistakes, text_mistakes
from pointsman.evaluation.point import describe_point
from pointsman.evaluation.rules import OperatingPoint, parse_rule
from pointsman.evaluation.score import score
from pointsman.evaluation.significance import paired_difference
from pointsman.tasks.catalogue import TASKS
from pointsman.tasks.labels import model_labels
from pointsman.tasks.spec import TaskSpec

# A tag, an attribute's end, a template's expression, a text turned around, an escape sequence.
HOSTILE = (
    "<script>console.error('ran')</script>",
    '"><img src=x onerror="console.error(1)">',
    "</blockquote></svg><style>body{width:2000px}</style>",
    "{{ 7 * 7 }} {% raw %} $x^2$ | cell",
    "abc \u202eevil\u202c \u2066x\u2069 \u200b\ufeff \x1b[31m",
    "&lt;b&gt; &amp; 'quoted' https://example.org/x.js",
)
COST = Cost(
    method="lora", trainable_parameters=296_450, parameters=33_656_834, trainable_share=0.0088,
    seconds=1371.6, peak_memory_mb=4497.9, weights_mb=128.4, adapter_mb=1.2, steps=981,
    precision="fp32",
)  # fmt: skip


def account(
    name: str, *, hostile: bool = False, reveal: bool = False, verdict: str = "better"
) -> Account:
    """Return an evaluation of a task in which nothing is absent."""
    spec = TASKS[name]
    draw = random.Random(7)
    texts = HOSTILE if hostile else ("How do I reach ann.lee@example.org about the contract?",)
    token = spec.level == "token"
    build = _spans if token else _texts
    examples, ours = build(spec, texts, draw, 0.9)
    _, theirs = build(spec, texts, random.Random(7), 0.6)
    figures = score(spec, examples, ours)
    named = {k: v.to_dict() for k, v in intervals(spec, examples, ours, draws=60).items()}
    difference = paired_difference(spec, examples, ours, theirs, draws=60).to_dict()
    word = texts[0] if hostile else "starter"
    figures |= _figures(spec, named, difference | _verdict(verdict), word)
    find = span_mistakes(examples, ours, reveal=reveal) if token else text_mistakes(spec, examples, ours, reveal=reveal)  # fmt: skip
    return Account(_meta(spec, word), figures, f"test rows of {word}", find, history(spec), reveal, _findings(word))  # fmt: skip


def _verdict(verdict: str) -> dict[str, Any]:
    ends = {"better": (0.1, 0.05, 0.15), "no difference": (0.01, -0.02, 0.04), "worse": (-0.1, -0.15, -0.05)}  # fmt: skip
    value, low, high = ends[verdict]
    return {"value": value, "low": low, "high": high, "verdict": verdict}


def _texts(
    spec: TaskSpec, texts: tuple[str, ...], draw: random.Random, skill: float
) -> tuple[list[Example], list[Prediction]]:
    examples, answers = [], []
    for number in range(240):
        label = spec.labels[number % len(spec.labels)]
        group = f"group {number // 3}"
        examples.append(Example(f"{number} {texts[number % len(texts)]}", label, source=texts[0], group=group))  # fmt: skip
        weights = {name: draw.random() ** 3 for name in spec.labels}
        if draw.random() < skill:
            weights[label] += 1.5
        probabilities = {k: v / sum(weights.values()) for k, v in weights.items()}
        best = max(probabilities, key=lambda k: probabilities[k])
        answers.append(Prediction(spec.name, best, probabilities[best], probabilities))
    return examples, answers


def _spans(
    spec: TaskSpec, texts: tuple[str, ...], draw: random.Random, skill: float
) -> tuple[list[Example], list[Prediction]]:
    examples, answers = [], []
    for number in range(120):
        name = f"Ann Lee{number}"
        text = f"{texts[number % len(texts)]} Please tell {name} in Oslo, who waits at the station since the morning"  # fmt: skip
        person, city = text.index(name), text.index("Oslo")
        gold = (Span(person, person + len(name), "PERSON"), Span(city, city + 4, "GPE"))
        found = []
        for span in gold:
            if draw.random() < skill:
                label = span.label if draw.random() < skill else "ORGANIZATION"
                cut = 0 if draw.random() < skill else 2
                end = span.end - cut
                found.append(PredictedSpan(span.start, end, label, text[span.start : end], 0.9))
        if number % 9 == 0:
            found.insert(0, PredictedSpan(0, 3, "TITLE", text[:3], 0.6))
        examples.append(Example(text, spans=gold, source=texts[0], group=f"group {number // 3}"))
        answers.append(Prediction(spec.name, None, 0.9, spans=tuple(found)))
    return examples, answers


def around(value: float, width: float = 0.03, *, few: bool = False) -> dict[str, Any]:
    return {"value": value, "low": value - width, "high": value + width, "groups": 4 if few else 80, "few": few}  # fmt: skip


def _figures(
    spec: TaskSpec, named: dict[str, Any], difference: dict[str, Any], word: str
) -> dict[str, Any]:
    metric = difference["metric"]
    types = {label: {"with": 0.91, "without": 0.87} for label in spec.labels[:6]}
    more: dict[str, Any] = {
        "intervals": named,
        "baselines": {
            "majority": {"figures": {metric: 0.2}, "difference": difference | {"value": 0.5, "low": 0.4, "high": 0.6, "verdict": "better"}},
            "tfidf": {"figures": {metric: 0.81}, "difference": difference},
            "presidio": {"not_run": f"needs a package: {word}"},
        },
        "calibration": {
            "temperature": 1.4,
            "before": {"ece": around(0.08, 0.01), "brier": 0.09, "nll": 0.31, "reliability": bins(0.1), "histogram": [12] * 20},
            "after": {"ece": around(0.02, 0.01), "brier": 0.07, "nll": 0.25, "reliability": bins(0.01), "histogram": [12] * 20},
        },
        "operating_point": _point(spec),
        "curves": _curves(spec),
        "slices": _slices(metric, word),
        "perturbations": {
            name: _moved(spec, drop) | {"strength": "one edit in 10% of the words", "seed": 3, "rows": 200, "metric": metric, "value": 0.9 - drop, "clean": 0.9, "drop": drop, "interval": around(0.9 - drop)}
            for name, drop in (("typos", 0.04), ("case", 0.01), ("zero-width characters", 0.2), (word, 0.1))
        },
        "audit": {
            "leakage": 0, "repaired": 41, "near_duplicates": 120, "licences": {word: "CC-BY-NC-4.0", "starter": "Apache-2.0"}, "non_commercial": [word], "unknown_licence": [],
            "findings": [f"warning: {word} owns engineering"],
            "labels": {"train": {word: 90, "law": 11}, "test": {"law": 7}},
            "lengths": {"words": {"1-12": 80, "over 12": 28}, "tokens": {"1-64": 101, "over 64": 7}, "max_length": 64, "cut": 7},
            "languages": {"rows": 108, "not_told": 8, "languages": {"en": 99, word: 1}},
        },
    }  # fmt: skip
    if spec.level == "token":
        more["postprocess"] = {"with": {"span_f1": 0.9}, "without": {"span_f1": 0.87}, "per_type": types}  # fmt: skip
        more["errors"] = {"counts": {"missed": 9, "wrong type": 4, "boundary": 2, "spurious": 1}}
    else:
        more["errors"] = {
            "confused": [{"expected": spec.labels[0], "given": spec.labels[1], "rows": 5, "examples": [f"mail [...] {word}"]}],
            "false_positive_clusters": [{"terms": ["role", word], "rows": 3, "examples": [word]}],
        }  # fmt: skip
    return more


def _moved(spec: TaskSpec, drop: float) -> dict[str, Any]:
    if spec.positive is None:
        return {}
    clean = {"recall": around(0.88), "false_positive_rate": around(0.013, 0.006)}
    moved = {"recall": around(0.88 - 3 * drop), "false_positive_rate": around(0.013 + drop, 0.01)}
    return {"at_threshold": {"clean": clean, "perturbed": moved}}


def _findings(word: str) -> list[dict[str, Any]]:
    return [
        {"severity": "warning", "check": "shortcut: source", "text": f"{word} owns engineering", "examples": [f"a beam of {word}", "a second beam"]},
        {"severity": "info", "check": "repaired", "text": "41 rows were moved", "examples": []},
    ]  # fmt: skip


def bins(off: float) -> list[dict[str, float]]:
    places = [0.1 * n + 0.05 for n in range(10)]
    return [{"low": p - 0.05, "high": p + 0.05, "confidence": p, "accuracy": max(0, p - off), "rows": 24} for p in places]  # fmt: skip


def _point(spec: TaskSpec) -> dict[str, Any]:
    """Return a point as a run writes it: chosen on validation, measured there and on test."""
    if spec.level == "token":
        point = OperatingPoint(parse_rule("precision=0.95", spec), dict.fromkeys(spec.labels[:5], 0.6), enough=False, notes=("four types have too few spans",))  # fmt: skip
        names = ("span_precision", "span_recall", "span_f1")
    elif spec.positive:
        point = OperatingPoint(parse_rule("fpr=0.01", spec), {spec.positive: 0.73})
        names = ("false_positive_rate", "recall", "precision")
    else:
        point = OperatingPoint(parse_rule("accuracy=0.95", spec), abstain_below=0.42)
        names = ("coverage", "accuracy")
    at = {"false_positive_rate": 0.013, "recall": 0.88, "precision": 0.91, "coverage": 0.83, "accuracy": 0.955}  # fmt: skip
    sides: dict[str, Any] = {
        split: {name: around(at.get(name, 0.9) + off, 0.005) for name in names}
        for split, off in (("validation", 0.002), ("test", 0.0))
    }
    if spec.level == "token":
        types = {label: {"precision": around(0.93), "recall": around(0.87, few=True)} for label in spec.labels[3:8]}  # fmt: skip
        sides["test"]["per_type"] = types | {spec.labels[8]: {"recall": around(0.5)}}
    rows = {"data": "its validation split", "rows": 900}
    return describe_point(point) | {"chosen_on": rows, "temperature_enough": True} | sides


def _curves(spec: TaskSpec) -> dict[str, Any]:
    steps = [n / 100 for n in range(101)]
    curves: dict[str, Any] = {"coverage": [[1 - t, 0.9 + 0.09 * t, t] for t in steps[:-1]]}
    if spec.positive:
        curves |= {
            "roc": [[x, x**0.1] for x in steps],
            "precision_recall": [[x, 1 - 0.5 * x**6] for x in steps],
            "threshold": [{"threshold": t, "false_positive_rate": (1 - t) ** 4, "recall": 1 - t**5} for t in steps],
        }  # fmt: skip
    return curves


def _slices(metric: str, word: str) -> dict[str, Any]:
    found = {}
    for by, names in (("source", ("starter", word)), ("length", ("1-32", "33-128", "513 or more")), ("language", ("en", "日本語")), ("kind", ("benign", "injection"))):  # fmt: skip
        for number, name in enumerate(names):
            value = 0.9 - 0.04 * number
            found[f"{by} {name}"] = {"rows": 40 - number, "by": by, "metric": metric, "value": value, "interval": around(value, 0.05, few=number == 2)}  # fmt: skip
    return found | {"harmful": {"rows": 30, "flagged": 0.5}}


def history(spec: TaskSpec) -> list[dict[str, Any]]:
    """A log as the Trainer writes it."""
    losses = [{"loss": 2 / (1 + n), "epoch": n / 10, "step": 10 * (n + 1)} for n in range(30)]
    checks = [
        {"eval_loss": 1 / (1 + n), f"eval_{spec.checkpoint}": 0.8 + 0.03 * n, f"eval_{spec.headline}": 0.8 + 0.03 * n, "epoch": n + 1.0, "step": 100 * (n + 1)}
        for n in range(3)
    ]  # fmt: skip
    return [*losses, *checks, {"train_runtime": 9.0, "train_loss": 0.3, "step": 300}]


def _meta(spec: TaskSpec, word: str) -> BundleMeta:
    return BundleMeta(
        task=spec, labels=model_labels(spec), max_length=512, cost=COST, temperature=1.4,
        recipe={"recipe": word, "train": {"epochs": 3, "lora": {"rank": 8}}},
        versions={"pointsman": "0.1.0", "torch": "2.13.0"},
        provenance={
            "backbone": {"name": "minilm", "origin": "sentence-transformers/all-MiniLM-L6-v2", "revision": word},
            "data": {"seed": 13, "hashes": {"train": "5" * 64, "validation": "8" * 64, "test": "a" * 64},
                     "sources": [{"name": word, "licence": word, "revision": "main", "resolved_revision": "c" * 40, "counts": {"examples": 1200}},
                                 {"name": "starter", "licence": "Apache-2.0", "counts": {"examples": 90}}]},
        },
    )  # fmt: skip
