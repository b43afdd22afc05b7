"""Token probabilities and token labels back to character spans.

Probabilities are decoded by the likeliest sequence of types (Viterbi, 1967): each word is outside
or of a type, at that type's probability, B and I together. What may follow what costs nothing but
in one case, a span that directly follows another. A type that goes on from word to word does so
at the share of its I, and begins anew at that of its B.

The rule for inconsistent BIO labels, stated once: a token labelled `I-X` goes on with the span
before it when that span is an X and the token follows it directly; otherwise it begins a new
span, as in the evaluation script of CoNLL. `B-X` always begins a new span.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import PredictedSpan, Span
from pointsman.data.encode import trim
from pointsman.runtime.words import group_words

# What it costs, as a difference of log-probabilities, that a span directly follows another. An
# unsure model changes its mind within a name ("Homero" a place, "Portillo" a person); text hardly
# ever does. Chosen on held-out templates: docs/experiments.md.
ADJACENT_COST = 2.0
FLOOR = 1e-6  # of a probability, before its logarithm is taken

Floats = NDArray[np.float64]


@dataclass(slots=True)
class _Open:
    kind: int
    start: int
    end: int
    scores: list[float]


def decode_labels(
    labels: Sequence[int], scores: Sequence[float], offsets: Sequence[tuple[int, int]]
) -> list[tuple[int, int, int, float]]:
    """Return `(start, end, entity index, mean score)` of every span.

    Args:
        labels: Model label of every content token (0 is O, 2k+1 is B, 2k+2 is I of type k).
        scores: Probability of that label, or of its entity type.
        offsets: Trimmed code-point bounds of every token.
    """
    spans: list[_Open] = []
    current: _Open | None = None
    for label, score, (start, end) in zip(labels, scores, offsets, strict=True):
        if start == end:
            continue  # a token of no width says nothing: what is open stays open
        if label == 0:
            current = None
            continue
        kind, inside = (label - 1) // 2, label % 2 == 0
        if inside and current is not None and current.kind == kind:
            current.end = max(current.end, end)
            current.scores.append(score)
            continue
        current = _Open(kind, max(start, spans[-1].end) if spans else start, end, [score])
        if current.start < current.end:
            spans.append(current)
    return [(s.start, s.end, s.kind, float(np.mean(s.scores))) for s in spans]


def decode_spans(
    probabilities: NDArray[np.float32],
    offsets: Sequence[tuple[int, int]],
    text: str,
    types: Sequence[str],
    *,
    words: bool = False,
    adjacent_cost: float = ADJACENT_COST,
) -> list[PredictedSpan]:
    """Turn one text's token probabilities into spans.

    Args:
        probabilities: Shape `(tokens, 2 * types + 1)`: O, then B and I of every type.
        offsets: Trimmed code-point bounds of every token.
        text: The text that the offsets count in.
        types: Entity types in index order.
        words: Decide word by word instead of token by token.
        adjacent_cost: What it costs that a span directly follows another.
    """
    if words:
        units = group_words(offsets, text)
    else:
        units = [(i, i + 1) for i, (start, end) in enumerate(offsets) if start < end]
    if not units:
        return []
    labels, scores = _decide(_Units.of(probabilities, units), adjacent_cost)
    bounds = [(offsets[first][0], offsets[end - 1][1]) for first, end in units]
    spans = []
    for start, end, kind, score in decode_labels(labels, scores, bounds):
        start, end = trim(text, start, end)
        if start < end:
            spans.append(PredictedSpan(start, end, types[kind], text[start:end], round(score, 6)))
    return spans


@dataclass(frozen=True, slots=True)
class _Units:
    """What the network says of words, or of tokens.

    Attributes:
        outside: Probability of O, `(units,)`.
        types: Probability of every type, B and I together, `(units, types)`.
        again: Log-share of B in a type's probability, at the unit's first token.
        on: Log-share of I.
    """

    outside: Floats
    types: Floats
    again: Floats
    on: Floats

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], units: Sequence[tuple[int, int]]) -> _Units:
        """Average over the tokens of each unit."""
        bounds = np.asarray(units)
        rows = np.zeros((len(probabilities) + 1, probabilities.shape[1]))  # a last unit ends there
        rows[:-1] = probabilities
        sums = np.add.reduceat(rows, bounds.ravel())[::2]
        means = sums / (bounds[:, 1] - bounds[:, 0])[:, None]
        first = rows[bounds[:, 0]]
        begin, inside = first[:, 1::2], first[:, 2::2]
        total = np.maximum(begin + inside, FLOOR**2)
        return cls(
            means[:, 0], means[:, 1::2] + means[:, 2::2], _log(begin / total), _log(inside / total)
        )


def _log(values: Floats) -> Floats:
    return np.log(np.maximum(values, FLOOR))


def _decide(units: _Units, adjacent_cost: float) -> tuple[list[int], list[float]]:
    """Return the label of every unit in the likeliest sequence, and the probability of its type.

    A unit whose O is at least as likely as any type is O in that sequence, since nothing but a
    type before or after another type costs anything. So that only what lies between is searched.
    """
    labels, scores = [0] * len(units.outside), units.outside.tolist()
    found = units.types.max(axis=1) > units.outside
    runs = np.flatnonzero(np.diff(found, prepend=False, append=False)).reshape(-1, 2)
    for first, end in runs.tolist():
        before = -1
        for unit, kind in enumerate(_search(units, first, end, adjacent_cost), first):
            if kind >= 0:
                on = kind == before and _goes_on(units, unit, kind, adjacent_cost)
                labels[unit], scores[unit] = 2 * kind + 1 + on, float(units.types[unit, kind])
            before = kind
    return labels, scores


def _goes_on(units: _Units, unit: int, kind: int, adjacent_cost: float) -> bool:
    """Say whether a unit goes on with the span of its type before it, or begins another."""
    return bool(units.on[unit, kind] >= units.again[unit, kind] - adjacent_cost)


def _search(units: _Units, first: int, end: int, adjacent_cost: float) -> list[int]:
    """Return the types of a run of units in its likeliest sequence; -1 is O.

    Of two paths alike the one through O, or the type of the lower index, is taken.
    """
    emitted = _log(np.column_stack((units.outside[first:end], units.types[first:end])))
    stay = np.maximum(units.on[first:end], units.again[first:end] - adjacent_cost)
    count = emitted.shape[1]
    costs = np.zeros((count, count))
    costs[1:, 1:] = adjacent_cost
    kinds = np.arange(1, count)
    best, back = emitted[0], []
    for unit in range(1, end - first):
        paths = best[:, None] - costs
        paths[kinds, kinds] = best[1:] + stay[unit]
        source = paths.argmax(axis=0)
        back.append(source)
        best = paths[source, np.arange(count)] + emitted[unit]
    path = [int(best.argmax())]
    for source in reversed(back):
        path.append(int(source[path[-1]]))
    return [state - 1 for state in reversed(path)]


def cost_of_adjacency(rows: Iterable[tuple[str, Sequence[Span]]]) -> float:
    """Return what it shall cost that a span directly follows another, by how often one does.

    Args:
        rows: Training texts with their spans.

    Returns:
        `ADJACENT_COST`, or less where more than one span in seven follows another with nothing or
        blanks between: the negative logarithm of that share.
    """
    total = adjacent = 0
    for text, spans in rows:
        ordered = sorted(spans, key=lambda span: span.start)
        total += len(ordered)
        adjacent += sum(
            not text[left.end : right.start].strip()
            for left, right in zip(ordered, ordered[1:], strict=False)
        )
    return round(min(ADJACENT_COST, -math.log((adjacent + 1) / (total + 2))), 4)
