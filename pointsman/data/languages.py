"""Which languages the texts are in, by py3langid, on a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pointsman.core.types import Example
from pointsman.data.sampling import draw

SAMPLE = 5000
_SHORTEST = 20  # letters: a shorter text is named after chance
_SEED = 0


def count_languages(examples: Sequence[Example], *, sample: int = SAMPLE) -> dict[str, Any]:
    """Name the language of a sample of the texts.

    Args:
        examples: The rows.
        sample: Most texts that are looked at; the draw depends on the texts and not their order.

    Returns:
        `rows` looked at, `too_short` to tell, and `languages`: ISO 639-1 code -> rows, most first.
    """
    from py3langid.langid import classify

    texts = [example.text for example in examples]
    if len(texts) > sample:
        texts = sorted(texts, key=lambda text: draw(text, _SEED))[:sample]
    told = [text for text in texts if sum(map(str.isalpha, text)) >= _SHORTEST]
    counts = Counter(str(classify(text)[0]) for text in told)
    return {
        "rows": len(texts),
        "too_short": len(texts) - len(told),
        "languages": dict(counts.most_common()),
    }
