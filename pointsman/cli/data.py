"""`pointsman data prepare`: sources to splits."""

from __future__ import annotations

from pathlib import Path

import typer

from pointsman.cli.console import say, show_table
from pointsman.cli.options import Mirror, OnBadRow, parse_pairs, source_requests


def prepare_cli(
    task: str = typer.Argument(help="A task's name, or its YAML file."),
    source: list[str] = typer.Option(
        [], "--source", help="A source's name, or a local file or directory. Repeatable."
    ),
    output: Path = typer.Option(..., "-o", "--output", help="Directory for the prepared data."),
    mirror: Mirror = None,
    limit: int | None = typer.Option(None, min=1, help="At most so many rows of each source."),
    on_bad_row: OnBadRow = "stop",
    columns: list[str] = typer.Option([], "--column", help="FIELD=COLUMN, as in text=prompt."),
    licence: str | None = typer.Option(None, help="SPDX identifier, for local files."),
    labels: list[str] = typer.Option([], "--label", help="Keep this label only. Repeatable."),
    label_map: list[str] = typer.Option([], "--label-map", help="OLD=NEW, to merge labels."),
    positive_kinds: list[str] = typer.Option(
        [], "--positive-kind", help="A kind that counts as positive. Repeatable."
    ),
    overrides: list[str] = typer.Option(
        [], "--set", help="Any preparing option, as in --set seed=7."
    ),
) -> None:
    """Read sources, check every row, split by group, and write a manifest."""
    from pointsman.core.config import apply_overrides
    from pointsman.core.errors import ConfigError
    from pointsman.data.prepare import PrepareOptions, prepare
    from pointsman.tasks.catalogue import load_task

    spec = load_task(task).adapt(
        labels=tuple(labels) or None,
        label_map=parse_pairs(label_map, option="--label-map"),
        positive_kinds=tuple(positive_kinds) or None,
    )
    if not source:
        known = ", ".join(spec.sources) or "none in the catalogue"
        raise ConfigError(f"a --source for {spec.name}", fix=f"{known}; or a local file")
    named = parse_pairs(columns, option="--column")
    requests = source_requests(source, limit=limit, columns=named, licence=licence)
    values = {"on_bad_row": on_bad_row, "mirror": None if mirror is None else str(mirror)}
    options = PrepareOptions.parse(apply_overrides(values, overrides), where="options")
    manifest = prepare(spec, requests, output, options=options, progress=say)
    rows = [(name, counts["rows"]) for name, counts in manifest["counts"].items()]
    show_table(f"Prepared {spec.name} in {output}", ("split", "rows"), rows)
