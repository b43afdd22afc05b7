"""What `pointsman verify --contract` prints: a table of clauses, or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pointsman.cli.console import OUT, say, show_table

if TYPE_CHECKING:
    from pointsman.export.clauses import Report

BROKEN = 9  # as of an export that is not what it has to be


def contract_cli(directory: Path, contract: str, *, as_json: bool) -> None:
    """Check a directory against a contract, print what was found, and end with 9 if it is broken.

    Args:
        directory: A model directory, or a directory of several.
        contract: Its name.
        as_json: Print JSON instead of tables.
    """
    from pointsman.export.contract import verify_contract

    report = verify_contract(directory, contract)
    if as_json:
        OUT.print_json(json.dumps(report.to_dict()))
    else:
        for part in (*report.parts, report):
            _show(part)
    if report.holds:
        say(f"{directory}: meets the static contract; the router itself was not run")
        return
    say(f"{directory}: breaks the static contract: {', '.join(report.broken)}")
    raise typer.Exit(BROKEN)


def _show(report: Report) -> None:
    rows = [
        (verdict.id, verdict.sentence, _WORDS[verdict.status], verdict.found)
        for verdict in report.verdicts
    ]
    show_table(f"{report.name}: {report.contract}", ("clause", "what holds", "", "found"), rows)
    for note in report.notes:
        say(f"{report.name}: {note}")


_WORDS = {"pass": "pass", "fail": "FAIL", "not applicable": "-"}
