"""`pointsman verify`: whether every runtime of a bundle answers as it did when it was packed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pointsman.cli.options import parse_names

if TYPE_CHECKING:
    from pointsman.export.parity import Outcome


def verify_cli(
    bundle: Path = typer.Argument(help="Bundle or run directory; with --contract any directory."),
    contract: str | None = typer.Option(
        None, help="router or router-onnx: check the files, clause by clause, and run nothing."
    ),
    require: str = typer.Option(
        "",
        help="Runtimes that have to be asked, with commas, as in onnxruntime,openvino-bf16: fail "
        "where one is not installed or has no export.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Replay a bundle's golden answers through torch and each of its exports.

    What is not installed, or has no export in the bundle, is left out and named. With --contract,
    check the files of a directory instead, ours or another's.
    """
    from pointsman.bundle.layout import find_bundles
    from pointsman.cli.console import report_error
    from pointsman.cli.contract import contract_cli
    from pointsman.core.errors import ConfigError, PointsmanError

    required = parse_names(require)
    if contract is not None:
        if required:
            raise ConfigError("--require or --contract, which runs nothing", got="both")
        contract_cli(bundle, contract, as_json=as_json)
        return
    failed = []
    for path in find_bundles([bundle]):
        try:
            _verify(path, required, as_json=as_json)
        except PointsmanError as error:  # one bundle's must not hide what is wrong with the next
            failed.append(error)
    if failed:
        *others, last = failed
        for other in others:
            report_error(str(other))
        raise last


def _verify(path: Path, required: list[str], *, as_json: bool) -> None:
    """Verify one bundle, show what was found, and raise for what failed."""
    import json

    from pointsman.cli.console import OUT, say, show_table
    from pointsman.export.verify import verify_bundle

    found = verify_bundle(path, require=required)
    if as_json:
        OUT.print_json(json.dumps({"bundle": str(path), **found.to_dict()}))
    else:
        title = f"{path}: {found.texts} texts, {found.windows} windows"
        show_table(title, HEADER, [_cells(outcome) for outcome in found.outcomes])
        for outcome in found.outcomes:
            for fault in outcome.faults:
                say(f"{outcome.backend}, {outcome.asked}: {fault}")
        if found.missing:
            say(f"not asked, because not installed: {', '.join(found.missing)}")
        if found.unexported:
            names = ", ".join(found.unexported)
            say(f"not asked, because the bundle has no export for it: {names}")
    found.check()


HEADER = ("runtime", "head", "logits differ by", "in batches by", "allowed", "equal", "")


def _cells(outcome: Outcome) -> list[str]:
    allowed = outcome.tolerance
    worst = f"{max(outcome.worst.values()):.1e}" if outcome.worst else "-"
    return [
        outcome.backend,
        outcome.asked,
        worst,
        f"{outcome.batching:.1e}" if outcome.worst else "-",
        f"{allowed.logits:g} for {allowed.share:.0%}",
        f"{outcome.decisions:.2%}",
        "passed" if outcome.passed else "FAILED",
    ]
