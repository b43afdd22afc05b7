"""What no model can read: the one check of a text, at the data's door and at the predictor's."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_CHARS = 1_000_000
SURROGATE = re.compile("[\ud800-\udfff]")


class Fault(NamedTuple):
    """Why a text is refused, in the parts of an error; it never quotes the text."""

    needed: str
    got: str
    fix: str | None = None


def find_fault(text: object, *, max_chars: int = MAX_CHARS) -> Fault | None:
    """Return what is wrong with a text, or None.

    Args:
        text: What should be a text.
        max_chars: The longest that is accepted, in code points.
    """
    if not isinstance(text, str):
        return Fault("to be a string", "nothing" if text is None else type(text).__name__)
    if not text.strip():
        return Fault("to hold more than blanks", f"{len(text)} blank characters")
    if len(text) > max_chars:
        return Fault(
            f"of at most {max_chars:,} characters",
            f"{len(text):,} characters",
            "cut it, or raise `max_chars`",
        )
    if "\0" in text:
        return Fault("without NUL", f"NUL at character {text.index(chr(0))}")
    lone = SURROGATE.search(text)
    if lone:
        return Fault("in valid Unicode", f"a lone surrogate at character {lone.start()}")
    return None
