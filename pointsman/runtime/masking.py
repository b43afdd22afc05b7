"""Texts with their personal data taken out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pointsman.core.types import PredictedSpan, Span
from pointsman.runtime.addresses import find_addresses
from pointsman.runtime.validators import STRUCTURED, find_values

HIDDEN = "[...]"
# What anybody would see as personal at a glance, for texts that no PII model has read. Other forms
# are found by the recognisers of post-processing.
_PATTERNS = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.]+"  # an e-mail address
    r"|\+?\d(?:[\s().-]{0,2}\d){6,}"  # seven digits or more: a phone, a card, an account
)


def mask_spans(text: str, spans: Sequence[Span | PredictedSpan]) -> str:
    """Replace every span by `[TYPE_n]`.

    The same words of the same type get the same number, so that the text stays readable.

    Args:
        text: The text.
        spans: Sorted, disjoint spans in it.
    """
    return "".join(piece for piece, _ in mask_pieces(text, spans))


def mask_pieces(
    text: str, spans: Sequence[Span | PredictedSpan]
) -> list[tuple[str, Span | PredictedSpan | None]]:
    """Return the masked text of `mask_spans` in pieces, each with the span that it stands for."""
    numbers: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    pieces: list[tuple[str, Span | PredictedSpan | None]] = []
    position = 0
    for span in spans:
        key = (span.label, text[span.start : span.end].casefold())
        if key not in numbers:
            counts[span.label] = counts.get(span.label, 0) + 1
            numbers[key] = counts[span.label]
        pieces.append((text[position : span.start], None))
        pieces.append((f"[{span.label}_{numbers[key]}]", span))
        position = span.end
    return [*pieces, (text[position:], None)]


def merge_spans(spans: Iterable[Span | PredictedSpan]) -> list[Span]:
    """Return sorted, disjoint spans that cover the given ones.

    Of spans that overlap the first one gives the label, and the longest of those that start there.
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if merged and span.start < merged[-1].end:
            last = merged.pop()
            merged.append(Span(last.start, max(last.end, span.end), last.label))
        else:
            merged.append(Span(span.start, span.end, span.label))
    return merged


def mask_patterns(text: str) -> str:
    """Hide what can be told by its form, for printing texts of other tasks.

    These are e-mail and IP addresses, links, IBANs, long numbers, street addresses and codes of
    places. Names have no form and stay.
    """
    found = [match.span() for match in _PATTERNS.finditer(text)]
    found += [(value.start, value.end) for value in find_values(text, STRUCTURED)]
    found += find_addresses(text)
    pieces, position = [], 0
    for span in merge_spans(Span(start, end, HIDDEN) for start, end in found):
        if any(c.isalnum() for c in text[span.start : span.end]):  # `::` is an IP address, too
            pieces += [text[position : span.start], HIDDEN]
            position = span.end
    return "".join([*pieces, text[position:]])
