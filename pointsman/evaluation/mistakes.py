"""Mistakes worth reading, with personal data hidden unless the user asks to see it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.runtime.masking import mask_patterns, mask_pieces, merge_spans
from pointsman.tasks.spec import TaskSpec

WIDTH = 160  # characters of a text that are shown
KINDS = ("missed", "wrong type", "boundary", "spurious")
PAIRS, EXAMPLES, TERMS = 10, 3, 6  # of an account: pairs, texts of each, words of a cluster
CLUSTERS, CLUSTERED, VOCABULARY = 8, 1000, 2000
WORD = re.compile(r"[^\W\d_]{3,}")

Piece = tuple[str, str | None, bool]


def text_mistakes(
    spec: TaskSpec,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    reveal: bool = False,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Return the mistakes that the model was surest of."""
    wrong = [
        (p.score, e, p) for e, p in zip(examples, predictions, strict=True) if e.label != p.label
    ]
    wrong.sort(key=lambda item: -item[0])
    return [
        {
            "text": _short(e.text if reveal else mask_patterns(e.text)),
            "expected": e.label,
            "given": p.label,
            "score": round(score, 4),
            "source": e.source,
        }
        for score, e, p in wrong[:limit]
    ]


def span_mistakes(
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    reveal: bool = False,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """Return wrong spans by kind: missed, spurious, wrong type, boundary.

    `pieces` holds the shown text cut at its spans: each piece with its label, and whether it is
    the span in question.
    """
    found: list[dict[str, Any]] = []
    for example, prediction in zip(examples, predictions, strict=True):
        for kind, span, other in _span_errors(example.spans, prediction.spans):
            pieces = _cut(_pieces(example, prediction, span, reveal=reveal))
            shown = example.text[span.start : span.end] if reveal else f"[{len(span_text(span))}]"
            found.append(
                {
                    "kind": kind,
                    "expected": span.label if isinstance(span, Span) else None,
                    "given": other.label if other else None,
                    "span": shown,
                    "text": "".join(text for text, _, _ in pieces),
                    "source": example.source,
                    "pieces": pieces,
                }
            )
    kinds = sorted({row["kind"] for row in found})
    return [row for kind in kinds for row in [r for r in found if r["kind"] == kind][: limit // 4]]


def span_text(span: Span | PredictedSpan) -> range:
    """Return the code points of a span, for its length."""
    return range(span.start, span.end)


def _span_errors(
    gold: Sequence[Span], found: Sequence[PredictedSpan]
) -> list[tuple[str, Span | PredictedSpan, PredictedSpan | None]]:
    errors: list[tuple[str, Span | PredictedSpan, PredictedSpan | None]] = []
    for span in gold:
        touching = [f for f in found if f.start < span.end and span.start < f.end]
        exact = [f for f in touching if (f.start, f.end) == (span.start, span.end)]
        if any(f.label == span.label for f in exact):
            continue
        if not touching:
            errors.append(("missed", span, None))
        elif exact:
            errors.append(("wrong type", span, exact[0]))
        else:
            errors.append(("boundary", span, touching[0]))
    for guess in found:
        if not any(g.start < guess.end and guess.start < g.end for g in gold):
            errors.append(("spurious", guess, guess))
    return errors


def _pieces(
    example: Example, prediction: Prediction, focus: Span | PredictedSpan, *, reveal: bool
) -> list[Piece]:
    """Cut a text at what is personal by the labels or by the model, whichever says more."""
    spans = merge_spans([*example.spans, *prediction.spans])
    pieces: list[Piece] = []
    for text, span in mask_pieces(example.text, spans):
        if span is None:
            pieces.append((_flat(text if reveal else mask_patterns(text)), None, False))
            continue
        own = _flat(example.text[span.start : span.end]) if reveal else text
        asked = span.start <= focus.start and focus.end <= span.end
        pieces.append((own, span.label, asked))
    return pieces


def _cut(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces around the one in question, `WIDTH` characters at most."""
    middle = next(index for index, (_, _, asked) in enumerate(pieces) if asked)
    text, label, asked = pieces[middle]
    text = _short(text)
    before, after = pieces[:middle], pieces[middle + 1 :]
    room = WIDTH - len(text)
    wanted = sum(len(piece[0]) for piece in after)
    left = _ending(before, max(room // 2, room - wanted))
    right = _beginning(after, room - sum(len(piece[0]) for piece in left))
    return [*left, (text, label, asked), *right]


def _ending(pieces: Sequence[Piece], room: int) -> list[Piece]:
    """Return the last pieces that fit; a text without label is cut, a marked one is left out."""
    kept: list[Piece] = []
    for text, label, asked in reversed(pieces):
        if len(text) <= room:
            kept.append((text, label, asked))
            room -= len(text)
            continue
        if room > 0:
            kept.append(("…" if label else "…" + text[len(text) - room + 1 :], None, False))
        break
    return kept[::-1]


def _beginning(pieces: Sequence[Piece], room: int) -> list[Piece]:
    """Return the first pieces that fit; see `_ending`."""
    kept: list[Piece] = []
    for text, label, asked in pieces:
        if len(text) <= room:
            kept.append((text, label, asked))
            room -= len(text)
            continue
        if room > 0:
            kept.append(("…" if label else text[: room - 1] + "…", None, False))
        break
    return kept


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= WIDTH else flat[: WIDTH - 1] + "…"


def error_account(
    spec: TaskSpec,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    reveal: bool = False,
) -> dict[str, Any]:
    """Return an account of all mistakes of a task.

    Args:
        spec: The task.
        examples: Labelled rows.
        predictions: Answers in the same order.
        reveal: Show personal data in the examples.

    Returns:
        For spans `counts` by kind of error, and `by_type` (of the true type; of the given one for
        spurious spans). For texts `confused`, pairs of labels with their surest mistakes, and for
        a detector `false_positive_clusters` (see `false_positive_clusters`).
    """
    if spec.level == "token":
        return _span_account(examples, predictions)
    found: dict[str, Any] = {"confused": _confused(examples, predictions, reveal=reveal)}
    if spec.positive is not None:
        found["false_positive_clusters"] = false_positive_clusters(
            spec, examples, predictions, reveal=reveal
        )
    return found


def _span_account(
    examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, dict[str, Any]]:
    counts = dict.fromkeys(KINDS, 0)
    by_type: dict[str, dict[str, int]] = {}
    for example, prediction in zip(examples, predictions, strict=True):
        for kind, span, _ in _span_errors(example.spans, prediction.spans):
            counts[kind] += 1
            by_type.setdefault(span.label, dict.fromkeys(KINDS, 0))[kind] += 1
    return {"counts": counts, "by_type": dict(sorted(by_type.items()))}


def _confused(
    examples: Sequence[Example], predictions: Sequence[Prediction], *, reveal: bool
) -> list[dict[str, Any]]:
    pairs: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for e, p in zip(examples, predictions, strict=True):
        if e.label != p.label:
            pairs.setdefault((str(e.label), str(p.label)), []).append((p.score, e.text))
    ranked = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {"expected": a, "given": b, "rows": len(rows), "examples": _surest(rows, reveal=reveal)}
        for (a, b), rows in ranked[:PAIRS]
    ]


def _surest(rows: Sequence[tuple[float, str]], *, reveal: bool) -> list[str]:
    best = sorted(rows, key=lambda row: -row[0])[:EXAMPLES]
    return [_short(text if reveal else mask_patterns(text)) for _, text in best]


def false_positive_clusters(
    spec: TaskSpec,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    reveal: bool = False,
) -> list[dict[str, Any]]:
    """Group the texts that a detector flagged wrongly, by the words that they share.

    Ward's clustering of TF-IDF vectors, into about the square root of half as many clusters as
    texts (Mardia, Kent and Bibby, 1979), at most eight; of very many texts the surest are taken.

    Returns:
        For each cluster, the largest first: `terms` (words that two texts share, of letters
        alone, so that numbers and addresses are none), `rows`, and its surest `examples`.
    """
    rows = [
        (p.score, e.text)
        for e, p in zip(examples, predictions, strict=True)
        if p.label == spec.positive != e.label
    ]
    rows = sorted(rows, key=lambda row: -row[0])[:CLUSTERED]
    if not rows:
        return []
    vectors, terms = _vectors([mask_patterns(text) for _, text in rows])
    clusters = []
    for members in _members(vectors):
        weight = vectors[members].mean(axis=0)
        top = [terms[i] for i in np.argsort(-weight, kind="stable")[:TERMS] if weight[i] > 0]
        shown = _surest([rows[i] for i in members], reveal=reveal)
        clusters.append({"terms": top, "rows": len(members), "examples": shown})
    return sorted(clusters, key=lambda cluster: -int(cluster["rows"]))


def _vectors(texts: Sequence[str]) -> tuple[NDArray[np.float64], list[str]]:
    """Return TF-IDF vectors `(texts, terms)` over the words that two texts share."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

    words = [[w for w in WORD.findall(t.lower()) if w not in ENGLISH_STOP_WORDS] for t in texts]
    shared = Counter(word for own in words for word in dict.fromkeys(own))
    terms = [word for word, texts_with in shared.most_common(VOCABULARY) if texts_with > 1]
    if not terms:
        return np.zeros((len(texts), 0)), []
    vectorizer = TfidfVectorizer(analyzer=lambda own: own, vocabulary=terms)
    return vectorizer.fit_transform(words).toarray(), terms


def _members(vectors: NDArray[np.float64]) -> list[list[int]]:
    """Return the rows of each cluster."""
    from sklearn.cluster import AgglomerativeClustering

    count = min(CLUSTERS, round((len(vectors) / 2) ** 0.5))
    if count < 2 or not vectors.shape[1]:
        return [list(range(len(vectors)))]
    labels = AgglomerativeClustering(n_clusters=count, linkage="ward").fit_predict(vectors)
    return [np.flatnonzero(labels == number).tolist() for number in range(count)]
