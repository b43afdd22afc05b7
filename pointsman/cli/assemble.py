"""`pointsman assemble`: bundles of one frozen backbone, put together as one."""

from __future__ import annotations

from pathlib import Path

import typer

from pointsman.cli.console import say


def assemble_cli(
    bundles: list[Path] = typer.Argument(help="Bundles or runs, one a task, in output order."),
    output: Path = typer.Option(..., "-o", "--output", help="Directory of the shared bundle."),
) -> None:
    """Put bundles together whose lower layers are the same, so that those are computed once.

    Each task answers as before. `pointsman run` does this for a recipe of method trunk.
    """
    from pointsman.bundle.layout import find_bundles, read_bundle
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.trunk import assemble

    named = {}
    for path in find_bundles(bundles):
        name = read_bundle(path).task.name
        if name in named:
            raise ConfigError("one bundle a task", got=f"two of {name}")
        named[name] = path
    assemble(named, output, say=say)
    say(f"written to {output}")
