"""Text to token ids, spans to token labels: the one encoder, for training and serving.

Offsets are code points of the text as given. A text longer than the model's maximum becomes
several overlapping windows; nothing is cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers

from pointsman.core.errors import BundleError, ConfigError
from pointsman.core.types import Span
from pointsman.tasks.labels import begin_id, inside_id
from pointsman.tasks.spec import NO_ENTITY, TaskSpec

IGNORED = -100  # what torch's cross-entropy leaves out
OUTSIDE = 0
IN_PART = -200  # and below: outside every span of a row in which only some types are labelled
# Line breaks and tabs as JSON and logs write them, two characters long. Read as they stand, the
# letter sticks to the next word: "\nThelma" is the word "nthelma" to a tokenizer.
ESCAPES = r"\\[nrt]"
PILCROW = "¶"
MASKS = ("[MASK]", "<mask>")


@dataclass(frozen=True, slots=True)
class Window:
    """One model input: special tokens around a run of a text's tokens.

    Attributes:
        input_ids: Token ids, special tokens included.
        offsets: Code-point bounds of every content token, blanks at its ends left out.
        prefix: How many special tokens come first.
        first: Index of its first content token in the whole text.
    """

    input_ids: list[int]
    offsets: list[tuple[int, int]]
    prefix: int
    first: int = 0

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def content(self) -> slice:
        """Where the content tokens stand in `input_ids`."""
        return slice(self.prefix, self.prefix + len(self.offsets))


class TextEncoder:
    """Turns texts into windows of token ids.

    Args:
        tokenizer: A fast tokenizer; its own truncation and padding are switched off, because a
            `tokenizer.json` may carry both (MiniLM's cuts at 128). Special tokens that a text
            spells out are read as text, so that nobody can write a separator, padding or a mask.
        max_length: Longest window in tokens, special tokens included.
        overlap: Tokens that neighbouring windows share.

    Raises:
        ConfigError: If a window has no room for more than its overlap.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_length: int = 512, overlap: int = 64) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # as text: "[SEP]" in a prompt ends nothing
        self._tokenizer = tokenizer
        self.max_length = max_length
        self._prefix, self._suffix = _special_ids(tokenizer)
        self._room = max_length - len(self._prefix) - len(self._suffix)
        self._step = self._room - min(overlap, self._room // 4)
        if self._room < 4:
            raise ConfigError("max_length of at least 8 tokens", got=max_length)

    @classmethod
    def from_backbone(
        cls, path: Path, *, max_length: int = 512, lines: bool = False
    ) -> TextEncoder:
        """Read a backbone's tokenizer and teach it to see line breaks.

        The rules become part of the tokenizer that a bundle saves, so that every runtime follows
        them; offsets still count in the text as given.

        Args:
            path: Directory of the backbone.
            max_length: Longest window in tokens.
            lines: Show line breaks to a tokenizer that drops them, as BERT's does: what stands on
                which line is half of what an address is. Escaped ones stand apart always.

        Raises:
            BundleError: If the file is missing or damaged.
        """
        encoder = cls.from_directory(path, max_length=max_length)
        rules = [normalizers.Replace(Regex(ESCAPES), "\\ ")]  # the backslash stays: a break is news
        if lines and encoder._drops_lines() and encoder._tokenizer.token_to_id(PILCROW):
            rules.append(normalizers.Replace("\n", PILCROW))
        own = encoder._tokenizer.normalizer
        encoder._tokenizer.normalizer = normalizers.Sequence([*rules, *([own] if own else [])])
        return encoder

    def special_ids(self) -> list[int]:
        """Return the ids of the tokenizer's special tokens."""
        added = self._tokenizer.get_added_tokens_decoder()
        return sorted(number for number, token in added.items() if token.special)

    def mask_id(self) -> int:
        """Return the id of the token that stands for a hidden one.

        Raises:
            ConfigError: If the tokenizer has none.
        """
        for name in MASKS:
            found = self._tokenizer.token_to_id(name)
            if found is not None:
                return int(found)
        raise ConfigError(
            f"a backbone with a mask token ({' or '.join(MASKS)})",
            got="a tokenizer without one",
            fix="set mask_tokens to 0",
        )

    def _drops_lines(self) -> bool:
        """Say whether the tokenizer makes nothing of a line break between words."""
        offsets = self._tokenizer.encode("a\nb", add_special_tokens=False).offsets
        return not any(start <= 1 < end for start, end in offsets)

    @classmethod
    def from_directory(cls, path: Path, *, max_length: int = 512) -> TextEncoder:
        """Read `tokenizer.json` of a backbone or bundle.

        Raises:
            BundleError: If the file is missing or damaged.
        """
        file = path / "tokenizer.json"
        if not file.is_file():
            raise BundleError(
                f"{file}: a fast tokenizer", got="no such file", fix="save the backbone's again"
            )
        try:
            return cls(Tokenizer.from_file(str(file)), max_length=max_length)
        except ConfigError:
            raise
        except Exception as error:  # tokenizers raises bare Exception for any damage
            raise BundleError(f"{file}: a readable tokenizer", got=error) from None

    def save(self, path: Path) -> None:
        """Write `tokenizer.json` without truncation or padding of its own."""
        self._tokenizer.save(str(path / "tokenizer.json"))

    def encode(self, texts: Sequence[str]) -> list[list[Window]]:
        """Return the windows of each text, in text order; at least one window a text."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [
            self._windows(encoding.ids, encoding.offsets, text)
            for encoding, text in zip(encodings, texts, strict=True)
        ]

    def _windows(self, ids: list[int], offsets: list[tuple[int, int]], text: str) -> list[Window]:
        bounds = [trim(text, start, end) for start, end in offsets]
        starts = range(0, max(1, len(ids) - (self._room - self._step)), self._step)
        if len(ids) <= self._room:
            starts = range(1)
        return [
            Window(
                [*self._prefix, *ids[start : start + self._room], *self._suffix],
                bounds[start : start + self._room],
                len(self._prefix),
                start,
            )
            for start in starts
        ]


def _special_ids(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special tokens that the tokenizer puts before and after a text."""
    probe = tokenizer.encode("a")
    mask = probe.special_tokens_mask
    content = [i for i, special in enumerate(mask) if not special]
    if not content:
        return probe.ids[:1], probe.ids[1:]
    return probe.ids[: content[0]], probe.ids[content[-1] + 1 :]


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return bounds without the blanks at both ends; blank bounds become empty ones.

    Byte-level tokenizers (ModernBERT, RoBERTa) may count the blank before a word as its part.
    """
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


@dataclass(slots=True)
class Alignment:
    """How well spans fitted the tokens of a data set.

    Attributes:
        exact: Spans whose ends lie on token boundaries.
        widened: Spans that grow to the tokens they touch.
        lost: Spans that have no token of their own (a neighbour took it, or there is none).
    """

    exact: int = 0
    widened: int = 0
    lost: int = 0


def label_ids(spec: TaskSpec) -> dict[str, int]:
    """Return the index of every entity type (not of its BIO labels)."""
    return {label: index for index, label in enumerate(spec.labels) if label != NO_ENTITY}


def label_tokens(
    offsets: Sequence[tuple[int, int]],
    spans: Iterable[Span],
    index: dict[str, int],
    *,
    continued: bool = False,
) -> list[int]:
    """Return the BIO label of every content token.

    A token belongs to the span it overlaps, the first one where there are two. Tokens of no
    width (a blank, a byte of a character that was counted already) inside a span go on with it.

    Args:
        offsets: Trimmed bounds of the tokens of one window.
        spans: Sorted, disjoint spans of the whole text.
        index: Index of every entity type.
        continued: Whether tokens of the text come before this window: a span that began among
            them goes on with `I-`.
    """
    labels = [OUTSIDE] * len(offsets)
    token = 0
    for span in spans:
        while token < len(offsets) and offsets[token][1] <= span.start:
            token += 1
        begun = continued and token == 0 and span.start < offsets[0][0] if offsets else False
        while token < len(offsets) and offsets[token][0] < span.end:
            start, end = offsets[token]
            if start == end and not begun:  # a blank cannot begin an entity
                token += 1
                continue
            kind = index[span.label]
            labels[token] = inside_id(kind) if begun else begin_id(kind)
            begun = True
            token += 1
    return labels


def count_alignment(
    offsets: Sequence[tuple[int, int]], spans: Iterable[Span], counts: Alignment
) -> None:
    """Add to `counts` how the spans of one text fit its tokens."""
    starts = {start for start, end in offsets if start < end}
    ends = {end for start, end in offsets if start < end}
    taken = -1
    for span in spans:
        own = [e for s, e in offsets if s < span.end and e > span.start and s >= taken and s < e]
        if not own:
            counts.lost += 1
        elif span.start in starts and span.end in ends:
            counts.exact += 1
        else:
            counts.widened += 1
        taken = max([taken, *own])
