"""`pointsman data prepare`: sources to splits."""

from __future__ import annotations

from pathlib import Path

import typer

from pointsman.cli.console import say, show_table


def prepare_cli(
    task: str = typer.Argument(help="A task's name, or its YAML file."),
    source: list[str] = typer.Option(
        [], "--source", help="A source's name, or a local file or directory. Repeatable."
    ),
    output: Path = typer.Option(..., "-o", "--output", help="Directory for the prepared data."),
    mirror: Path | None = typer.Option(None, help="Local mirror of the hub."),
    limit: int | None = typer.Option(None, min=1, help="At most so many rows of each source."),
    on_bad_row: str = typer.Option("stop", help="stop or skip."),
    columns: list[str] = typer.Option([], "--column", help="FIELD=COLUMN, as in text=prompt."),
    overrides: list[str] = typer.Option(
        [], "--set", help="Any preparing option, as in --set seed=7."
    ),
) -> None:
    """Read sources, check every row, split by group, and write a manifest."""
    from pointsman.pipeline.run import prepare_sources

    manifest = prepare_sources(
        task,
        source,
        output,
        mirror=mirror,
        limit=limit,
        on_bad_row=on_bad_row,
        columns=columns,
        overrides=overrides,
        say=say,
    )
    rows = [(name, counts["rows"]) for name, counts in manifest["counts"].items()]
    show_table(f"Prepared {task} in {output}", ("split", "rows"), rows)
