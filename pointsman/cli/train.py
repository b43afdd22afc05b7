"""`pointsman train`: one model from prepared data."""

from __future__ import annotations

from pathlib import Path

import typer

from pointsman.cli.console import say
from pointsman.cli.options import Mirror


def train_cli(
    task: str = typer.Argument(help="A task's name, or its YAML file."),
    data: Path = typer.Option(..., "--data", help="Directory made by `pointsman data prepare`."),
    output: Path = typer.Option(..., "-o", "--output", help="Run directory."),
    backbone: str = typer.Option("minilm", help="Name, hub id or directory."),
    method: str = typer.Option("full", help="full or lora."),
    preset: str = typer.Option("default", help="default or document."),
    rank: int | None = typer.Option(None, help="Rank of LoRA; the task's own when not given."),
    mirror: Mirror = None,
    revision: str | None = typer.Option(None, help="Commit of the backbone on the hub."),
    at: str | None = typer.Option(
        None, help="Operating point of the thresholds, as in fpr=0.01; the task's own."
    ),
    allow_leakage: bool = typer.Option(
        False, "--allow-leakage", help="Train though validation or test rows have relatives."
    ),
    allow_noncommercial: bool = typer.Option(
        False, "--allow-noncommercial", help="Train on non-commercial or unlicensed sources."
    ),
    overrides: list[str] = typer.Option(
        [], "--set", help="Any training option, as in --set epochs=3 --set lora.alpha=32."
    ),
    perturb: bool = typer.Option(True, help="Also score test rows written differently."),
) -> None:
    """Train a classifier, pack it and evaluate it; run again to resume."""
    from pointsman.cli.results import show_figures
    from pointsman.core.config import apply_overrides
    from pointsman.core.errors import ConfigError
    from pointsman.evaluation.perturbed import EvaluateOptions
    from pointsman.models.weights import find_backbone
    from pointsman.pipeline.gate import Consent
    from pointsman.pipeline.run import train_prepared
    from pointsman.pipeline.terms import Terms
    from pointsman.training.config import TrainOptions

    lora = {} if rank is None else {"rank": rank}
    values = apply_overrides({"method": method, "preset": preset, "lora": lora}, overrides)
    options = TrainOptions.parse(values, where="options")
    if rank is not None and options.method != "lora":
        raise ConfigError("--method lora, for --rank", got=f"--method {options.method}")
    bundle = train_prepared(
        task,
        data,
        output,
        find=lambda: find_backbone(backbone, mirror=mirror, revision=revision),
        options=options,
        terms=Terms(
            Consent(allow_leakage, allow_noncommercial),
            at,
            EvaluateOptions() if perturb else EvaluateOptions(perturbations=()),
        ),
        say=say,
    )
    show_figures([bundle])
