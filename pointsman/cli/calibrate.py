"""`pointsman calibrate`: temperature and thresholds anew, on a user's own traffic."""

from __future__ import annotations

from pathlib import Path

import typer

from pointsman.cli.console import say
from pointsman.cli.options import OnBadRow, parse_pairs


def calibrate_cli(
    bundle: Path = typer.Argument(help="Bundle or run directory."),
    data: Path = typer.Option(
        ...,
        "--data",
        help="Labelled rows that training did not see, as `evaluate` takes them; of prepared "
        "data the validation split.",
    ),
    at: str | None = typer.Option(
        None,
        help="What to reach: fpr=0.01, recall=0.95, precision=0.9, cost=20:1 or risk=0.01@0.95 of "
        "a detector; accuracy=0.95 or coverage=0.9 of one label among several; f1 or precision=0.9 "
        "of spans. The task's own when not given.",
    ),
    head: str | None = typer.Option(
        None, help="Which head of a shared bundle; that of prepared data when not given."
    ),
    on_bad_row: OnBadRow = "stop",
    columns: list[str] = typer.Option([], "--column", help="FIELD=COLUMN, as in text=prompt."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the figures, change nothing."),
) -> None:
    """Choose temperature and thresholds of a bundle on labelled rows, without training."""
    from pointsman.bundle.exports import outdated_exports
    from pointsman.bundle.layout import find_bundles
    from pointsman.cli.results import show_operating_point
    from pointsman.data.prepared import is_prepared
    from pointsman.export.golden import add_golden
    from pointsman.pipeline.calibrate import calibrate, rule_for, write_calibrated
    from pointsman.pipeline.labelled import head_of, read_labelled
    from pointsman.pipeline.progress import progress_bar
    from pointsman.runtime.predictor import load_head

    predictor = load_head(bundle, head or head_of(bundle, data))
    rule = rule_for(predictor.task, at)
    named = parse_pairs(columns, option="--column")
    examples = read_labelled(
        predictor.task,
        data,
        columns=named,
        on_bad_row=on_bad_row,
        say=say,
        split="validation",  # what is chosen on test rows cannot be checked on them
    ).rows
    name = f"the validation split of {data.name}" if is_prepared(data) else data.name
    with progress_bar("calibrating", len(examples)) as progress:
        meta = calibrate(predictor, examples, rule, data=name, progress=progress)
    show_operating_point(predictor.meta, meta)
    if dry_run:
        say("nothing was changed")
        return
    path = find_bundles([bundle])[0]
    write_calibrated(path, meta)
    whole = add_golden(path)
    say(f"written to {path}; figures of its test split are those of the old thresholds")
    names = ", ".join(entry.name for entry in outdated_exports(path, whole))
    if names:
        say(
            f"{names}: proven with the old ones, and passed over until `pointsman export {path}` "
            "proves them again"
        )
