"""Which spans share characters with a place in the text, and what becomes of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pointsman.core.types import PredictedSpan


def touching(spans: Sequence[PredictedSpan], start: int, end: int) -> range:
    """Return the indices of the spans that share a character with `start` to `end`.

    Args:
        spans: Sorted, disjoint spans: they are searched by halves, for a long text holds thousands.
        start: First code point.
        end: One past the last code point.
    """
    first = bisect_right(spans, start, key=lambda span: span.end)
    return range(first, bisect_left(spans, end, key=lambda span: span.start, lo=first))


def replace_spans(
    text: str, spans: Sequence[PredictedSpan], given: Mapping[tuple[int, int, str], range]
) -> list[PredictedSpan]:
    """Return spans of which some gave way to others, sorted.

    Args:
        text: The text.
        spans: Sorted, disjoint spans in it.
        given: Start, end and type of each new span, with the indices of the spans whose place it
            takes; its score is that of the surest of them.
    """
    gone = {index for indices in given.values() for index in indices}
    left = [span for index, span in enumerate(spans) if index not in gone]
    for (start, end, label), indices in given.items():
        surest = max((spans[index] for index in indices), key=lambda span: span.score)
        left.append(replace(surest, start=start, end=end, label=label, text=text[start:end]))
    return sorted(left, key=lambda span: span.start)
