"""Perturbations: texts as people type them and as attackers hide them, each of a stated strength.

Every perturbation is a pure function of text, spans and seed. Spans are fences: no edit reaches
across an end of one, so that a moved span holds the perturbed text of the original span.
"""

from __future__ import annotations

import base64
import codecs
import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, groupby

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError
from pointsman.core.types import Example, Span
from pointsman.data.benign import EVALUATED, WORDS, Prose

LONGEST = 100_000  # code points: beyond it a text is left out; base64 of it still fits a predictor
TYPO_SHARE, HOMOGLYPH_SHARE, ZERO_WIDTH_SHARE, LEET_SHARE = 0.1, 0.3, 0.5, 0.5
PADDED, DOCUMENT_BEFORE, DOCUMENT_AFTER = 4, 12, 8  # sentences
APOSTROPHES = "'\u2019"
ZERO_WIDTH = "\u200b\u200c\u2060"  # space, non-joiner, word joiner
# As tokenizers of BERT, RoBERTa, ModernBERT and of chat models spell their special tokens.
SPECIAL_TOKENS = (
    "[MASK]",
    "[SEP]",
    "[PAD]",
    "[CLS]",
    "<mask>",
    "</s>",
    "<|endoftext|>",
    "<|im_end|>",
)
LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
# Cyrillic letters that look like the Latin ones in most fonts.
LOOK_ALIKES = dict(
    zip(
        "aceiopsxyjABCEHIJKMOPSTX",
        "\u0430\u0441\u0435\u0456\u043e\u0440\u0455\u0445\u0443\u0458"
        "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405\u0422\u0425",
        strict=True,
    )
)
KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_WORD = re.compile(r"\S+")

Bounds = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A text rewritten code point by code point.

    Attributes:
        pieces: What stands in the place of each code point; may be empty or several.
        before: What is put before the text.
        after: What is put after it.
    """

    pieces: Sequence[str]
    before: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        """The new text."""
        return "".join((self.before, *self.pieces, self.after))

    def move(self, spans: Iterable[Span]) -> tuple[Span, ...]:
        """Return where spans of the old text stand in the new one, in code points."""
        ends = list(accumulate(map(len, self.pieces), initial=len(self.before)))
        return tuple(Span(ends[s.start], ends[s.end], s.label) for s in spans)


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One way to write a text differently.

    Attributes:
        name: What it is called in recipes and reports.
        strength: How much of a text it changes.
        about: Whom it stands for.
        keeps_spans: Whether spans still hold what their label says, so that token tasks have it.
        rewrite: From text, spans, a source of draws and prose to put around to the new text.
    """

    name: str
    strength: str
    about: str
    keeps_spans: bool
    rewrite: Callable[[str, Sequence[Span], random.Random, Prose], Rewrite]


def perturb(text: str, name: str, seed: int) -> str:
    """Return a text under a perturbation; never an empty one.

    Raises:
        ConfigError: If there is no perturbation of that name.
    """
    return _rewrite(text, (), name, seed, EVALUATED).text


def perturb_example(example: Example, name: str, seed: int, prose: Prose = EVALUATED) -> Example:
    """Return a row under a perturbation, with its spans moved along.

    Args:
        example: The row.
        name: The perturbation.
        seed: Of its draws.
        prose: What `padding` and `document` put around.

    Raises:
        ConfigError: If there is no perturbation of that name, or it does not keep spans and the
            row has some.
    """
    if example.spans:
        refuse_lost_spans((name,))
    new = _rewrite(example.text, example.spans, name, seed, prose)
    return replace(example, text=new.text, spans=new.move(example.spans))


def _rewrite(text: str, spans: Sequence[Span], name: str, seed: int, prose: Prose) -> Rewrite:
    draw = random.Random(f"{seed}:{name}:{text}")
    return find(name).rewrite(text, spans, draw, prose)


