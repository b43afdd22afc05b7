"""`pointsman score`: a file of any size through one bundle or several."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from pointsman.cli.console import say
from pointsman.cli.options import parse_pairs
from pointsman.cli.predictors import HEAD_HELP, load_predictors


def score_cli(
    file: Path = typer.Argument(help="JSONL or Parquet, with a text or chat messages in each row."),
    bundles: list[Path] = typer.Option(
        ..., "--bundle", help="Bundle, run or directory of runs; may be given more than once."
    ),
    out: Path = typer.Option(..., "--out", help="Where the answers go: one JSON line a row."),
    columns: list[str] = typer.Option(
        [],
        "--column",
        help="FIELD=COLUMN, as in text=prompt or messages=conversation; then no other counts.",
    ),
    keep: list[str] = typer.Option([], "--keep", help="A column to put beside the answers."),
    turns: str = typer.Option("last-user", help="Of chat messages: last-user, user or all."),
    on_bad_row: Literal["stop", "skip"] = typer.Option(
        "stop", help="Stop at a row without a text, or say so in its line and go on."
    ),
    heads: list[str] = typer.Option([], "--head", help=HEAD_HELP),
    backend: str = typer.Option("auto", help="What computes, as in onnxruntime or openvino-bf16."),
    threads: int | None = typer.Option(None, min=1, help="How many threads compute."),
) -> None:
    """Score a file row by row, in constant memory.

    Stop it at any moment: the same command goes on where it stopped.
    """
    from pointsman.core.errors import SourceError
    from pointsman.data.local_files import count_rows
    from pointsman.pipeline.progress import progress_bar
    from pointsman.pipeline.score_request import ScoreRequest, check_request
    from pointsman.pipeline.scoring import score_file

    if not file.is_file():
        raise SourceError(f"a file at {file}", got="nothing there")
    named = parse_pairs(columns, option="--column")
    request = ScoreRequest(file, out, named, tuple(keep), turns, on_bad_row)
    check_request(request)  # before bundles are loaded, which takes longer
    count = count_rows(file)
    predictors = load_predictors(bundles, heads, backend=backend, threads=threads)
    with progress_bar("scoring", count) as progress:
        scored = score_file(request, predictors, progress=progress)
    bad = f", {scored.bad:,} of them bad: their lines hold an error in place of answers"
    say(f"{scored.rows:,} rows{bad if scored.bad else ''}; answers in {out}")
