"""`pointsman export`: the fast forms of a bundle, each proven against torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pointsman.cli.console import say, show_table

if TYPE_CHECKING:
    from pointsman.pipeline.export import Outcome

ROUTER = "router"  # writes directories for another program, where the other targets go into bundles


def export_cli(
    bundles: list[Path] = typer.Argument(
        help="Bundle or run directory; for the router several, or a directory of runs."
    ),
    to: str = typer.Option(
        "onnx,openvino", "--to", help="Targets, with commas: onnx, openvino, router."
    ),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="Directory for the router's models; needed for router."
    ),
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

    For the router, write a model directory a task that meets its static contract, and a piece of
    its configuration with the calibrated thresholds.
    """
    from pointsman.bundle.layout import find_bundles
    from pointsman.cli.options import parse_names
    from pointsman.core.config import suggest
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.export import TARGETS, choose_forms, export_bundle, refuse_unblessed

    targets, precisions = parse_names(to), parse_names(precision)
    for target in targets:
        if target not in (*TARGETS, ROUTER):
            fix = suggest(target, (*TARGETS, ROUTER))
            raise ConfigError(f"unknown target {target!r}", fix=fix)
    if targets == [ROUTER] and precisions not in ([], ["fp32"]):
        raise ConfigError("fp32 for the router, which loads nothing else", got=precision)
    others = [target for target in targets if target != ROUTER]
    forms = choose_forms(others, precisions if others else ())
    paths = find_bundles(bundles)
    if forms and len(paths) > 1:
        raise ConfigError("one bundle for onnx and openvino", got=f"{len(paths)}")
    if ROUTER in targets:
        _to_router(bundles, output)
    if not forms:
        return
    outcomes = export_bundle(paths[0], forms, data=data, force=force, say=say)
    _show(outcomes)
    refuse_unblessed(outcomes)


def _to_router(bundles: list[Path], output: Path | None) -> None:
    from pointsman.core.errors import ConfigError
    from pointsman.export.router import export_router

    if output is None:
        raise ConfigError("-o DIR, for the router's models", got="none")
    export_router(bundles, output, say=say)


def _show(outcomes: Sequence[Outcome]) -> None:
    for head in outcomes[0].proofs:
        rows = []
        for outcome in outcomes:
            proof = outcome.proofs[head]
            verdict = "blessed" if outcome.blessed else "forced" if outcome.kept else "not kept"
            pair = (proof.before, proof.after)
            without = "no labels" if math.isfinite(proof.logit_error) else "no numbers"
            headline = " > ".join(without if v is None else f"{v:.4f}" for v in pair)
            error = f"{proof.logit_error:.1e}"
            rows.append((outcome.name, verdict, headline, f"{proof.agreement:.2%}", error))
        header = ("export", "verdict", "headline", "agreement", "logit error")
        title = f"{head}: {outcomes[0].proofs[head].rows:,} rows, torch > export"
        show_table(title, header, rows)
