"""`pointsman tasks`: what can be decided."""

from __future__ import annotations

import json

import typer

from pointsman.cli.console import show_table


def tasks_cli(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the tasks: their labels, sources and headline metric."""
    from pointsman.tasks.catalogue import TASKS

    if as_json:
        typer.echo(json.dumps([spec.model_dump(mode="json") for spec in TASKS.values()], indent=2))
        return
    rows = [
        (
            f"{spec.name}\n{spec.level}\n{spec.headline}",
            "\n".join(spec.sources),
            ", ".join(spec.labels),
        )
        for spec in TASKS.values()
    ]
    show_table("Tasks", ("task\nlevel\nheadline", "sources", "labels"), rows)
