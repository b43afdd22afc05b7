"""`pointsman export`: the fast forms of a bundle, each proven against torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pointsman.cli.console import say, show_table
from pointsman.cli.options import parse_names

if TYPE_CHECKING:
    from pointsman.pipeline.export import Outcome


def export_cli(
    bundles: list[Path] = typer.Argument(
        help="Bundle or run directory; for the router several, or a directory of runs."
    ),
    to: str = typer.Option(
        "onnx,openvino", "--to", help="Targets, with commas: onnx, openvino, router, router-onnx."
    ),
    output: Path | None = typer.Option(
        None,
        "-o",
        "--output",
        help="Directory for router and router-onnx; `router` beside the bundle, or in the "
        "directory that holds all of several, when not given.",
    ),
    precision: str = typer.Option(
        "",
        help="fp32, bf16 or int8, with commas: each target takes those that it has; bf16 of "
        "openvino and fp32 of the others if not given.",
    ),
    data: list[Path] = typer.Option(
        [], "--data", help="Prepared data to prove it on; that of the run when not given."
    ),
    force: bool = typer.Option(False, "--force", help="Keep what is not blessed, stamped so."),
) -> None:
    """Export a bundle, and keep what decides as torch fp32 does.

    A form is blessed if headline metrics on the validation split fall by 0.5 point at most and 99%
    of the decisions are the same. What is not blessed is left out, and the exit code says so.

    For the router, write a model directory a task that meets its static contract, and a piece of
    its configuration with the calibrated thresholds: of weights (router) or of ONNX graphs
    (router-onnx).
    """
    from pointsman.bundle.layout import find_bundles
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.export import export_bundle, refuse_unblessed
    from pointsman.pipeline.forms import OUTSIDE, choose_forms, directory_beside

    forms = choose_forms(parse_names(to), parse_names(precision), say)
    inside = [(target, found) for target, found in forms if target not in OUTSIDE]
    paths = find_bundles(bundles)
    if inside and len(paths) > 1:
        raise ConfigError("one bundle for onnx and openvino", got=f"{len(paths)}")
    for target, _ in forms:
        if target in OUTSIDE:
            OUTSIDE[target](bundles, output or directory_beside(paths), say=say)
    if not inside:
        return
    outcomes = export_bundle(paths[0], inside, data=data, force=force, say=say)
    _show(outcomes)
    refuse_unblessed(outcomes)


def _show(outcomes: Sequence[Outcome]) -> None:
    for head in outcomes[0].proofs:
        rows = []
        for outcome in outcomes:
            proof = outcome.proofs[head]
            verdict = "blessed" if outcome.blessed else "forced" if outcome.kept else "not kept"
            pair = (proof.before, proof.after)
            without = "no validation data" if math.isfinite(proof.logit_error) else "no numbers"
            known = [f"{value:.4f}" for value in pair if value is not None]
            headline = " > ".join(known) or without
            error = f"{proof.logit_error:.1e}"
            rows.append((outcome.name, verdict, headline, f"{proof.agreement:.2%}", error))
        header = ("export", "verdict", "headline", "agreement", "logit error")
        proof = outcomes[0].proofs[head]
        title = f"{head}: {proof.rows:,} rows ({proof.data}), torch > export"
        show_table(title, header, rows)
