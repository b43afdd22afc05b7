"""What a report is made of, and the parts that every form of it is built from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pointsman.bundle.meta import BundleMeta

Cell = str | int | float | None
Tone = Literal["plain", "good", "bad", "warn"]

# Characters that a reader cannot see, or that turn the text around them: controls, marks of
# direction, blanks of no width, lone surrogates. Joiners stay: Persian and emoji need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class Account:
    """One evaluation of one bundle.

    Attributes:
        meta: The bundle as it was when it was evaluated.
        figures: Its figures; every key but `rows` may be absent.
        data: What it was evaluated on, in words.
        mistakes: Rows of `pointsman.evaluation.mistakes`.
        history: The training log, one entry a logged step.
        revealed: Whether the mistakes, and the examples of findings, show personal data.
        findings: What the audit of the data found, with examples: `findings` of `audit`.
    """

    meta: BundleMeta
    figures: Mapping[str, Any]
    data: str
    mistakes: Sequence[Mapping[str, Any]] = ()
    history: Sequence[Mapping[str, Any]] = ()
    revealed: bool = False
    findings: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header. A first column of words names its row."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence, and how it is meant."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report: its key says which plots belong to it."""

    key: str
    title: str
    tables: tuple[Table, ...] = ()
    notes: tuple[Note, ...] = ()


def shown(value: Cell) -> str:
    """Return a cell in words: four decimals, thousands set apart, nothing unseen."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if math.isfinite(value) else "not measurable"
    return visible(value)


def visible(text: str) -> str:
    """Return a text in which every character can be seen, so that none can play tricks."""
    return _UNSEEN.sub(lambda match: f"\u27e8U+{ord(match[0]):04X}\u27e9", text)


def number(value: Any) -> float | None:
    """Return a plain figure, or the value of one with its ends; None where there is none."""
    if isinstance(value, Mapping):
        value = value.get("value")
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def ends(value: Any) -> str:
    """Return the interval of a figure in words, or nothing."""
    if not isinstance(value, Mapping):
        return ""
    low, high = number(value.get("low")), number(value.get("high"))
    if low is None or high is None:
        return ""
    marks = ["exact"] if value.get("exact") else []
    marks += [_count(value["groups"])] if value.get("few") else []
    return f"{low:.4f} to {high:.4f}" + (f" ({'; '.join(marks)})" if marks else "")


def _count(groups: int) -> str:
    return {0: "no group", 1: "only 1 group"}.get(groups, f"only {groups} groups")
