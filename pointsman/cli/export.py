"""`pointsman export`: the fast forms of a bundle, each proven against torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pointsman.cli.console import say, show_table

if TYPE_CHECKING:
    from pointsman.pipeline.export import Outcome


def export_cli(
    bundle: Path = typer.Argument(help="Bundle or run directory."),
    to: str = typer.Option("onnx,openvino", "--to", help="Targets, with commas: onnx, openvino."),
    precision: str = typer.Option(
        "", help="fp32, bf16 or int8, with commas; fp32 of onnx and bf16 of openvino if not given."
    ),
    data: list[Path] = typer.Option(
        [], "--data", help="Prepared data to prove it on; that of the run when not given."
    ),
    force: bool = typer.Option(False, "--force", help="Keep what is not blessed, stamped so."),
) -> None:
    """Export a bundle, and keep what decides as torch fp32 does.

    A form is blessed if headline metrics on the validation split fall by 0.5 point at most and 99%
    of the decisions are the same. What is not blessed is left out, and the exit code says so.
    """
    from pointsman.bundle.layout import find_bundles
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.export import choose_forms, export_bundle, refuse_unblessed

    paths = find_bundles([bundle])
    if len(paths) > 1:
        raise ConfigError(f"{bundle}: one bundle", got=f"{len(paths)}")
    forms = choose_forms(_split(to), _split(precision))
    outcomes = export_bundle(paths[0], forms, data=data, force=force, say=say)
    _show(outcomes)
    refuse_unblessed(outcomes)


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _show(outcomes: Sequence[Outcome]) -> None:
    rows: list[tuple[object, ...]] = []
    for outcome in outcomes:
        verdict = "blessed" if outcome.blessed else "forced" if outcome.kept else "not kept"
        for head, proof in outcome.proofs.items():
            before = "" if proof.before is None else proof.before
            after = "" if proof.after is None else proof.after
            error = f"{proof.logit_error:.1e}"
            row = (outcome.name, head, proof.rows, before, after, proof.agreement, error, verdict)
            rows.append(row)
    header = ("export", "head", "rows", "torch", "export's", "agreement", "logit error", "verdict")
    show_table("exports", header, rows)
