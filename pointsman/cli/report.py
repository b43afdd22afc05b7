"""`pointsman report`: the pages of an evaluation or a run, written again without any model."""

from __future__ import annotations

from pathlib import Path

import typer

from pointsman.cli.console import say


def report_cli(
    directory: Path = typer.Argument(
        help="An evaluation, a run, a directory of runs, or a bundle.", exists=True, file_okay=False
    ),
) -> None:
    """Write report.md, report.html and a run's index.html again from what is on disk."""
    from pointsman.pipeline.pages import rewrite

    for page in rewrite(directory, say):
        typer.echo(page)
