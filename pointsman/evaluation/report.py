"""`report.md`: what the figures say, in an order a person would read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.bundle.meta import BundleMeta
from pointsman.evaluation.account import Account, Note, Section, shown
from pointsman.evaluation.sections import sections
from pointsman.evaluation.wording import headline, in_words, lead, title

__all__ = ["headline", "table", "title", "write_markdown", "write_report"]


def write_report(
    meta: BundleMeta,
    figures: Mapping[str, Any],
    mistakes: Sequence[Mapping[str, Any]],
    data: str,
) -> str:
    """Return the report as Markdown; see `write_markdown`.

    Args:
        meta: The bundle that was evaluated.
        figures: Its figures (see `pointsman.evaluation.score`), with `slices` where there are any.
        mistakes: Rows of `pointsman.evaluation.mistakes`, masked already.
        data: What it was evaluated on, in words.
    """
    return write_markdown(Account(meta, figures, data, mistakes))


def write_markdown(account: Account) -> str:
    """Return an evaluation's report as Markdown: the same sections as the page has."""
    leading = lead(account.meta, account.figures)
    value = "not measurable on this data" if leading.value is None else f"{leading.value:.4f}"
    parts = [
        f"# {account.meta.task.title}: {leading.name} {value}\n\n"
        f"{account.figures['rows']:,} rows of {_plain(shown(account.data))}.\n",
        f"{in_words(leading)} {_emphasis(leading.verdict)}\n",
        *map(_section, sections(account)),
    ]
    return "\n".join(parts)


def _section(section: Section) -> str:
    parts = [f"## {section.title}\n"]
    if section.notes:
        parts.append("\n\n".join(map(_emphasis, section.notes)) + "\n")
    for part in section.tables:
        caption = f"{_plain(shown(part.caption))}:\n\n" if part.caption else ""
        parts.append(caption + table(part.header, part.rows))
    return "\n".join(parts)


def _emphasis(note: Note) -> str:
    text = _plain(shown(note.text))
    return f"**{text}**" if note.tone in ("bad", "warn") else text


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(_plain(shown(cell)) for cell in cells) + " |"


def _plain(text: str) -> str:
    """Return a text that ends no cell and begins no tag."""
    return " ".join(text.replace("|", "\\|").replace("<", "\\<").split())
