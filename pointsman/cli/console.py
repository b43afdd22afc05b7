"""What the commands share: a console, a table, a line on stderr."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

OUT = Console(highlight=False)
ERR = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """Print a line of news to stderr, so that stdout stays for results."""
    ERR.print(escape(line), soft_wrap=True)


def report_error(message: str) -> None:
    """Print an error to stderr."""
    ERR.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


def show_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to stdout."""
    table = Table(title=escape(title), title_justify="left")
    for name in header:
        table.add_column(escape(name), overflow="fold")
    for row in rows:
        table.add_row(*(escape(_shown(cell)) for cell in row))
    OUT.print(table)


def _shown(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