def find(name: str) -> Perturbation:
    """Return the perturbation of a name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in PERTURBATIONS:
        raise ConfigError(f"unknown perturbation {name!r}", fix=suggest(name, PERTURBATIONS))
    return PERTURBATIONS[name]


def names_for(level: str) -> tuple[str, ...]:
    """Return the perturbations that apply to tasks of a level (`sequence` or `token`)."""
    return tuple(p.name for p in PERTURBATIONS.values() if p.keeps_spans or level == "sequence")


def refuse_lost_spans(names: Iterable[str]) -> None:
    """Refuse perturbations after which no span means anything.

    Raises:
        ConfigError: With the first of them and those that keep spans.
    """
    for name in names:
        if not find(name).keeps_spans:
            kept = ", ".join(names_for("token"))
            raise ConfigError("a perturbation that keeps spans", got=repr(name), fix=f"use {kept}")


def _words(text: str, spans: Sequence[Span]) -> list[Bounds]:
    """Return the bounds of words: what stands between blanks, cut at the ends of spans."""
    cuts = {end for span in spans for end in (span.start, span.end)}
    found: list[Bounds] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        inner = sorted(cut for cut in cuts if start < cut < end) if cuts else []
        found += zip((start, *inner), (*inner, end), strict=True)
    return found


def _inside(spans: Sequence[Span]) -> set[int]:
    """Return the places of all code points that stand in a span."""
    return {i for span in spans for i in range(span.start, span.end)}


def _share(size: int, share: float, most: int) -> int:
    """Return how many of `size` things are changed: at least one, at most `most`."""
    return min(most, max(1, round(size * share)))


def _near_keys() -> dict[str, str]:
    """Return the letters beside each letter of a QWERTY keyboard."""
    near: dict[str, str] = {}
    for number, row in enumerate(KEY_ROWS):
        below = KEY_ROWS[number + 1] if number + 1 < len(KEY_ROWS) else ""
        for place, key in enumerate(row):
            close = row[max(0, place - 1) : place] + row[place + 1 : place + 2]
            close += below[max(0, place - 1) : place + 1]
            near[key] = near.get(key, "") + close
            for other in below[max(0, place - 1) : place + 1]:
                near[other] = near.get(other, "") + key
    return near


NEAR_KEYS = _near_keys()


def _typos(text: str, spans: Sequence[Span], draw: random.Random, _prose: Prose) -> Rewrite:
    words = _words(text, spans)
    letters = [[i for i in range(*word) if text[i].isalpha()] for word in words]
    editable = [places for places in letters if len(places) > 1]
    pieces = list(text)
    for places in draw.sample(editable, _share(len(words), TYPO_SHARE, len(editable))):
        _mistype(pieces, text, places, draw)
    return Rewrite(pieces)


def _mistype(pieces: list[str], text: str, letters: Sequence[int], draw: random.Random) -> None:
    """Make one edit in a word: swap, delete, insert, or a neighbouring key."""
    near = [i for i in letters if text[i].lower() in NEAR_KEYS]
    pairs = [
        a for a, b in zip(letters, letters[1:], strict=False) if b == a + 1 and text[a] != text[b]
    ]
    places = {"delete": letters, "insert": letters, "neighbour": near, "swap": pairs}
    kind = draw.choice([name for name, where in places.items() if where])
    i = draw.choice(places[kind])
    if kind == "delete":
        pieces[i] = ""
    elif kind == "swap":
        pieces[i], pieces[i + 1] = text[i + 1], text[i]
    elif kind == "insert":
        pieces[i] += _near_key(text[i], draw)
    else:
        pieces[i] = _near_key(text[i], draw)


def _near_key(letter: str, draw: random.Random) -> str:
    """Return a key beside a letter's; of scripts that the keyboard has not, the letter again."""
    key = draw.choice(NEAR_KEYS.get(letter.lower(), letter))
    return key.upper() if letter.isupper() else key


def _lower(text: str, _spans: Sequence[Span], _draw: random.Random, _prose: Prose) -> Rewrite:
    return Rewrite([c.lower() for c in text])  # one letter may become two code points


def _upper(text: str, _spans: Sequence[Span], _draw: random.Random, _prose: Prose) -> Rewrite:
    return Rewrite([c.upper() for c in text])


def _mixed(text: str, _spans: Sequence[Span], draw: random.Random, _prose: Prose) -> Rewrite:
    return Rewrite([draw.choice((c.lower(), c.upper())) for c in text])


def _no_punctuation(
    text: str, spans: Sequence[Span], _draw: random.Random, _prose: Prose
) -> Rewrite:
    kept = _inside(spans)
    marks = [unicodedata.category(c).startswith("P") and i not in kept for i, c in enumerate(text)]
    pieces = list(text)
    for is_mark, places in groupby(range(len(text)), key=marks.__getitem__):
        if is_mark:
            run = list(places)
            pieces[run[0] : run[-1] + 1] = [_gap(text, run[0], run[-1] + 1), *[""] * (len(run) - 1)]
    return Rewrite(pieces if "".join(pieces).strip() else list(text))


def _gap(text: str, start: int, end: int) -> str:
    """Return what is left of a run of punctuation: a blank where it alone parted two words."""
    if start == 0 or end == len(text) or text[start:end] in APOSTROPHES:
        return ""
    return "" if text[start - 1].isspace() or text[end].isspace() else " "


def _padding(text: str, _spans: Sequence[Span], draw: random.Random, prose: Prose) -> Rewrite:
    drawn = draw.sample(prose.small_talk, 2 * PADDED)
    before, after = " ".join(drawn[:PADDED]), " ".join(drawn[PADDED:])
    return Rewrite(list(text), f"{before}\n\n", f"\n\n{after}")


