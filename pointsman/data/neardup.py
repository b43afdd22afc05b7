"""Near-duplicates: MinHash finds candidates, the true Jaccard similarity decides.

Texts are compared as sets of three-word shingles. Short texts have too few of those to tell a
changed word from another text, so they are also compared as sets of five-character shingles.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Shingles = Callable[[str], set[str]]

THRESHOLD = 0.7
_WORDS, _CHARACTERS = 3, 5
_SHORT = 12  # words
_PERMUTATIONS, _BANDS = 128, 32  # four rows a band: a pair at 0.7 is missed once in 5,000
_CHUNK = 4096  # texts whose shingles are in memory at once
_SEED = 1  # of the hash functions: it changes which candidates are looked at, never the verdict


def normalised(text: str) -> str:
    """Return the form in which two texts count as the same: NFC, case folded, blanks squeezed."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def similarity(left: set[str], right: set[str]) -> float:
    """Return the Jaccard similarity of two sets of shingles."""
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared) if shared else 0.0


def word_shingles(text: str) -> set[str]:
    """Return the three-word shingles of a normalised text; of a shorter one, the text itself."""
    words = text.split()
    if len(words) < _WORDS:
        return {" ".join(words)}
    return {f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)}


def character_shingles(text: str) -> set[str]:
    """Return the five-character shingles of a normalised text."""
    return {text[i : i + _CHARACTERS] for i in range(max(1, len(text) - _CHARACTERS + 1))}


def near_duplicate_pairs(
    texts: Sequence[str],
    *,
    threshold: float = THRESHOLD,
    skip: Callable[[int, int], bool] | None = None,
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of texts that are near-duplicates.

    What is kept for every text is 32 numbers, not its shingles: those are made again for the pairs
    that MinHash proposes. A million texts of 40 words take some 600 MiB beside the texts.

    Args:
        texts: The texts, as they are.
        threshold: Least Jaccard similarity.
        skip: Pairs that need no verdict, such as those known to be of one group already.

    Yields:
        Indices (i, j) with i < j; a pair of short texts may come twice.
    """
    short = [i for i, text in enumerate(texts) if len(text.split()) <= _SHORT]
    for places, shingles in ((range(len(texts)), word_shingles), (short, character_shingles)):
        for left, right in _candidates([texts[i] for i in places], shingles):
            pair = places[left], places[right]
            if skip is not None and skip(*pair):
                continue
            sets = (shingles(normalised(texts[i])) for i in pair)
            if similarity(*sets) >= threshold:
                yield pair


def _candidates(texts: Sequence[str], shingles: Shingles) -> Iterator[tuple[int, int]]:
    """Yield each pair of texts that share a band of their MinHash signatures, once."""
    import numpy as np

    bands = _bands(texts, shingles)
    for number, band in enumerate(bands):
        order = np.argsort(band, kind="stable")
        ends = np.flatnonzero(np.diff(band[order])) + 1
        starts = np.concatenate(([0], ends))
        lengths = np.diff(np.concatenate((starts, [len(order)])))
        for start, length in zip(starts[lengths > 1], lengths[lengths > 1], strict=True):
            yield from _new_pairs(order[start : start + length], bands[:number])


def _new_pairs(rows: np.ndarray, earlier: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the pairs among rows that no earlier band has held together.

    Args:
        rows: Ascending row numbers, (n,).
        earlier: Hashes of the bands that were looked at before, (bands, texts).
    """
    for place, left in enumerate(rows[:-1]):
        others = rows[place + 1 :]
        known = (earlier[:, others] == earlier[:, left, None]).any(axis=0)
        for right in others[~known]:
            yield int(left), int(right)


def _bands(texts: Sequence[str], shingles: Shingles) -> np.ndarray:
    """Return a hash of every band of every text's MinHash signature, (bands, texts), uint64."""
    import numpy as np
    from rensa import RMinHash

    bands = np.empty((_BANDS, len(texts)), dtype=np.uint64)
    rng = np.random.default_rng(_SEED)
    odd = rng.integers(1, 2**63, size=_PERMUTATIONS // _BANDS, dtype=np.uint64) * 2 + 1
    for start in range(0, len(texts), _CHUNK):
        sets = [shingles(normalised(text)) for text in texts[start : start + _CHUNK]]
        digests = RMinHash.digests_from_token_sets(sets, num_perm=_PERMUTATIONS, seed=_SEED)
        rows = np.asarray(digests, dtype=np.uint64).reshape(len(sets), _BANDS, -1)
        # Wrapping products with odd numbers: two bands that differ hardly ever meet, and a
        # meeting costs one more comparison and changes no verdict.
        bands[:, start : start + len(sets)] = ((rows + 1) * odd).sum(axis=2, dtype=np.uint64).T
    return bands
