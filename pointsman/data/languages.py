"""Which languages texts are in: as the rows say, else by py3langid where it is sure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from pointsman.core.types import Example
from pointsman.data.sampling import draw

SAMPLE = 5000
NOT_TOLD = "not told"
_SHORTEST = 20  # letters: a shorter text is named after chance
_SUREST = 0.9  # probability below which nothing is said; docs/design.md has the figures
_READ = 2000  # code points of a text: more change nothing
_SEED = 0


def language_of(example: Example) -> str:
    """Return the language of a row: its `meta["lang"]`, or what its text tells, or `NOT_TOLD`.

    What is read is the text around the spans: names of people and places are of any language.

    Returns:
        An ISO 639-1 code where the text tells.
    """
    named = example.meta.get("lang")
    if named:
        return str(named)
    text = _around_spans(example)[:_READ]
    if sum(map(str.isalpha, text)) < _SHORTEST:
        return NOT_TOLD
    name, probability = _identifier().classify(text)
    return str(name) if probability >= _SUREST else NOT_TOLD


def _around_spans(example: Example) -> str:
    pieces, position = [], 0
    for span in example.spans:
        pieces.append(example.text[position : span.start])
        position = span.end
    return " ".join([*pieces, example.text[position:]])


@cache
def _identifier() -> Any:
    """Return the model of py3langid that gives probabilities: its shared one gives scores."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def count_languages(examples: Sequence[Example], *, sample: int = SAMPLE) -> dict[str, Any]:
    """Name the language of a sample of the rows.

    Args:
        examples: The rows.
        sample: Most rows that are looked at; the draw depends on the texts and not their order.

    Returns:
        `rows` looked at, `not_told`, and `languages`: code -> rows, most first.
    """
    if len(examples) > sample:
        examples = sorted(examples, key=lambda example: draw(example.text, _SEED))[:sample]
    counts = Counter(map(language_of, examples))
    not_told = counts.pop(NOT_TOLD, 0)
    return {"rows": len(examples), "not_told": not_told, "languages": dict(counts.most_common())}