def _document(text: str, _spans: Sequence[Span], draw: random.Random, prose: Prose) -> Rewrite:
    places = sorted(draw.sample(range(len(prose.report)), DOCUMENT_BEFORE + DOCUMENT_AFTER))
    lines = [prose.report[place] for place in places]
    before, after = " ".join(lines[:DOCUMENT_BEFORE]), " ".join(lines[DOCUMENT_BEFORE:])
    return Rewrite(list(text), f"{before}\n\n", f"\n\n{after}")


def _replaced(
    text: str,
    _spans: Sequence[Span],
    draw: random.Random,
    _prose: Prose,
    *,
    table: dict[str, str],
    share: float,
) -> Rewrite:
    places = [i for i, c in enumerate(text) if c in table]
    pieces = list(text)
    for i in draw.sample(places, _share(len(places), share, len(places))):
        pieces[i] = table[text[i]]
    return Rewrite(pieces)


def _zero_width(text: str, spans: Sequence[Span], draw: random.Random, _prose: Prose) -> Rewrite:
    words = _words(text, spans)
    inside = [
        [i for i in range(a, b - 1) if text[i].isalnum() and text[i + 1].isalnum()]
        for a, b in words
    ]
    open_words = [places for places in inside if places]
    pieces = list(text)
    for places in draw.sample(open_words, _share(len(words), ZERO_WIDTH_SHARE, len(open_words))):
        pieces[draw.choice(places)] += draw.choice(ZERO_WIDTH)
    return Rewrite(pieces)


def _special_tokens(
    text: str, spans: Sequence[Span], draw: random.Random, _prose: Prose
) -> Rewrite:
    token = draw.choice(SPECIAL_TOKENS)
    inside = _inside(spans)
    pieces = list(text)
    for word in _WORD.finditer(text):
        blank = word.end()
        if blank < len(text) and blank not in inside:
            pieces[blank] += f"{token} "
    return Rewrite(pieces, after=f" {token}")


def _base64(text: str, _spans: Sequence[Span], _draw: random.Random, _prose: Prose) -> Rewrite:
    return Rewrite((), base64.b64encode(text.encode()).decode("ascii"))


def _rot13(text: str, _spans: Sequence[Span], _draw: random.Random, _prose: Prose) -> Rewrite:
    return Rewrite((), codecs.encode(text, "rot13"))


_LEET_BOTH = LEET | {letter.upper(): digit for letter, digit in LEET.items()}
_ALL = (
    Perturbation(
        "typos",
        "one edit in 10% of the words, at least one: swap, delete, insert or neighbouring key",
        "hurried typing",
        True,
        _typos,
    ),
    Perturbation("lowercase", "every letter", "chat habits", True, _lower),
    Perturbation("uppercase", "every letter", "shouting", True, _upper),
    Perturbation("mixed_case", "each letter by the toss of a coin", "evasion", True, _mixed),
    Perturbation(
        "no_punctuation",
        "all punctuation outside spans; a blank where it alone parted two words",
        "dictation and chat",
        True,
        _no_punctuation,
    ),
    Perturbation(
        "padding",
        f"{PADDED * WORDS} benign words before and {PADDED * WORDS} after",
        "a request amid small talk",
        True,
        _padding,
    ),
    Perturbation(
        "document",
        f"a benign report around it: {DOCUMENT_BEFORE * WORDS} words before, "
        f"{DOCUMENT_AFTER * WORDS} after",
        "a text inside a retrieved document",
        True,
        _document,
    ),
    Perturbation(
        "leetspeak",
        "half of the letters a, e, i, o, s, t as digits",
        "evasion",
        False,
        partial(_replaced, table=_LEET_BOTH, share=LEET_SHARE),
    ),
    Perturbation(
        "homoglyphs",
        "30% of the Latin letters that have a Cyrillic look-alike",
        "evasion and copied text",
        True,
        partial(_replaced, table=LOOK_ALIKES, share=HOMOGLYPH_SHARE),
    ),
    Perturbation(
        "zero_width",
        "one zero-width character inside half of the words",
        "evasion and copied text",
        True,
        _zero_width,
    ),
    Perturbation("base64", "the whole text", "an encoded request", False, _base64),
    Perturbation("rot13", "every letter a to z", "an encoded request", False, _rot13),
    Perturbation(
        "special_tokens",
        "a tokenizer's special token, spelled out after every word outside spans",
        "evasion",
        True,
        _special_tokens,
    ),
)
PERTURBATIONS = {perturbation.name: perturbation for perturbation in _ALL}
