"""Suspect labels: what a model that never saw a row says of its label."""

from __future__ import annotations

import csv
import random

import numpy as np
import pytest

from pointsman.core.errors import ConfigError, DataError
from pointsman.core.types import Example
from pointsman.data.audit import AuditedData
from pointsman.pipeline.audit import mask
from pointsman.pipeline.suspects import (
    COLUMNS,
    doubted,
    find_suspects,
    out_of_fold,
    write_suspects,
)
from pointsman.tasks.catalogue import TASKS

SPEC = TASKS["category"].adapt(labels=("law", "math"))
WORDS = {
    "law": "court contract judge void statute plea appeal tort".split(),
    "math": "integral proof sum prime root angle matrix limit".split(),
}


def rows(count, seed=0, **fields):
    draw = random.Random(seed)
    return [
        Example(
            " ".join([*draw.choices(WORDS[label], k=6), f"n{draw.randrange(10**6)}"]),
            label=label,
            **fields,
        )
        for _ in range(count)
        for label in SPEC.labels
    ]


def swapped(example):
    other = "math" if example.label == "law" else "law"
    return Example(example.text, label=other, source="swapped")


def test_wrong_labels_come_first():
    clean = rows(40)
    wrong = [swapped(example) for example in rows(2, seed=1)]
    suspects = find_suspects(AuditedData(SPEC, {"train": clean[:60] + wrong, "test": clean[60:]}))
    assert [s.example.source for s in suspects[:4]] == ["swapped"] * 4
    assert all(s.confident and s.suggested != s.example.label for s in suspects[:4])
    margins = [s.margin for s in suspects]
    assert margins == sorted(margins) and margins[0] < -0.5
    assert {(s.split, s.row) for s in suspects[:4]} == {("train", n) for n in range(61, 65)}


def test_a_wrong_label_is_not_confirmed_by_its_own_near_copy():
    """Five near-copies with one wrong label would outvote the truth, were they not in one fold."""
    text = "court contract judge void statute plea appeal tort in this matter of law today number"
    wrong = [Example(f"{text} {n}", label="math", source="wrong") for n in range(5)]
    suspects = find_suspects(AuditedData(SPEC, {"train": rows(40) + wrong}))
    assert sum(s.example.source == "wrong" for s in suspects) == 5


def test_confident_learning_by_hand():
    """Thresholds are 0.7 for class 0 and 0.6 for class 1."""
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.4, 0.6], [0.45, 0.55], [0.2, 0.8]])
    probabilities[1] = [0.8, 0.2]
    labels = [0, 0, 0, 1, 1]
    thresholds = (np.mean([0.9, 0.8, 0.4]), np.mean([0.55, 0.8]))
    assert thresholds == pytest.approx((0.7, 0.675))
    assert doubted(probabilities, labels) == [None] * 5  # 0.6 does not pass 0.675
    probabilities[2] = [0.3, 0.7]
    assert doubted(probabilities, labels) == [None, None, 1, None, None]


def test_slices_are_not_judged_and_the_folds_are_the_same_twice():
    data = AuditedData(SPEC, {"train": rows(20), "slices/far": [swapped(e) for e in rows(3)]})
    assert not [s for s in find_suspects(data) if s.split.startswith("slices")]
    examples = rows(20)
    first, second = (out_of_fold(SPEC, examples, folds=3, seed=1) for _ in range(2))
    assert (first == second).all() and first.sum(axis=1) == pytest.approx(1)


def test_what_cannot_be_judged_says_why():
    with pytest.raises(ConfigError, match="sequence task"):
        find_suspects(AuditedData(TASKS["pii"], {"train": [Example("x")]}))
    few = [*rows(9), *[Example(f"{n}", label="law") for n in range(9)]]
    one = [example for example in few if example.label == "law"]
    with pytest.raises(DataError, match="two labels"):
        find_suspects(AuditedData(SPEC, {"train": one}))
    with pytest.raises(DataError, match="math: 3"):
        find_suspects(AuditedData(SPEC, {"train": rows(3)}))


def test_the_file_is_ranked_and_masked(tmp_path):
    data = AuditedData(SPEC, {"train": rows(20) + [
        Example("integral proof sum prime root angle, x@example.org", label="law")]})  # fmt: skip
    suspects = find_suspects(data)
    write_suspects(tmp_path / "s.csv", suspects, shown=mask)
    with (tmp_path / "s.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == COLUMNS and len(lines) == len(suspects)
    assert lines[0]["rank"] == "1" and lines[0]["suggested"] == "math"
    assert lines[0]["text"] == "integral proof sum prime root angle, [...]"
