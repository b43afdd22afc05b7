"""A street address that a model cut in pieces, put together again."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import replace

from pointsman.core.types import PredictedSpan
from pointsman.runtime.overlap import replace_spans, touching

Spans = Sequence[PredictedSpan]
STREET = "STREET_ADDRESS"
PARTS = frozenset({STREET, "GPE", "ZIP_CODE"})
# The gaps at which annotated data never parts two street addresses. A blank does: it stands between
# a house number and its street; so does a line break with an indent, between a street and a flat.
_GAP = re.compile(r"[-'’]?|, ?|\n|\\n")
_BLANKS = string.whitespace + "\xa0"
# Number, street, town, state and code of the United States, on one line or two. Each run is
# bounded, so that no text takes quadratic time.
_WHOLE = re.compile(
    r"(?<![\w-])(?:\d{1,6} ){1,2}[^\W\d_][^\n,;:|\\]{2,48}(?:, ?|\n|\\n)"
    r"[^\W\d_][^\n,\d;:|\\]{1,40}, [A-Z]{2} \d{5}(?:-\d{4})?(?![\w-])"
)
# What is taken for an address where no model has looked: a number before capitalised words of which
# the last is a kind of street, with a flat; and codes as the United States and Britain write them.
_WORDS = r"(?: [^\W\d_a-z][\w.'’-]{0,24}){1,4}?"
_KINDS = (
    "Alley|Avenue|Ave|Boulevard|Blvd|Circle|Close|Court|Ct|Crescent|Drive|Dr|Gardens|Highway|Hwy"
    "|Lane|Ln|Parkway|Pkwy|Place|Pl|Plaza|Road|Rd|Square|Street|St|Terrace|Trail|Way"
)
_STREET = re.compile(
    rf"(?<![\w.,-])\d{{1,6}}[A-Za-z]?{_WORDS} (?:{_KINDS})(?!\w)"
    r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat)\.? ?\w{1,6})?"
)
_CODE = re.compile(
    r"(?<!\w)(?:[A-Z]{2},? \d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}"
    r"|(?i:zip|postal|post)(?i:[ -]?code)?(?: is)?:? \d{5})(?!\w)"
)


def find_addresses(text: str) -> list[tuple[int, int]]:
    """Return where street addresses and codes of places seem to stand, in no order; they overlap.

    For hiding what no model has read: it finds too much rather than too little.
    """
    patterns = (_WHOLE, _STREET, _CODE)
    return [match.span() for pattern in patterns for match in pattern.finditer(text)]


def merge_addresses(text: str, spans: Spans) -> list[PredictedSpan]:
    """Return spans in which the pieces of one street address are one span.

    Pieces are street addresses that a comma, a bare line break or nothing parts, and whatever of
    "12 Main St, Dover, TX 36591" was found as street, town or code. The comma or full stop after
    an address is taken off it, with the blanks around it.

    Args:
        text: The text.
        spans: Sorted, disjoint spans in it.
    """
    if not any(span.label == STREET for span in spans):
        return list(spans)
    return [_trimmed(span) for span in _join_pieces(text, _take_whole(text, spans))]


def _take_whole(text: str, spans: Spans) -> list[PredictedSpan]:
    given = {}
    for match in _WHOLE.finditer(text):
        start, end = match.span()
        touched = touching(spans, start, end)
        if _are_parts(text, [spans[index] for index in touched], start, end):
            given[start, end, STREET] = touched
    return replace_spans(text, spans, given)


def _are_parts(text: str, touched: Spans, start: int, end: int) -> bool:
    """Say whether spans are parts of the address in `start` to `end`, its first words included."""
    if not any(span.label == STREET for span in touched):
        return False
    # "Type 2 Diabetes. Located at 12 Main St, ..." also reads as a number, a street and a town
    number_alone = not any(c.isalpha() for c in text[start : touched[0].start])
    return number_alone and all(_within(span, start, end) for span in touched)


def _within(span: PredictedSpan, start: int, end: int) -> bool:
    """Say whether a span is a part of an address and holds no word outside `start` to `end`."""
    before = span.text[: max(0, start - span.start)]
    after = span.text[max(0, end - span.start) :]
    return span.label in PARTS and not any(c.isalnum() for c in before + after)


def _join_pieces(text: str, spans: Spans) -> list[PredictedSpan]:
    joined: list[PredictedSpan] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last is None or not _goes_on(text, last, span):
            joined.append(span)
            continue
        score = max(last.score, span.score)
        joined[-1] = replace(last, end=span.end, text=text[last.start : span.end], score=score)
    return joined


def _goes_on(text: str, last: PredictedSpan, span: PredictedSpan) -> bool:
    gap = text[last.end : span.start]
    return last.label == span.label == STREET and _GAP.fullmatch(gap) is not None


def _trimmed(span: PredictedSpan) -> PredictedSpan:
    if span.label != STREET:
        return span
    # "Árpád fejedelem útja 89." keeps its full stop; an address with a town after a comma has none
    marks = ",." if "," in span.text.rstrip(",." + _BLANKS) else ","
    piece = span.text.rstrip(marks + _BLANKS)
    return replace(span, end=span.start + len(piece), text=piece) if piece else span
