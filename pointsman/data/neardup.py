"""Near-duplicates: MinHash finds candidates, the true Jaccard similarity decides.

Texts are compared as sets of three-word shingles. Short texts have too few of those to tell a
changed word from another text, so they are also compared as sets of five-character shingles.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence

THRESHOLD = 0.7
_WORDS, _CHARACTERS = 3, 5
_SHORT = 12  # words
_PERMUTATIONS, _BANDS = 128, 32  # four rows a band: a pair at 0.7 is missed once in 5,000
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
    return {" ".join(words[i : i + _WORDS]) for i in range(max(1, len(words) - _WORDS + 1))}


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

    Args:
        texts: The texts, as they are.
        threshold: Least Jaccard similarity.
        skip: Pairs that need no verdict, such as those known to be of one group already.

    Yields:
        Indices (i, j) with i < j; a pair of short texts may come twice.
    """
    clean = [normalised(text) for text in texts]
    everything = list(range(len(clean)))
    short = [i for i in everything if len(clean[i].split()) <= _SHORT]
    for places, shingles in ((everything, word_shingles), (short, character_shingles)):
        sets = [shingles(clean[i]) for i in places]
        for left, right in _candidates(sets):
            pair = places[left], places[right]
            if skip is not None and skip(*pair):
                continue
            if similarity(sets[left], sets[right]) >= threshold:
                yield pair


def _candidates(sets: list[set[str]]) -> Iterator[tuple[int, int]]:
    """Yield pairs that share a band of their MinHash signatures."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=THRESHOLD, num_perm=_PERMUTATIONS, num_bands=_BANDS)
    # Sorted, because the order of a set of strings differs from process to process.
    digests = RMinHash.from_token_sets(
        (sorted(shingles) for shingles in sets), num_perm=_PERMUTATIONS, seed=_SEED
    )
    for place, digest in enumerate(digests):
        for other in index.query(digest):
            yield other, place
        index.insert(place, digest)
