"""Token labels back to character spans.

The rule for inconsistent BIO sequences, stated once: a token labelled `I-X` goes on with the
span before it when that span is an X and the token follows it directly; otherwise it begins a
new span, as in the evaluation script of CoNLL. `B-X` always begins a new span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import PredictedSpan
from pointsman.data.encode import trim


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
) -> list[PredictedSpan]:
    """Turn one text's token probabilities into spans.

    Args:
        probabilities: Shape `(tokens, 2 * types + 1)`.
        offsets: Trimmed code-point bounds of every token.
        text: The text that the offsets count in.
        types: Entity types in index order.
    """
    labels = probabilities.argmax(axis=1)
    scores = probabilities[np.arange(len(labels)), labels]
    spans = []
    for start, end, kind, score in decode_labels(labels.tolist(), scores.tolist(), offsets):
        start, end = trim(text, start, end)
        if start < end:
            spans.append(PredictedSpan(start, end, types[kind], text[start:end], round(score, 6)))
    return spans
