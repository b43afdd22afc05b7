"""Mistakes worth reading, with personal data hidden unless the user asks to see it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.runtime.masking import mask_patterns, mask_pieces, merge_spans
from pointsman.tasks.spec import TaskSpec

WIDTH = 160  # characters of a text that are shown

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
