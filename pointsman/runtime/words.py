"""One word, one label: sub-tokens of a word say together what it is.

Without it an unsure model cuts words in two ("Tintin For" a person, "sberg" a street). The entity
types of a word's tokens are averaged, B and I together; whether the word begins a span is its
first token's to say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Span
from pointsman.data.encode import ESCAPES

Array = NDArray[np.float32]
# Scripts from Thai upwards write words without blanks between them, or glue particles to nouns:
# there a run of letters is a sentence or a phrase, and pooling it would join what differs.
FIRST_UNPOOLED = 0x0E00
_ESCAPE = re.compile(ESCAPES)
MOST_INSIDE = 0.02  # share of training spans that may end inside words before pooling is off


def joined(text: str, position: int) -> bool:
    """Say whether the characters before and at `position` stand in one word."""
    if not 0 < position < len(text) or _ESCAPE.fullmatch(text, position - 2, position):
        return False
    return _in_word(text[position - 1]) and _in_word(text[position])


def _in_word(character: str) -> bool:
    if ord(character) >= FIRST_UNPOOLED:
        return False
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def group_words(offsets: Sequence[tuple[int, int]], text: str) -> list[tuple[int, int]]:
    """Return the first token and the one past the last of every word.

    Args:
        offsets: Trimmed code-point bounds of every token; one of no width belongs to no word.
        text: The text that they count in.
    """
    words: list[tuple[int, int]] = []
    for token, bounds in enumerate(offsets):
        if token and words and _goes_on(offsets[token - 1], bounds, text):
            words[-1] = (words[-1][0], token + 1)
        elif bounds[0] < bounds[1]:
            words.append((token, token + 1))
    return words


def pool_words(probabilities: Array, offsets: Sequence[tuple[int, int]], text: str) -> Array:
    """Return token probabilities in which the tokens of a word agree.

    Args:
        probabilities: Shape `(tokens, 2 * types + 1)`: O, then B and I of every type.
        offsets: Trimmed code-point bounds of every token.
        text: The text that they count in.
    """
    pooled = probabilities.copy()
    for first, end in group_words(offsets, text):
        if end - first > 1:
            pooled[first:end] = _pool(probabilities[first:end])
    return pooled


def _goes_on(left: tuple[int, int], right: tuple[int, int], text: str) -> bool:
    return left[0] < left[1] == right[0] < right[1] and joined(text, right[0])


def _pool(tokens: Array) -> Array:
    """Pool the tokens of one word, shape `(tokens, 2 * types + 1)`."""
    outside = tokens[:, 0].mean()
    types = (tokens[:, 1::2] + tokens[:, 2::2]).mean(axis=0)
    best = int(types.argmax())
    pooled = np.zeros_like(tokens)
    if outside >= types[best]:
        pooled[:, 0] = outside
        return pooled
    pooled[:, 2 + 2 * best] = types[best]
    if tokens[0, 1 + 2 * best] >= tokens[0, 2 + 2 * best]:
        pooled[0, [1 + 2 * best, 2 + 2 * best]] = types[best], 0.0
    return pooled


def spans_fit_words(rows: Iterable[tuple[str, Sequence[Span]]]) -> bool:
    """Say whether the spans of training data end at words' ends, so that pooling does no harm.

    Args:
        rows: Texts with their spans.
    """
    total = inside = 0
    for text, spans in rows:
        total += len(spans)
        inside += sum(joined(text, span.start) or joined(text, span.end) for span in spans)
    return inside <= MOST_INSIDE * max(1, total)
