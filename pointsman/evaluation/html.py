"""`report.html` and `index.html`: one file each, with everything in it and nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pointsman import __version__
from pointsman.evaluation.account import Account, Table, number, shown, visible
from pointsman.evaluation.background import cost_rows
from pointsman.evaluation.plots import plots
from pointsman.evaluation.sections import sections
from pointsman.evaluation.wording import Headline, in_words, lead

_MASK = re.compile(r"(\[[A-Z][A-Z_]*_\d+\]|\[\.\.\.\])")
_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+%?$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One task of a run.

    Attributes:
        account: Its evaluation, without mistakes and history.
        link: Its page, relative to the index; None where there is none.
    """

    account: Account
    link: str | None


def write_page(account: Account) -> str:
    """Return an evaluation's page, masked as its mistakes are."""
    return _render(
        "report.html.j2",
        account=account,
        leading=lead(account.meta, account.figures),
        sections=sections(account),
        plots=plots(account),
        pieces=[_pieces(row) for row in account.mistakes],
    )


def write_index(name: str, about: str, entries: Sequence[Entry]) -> str:
    """Return the page over the tasks of a run.

    Args:
        name: Of the run.
        about: What it is for.
        entries: Its tasks, in order.
    """
    rows = [(entry, lead(entry.account.meta, entry.account.figures)) for entry in entries]
    return _render("index.html.j2", name=name, about=about, rows=rows)


def _render(template: str, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pointsman.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "visible": visible, "number": number, "marks": marks}
    environment.globals |= {
        "in_words": in_words,
        "figures_in": figures_in,
        "heat": heat,
        "cost": cost_rows,
        "span_of": span_of,
        "version": __version__,
    }
    return environment.get_template(template).render(**values)


def marks(text: str) -> list[tuple[str, bool]]:
    """Cut a masked text into pieces, each with whether it stands for hidden data."""
    return [(part, bool(_MASK.fullmatch(part))) for part in _MASK.split(text) if part]


def _pieces(row: Any) -> list[tuple[str, str | None, bool]]:
    """Return the pieces of a mistake's text: text, label, whether it is the span in question."""
    if "pieces" in row:
        return [(text, label, asked) for text, label, asked in row["pieces"]]
    return [
        (text, "" if hidden else None, False) for text, hidden in marks(str(row.get("text", "")))
    ]


def figures_in(table: Table) -> list[bool]:
    """Return which columns hold figures alone, to stand at the right."""
    columns = zip(*table.rows, strict=True) if table.rows else ([""] for _ in table.header)
    return [_are_figures([cell for cell in column if cell not in ("", None)]) for column in columns]


def _are_figures(cells: Sequence[Any]) -> bool:
    return bool(cells) and all(
        isinstance(cell, int | float) or _NUMBER.match(str(cell)) for cell in cells
    )


def heat(table: Table) -> list[list[float]]:
    """Return the share of its row that each cell of a confusion matrix has, between 0 and 1."""
    rows = [[float(cell) for cell in row[1:] if isinstance(cell, int)] for row in table.rows]
    return [[cell / (sum(row) or 1) for cell in row] for row in rows]


def span_of(leading: Headline) -> str:
    """Return the interval of a headline in few characters."""
    low, high = number(leading.interval.get("low")), number(leading.interval.get("high"))
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
