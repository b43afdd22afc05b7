"""`pointsman run`: a recipe from data to evaluated bundles."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import typer

from pointsman.cli.console import say, show


def run_cli(
    recipe: Path = typer.Argument(help="Recipe file."),
    overrides: list[str] = typer.Option(
        [], "--set", help="Override a key, as in --set backbone=modernbert-base."
    ),
    allow_leakage: bool = typer.Option(
        False, "--allow-leakage", help="Train though validation or test rows have relatives."
    ),
    allow_noncommercial: bool = typer.Option(
        False, "--allow-noncommercial", help="Train on non-commercial or unlicensed sources."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Check the recipe and print the plan."),
) -> None:
    """Prepare, train, evaluate and pack every task of a recipe; run again to resume."""
    from pointsman.cli.results import show_figures
    from pointsman.pipeline.recipe import load_recipe
    from pointsman.pipeline.run import plan, run_recipe

    flags = {"allow_leakage": allow_leakage, "allow_noncommercial": allow_noncommercial}
    said = [f"{name}=true" for name, given in flags.items() if given]
    loaded = load_recipe(recipe, (*overrides, *said))
    if dry_run:
        for line in plan(loaded):
            show(line)
        return
    bundles = run_recipe(loaded, say)
    show_figures(bundles)
    command = "pointsman" if shutil.which("pointsman") else sys.argv[0]
    show(
        f'\nTry it:  {command} classify {loaded.directory()} "Contact Dr. Sarah Johnson at '
        'sarah.j@example.org"',
    )
