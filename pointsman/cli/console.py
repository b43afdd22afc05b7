"""What the commands share: a console, a table, a line on stderr."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

OUT = Console(highlight=False)
ERR = Console(stderr=True, highlight=False)


_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}


def shown(text: str) -> str:
    """Return a text as a terminal may have it: control characters spelled out, markup as it is.

    A text that is classified may hold escape sequences that would move the cursor or more.
    """
    return escape(text.translate(_CONTROLS))


def show(line: str) -> None:
    """Print a line of a result to stdout; it is cut nowhere, so that a path can be copied."""
    OUT.print(shown(line), soft_wrap=True)


def say(line: str) -> None:
    """Print a line of news to stderr, so that stdout stays for results."""
    ERR.print(shown(line), soft_wrap=True)


def report_error(message: str) -> None:
    """Print an error to stderr."""
    ERR.print(f"[bold red]error:[/] {shown(message)}", soft_wrap=True)


def show_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to stdout."""
    if title:
        OUT.print(shown(title), style="italic", soft_wrap=True)  # a table folds its own title
    table = Table()
    for name in header:
        table.add_column(shown(name), overflow="fold")
    for row in rows:
        table.add_row(*(shown(_cell(cell)) for cell in row))
    OUT.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
