"""`pointsman data audit` and `pointsman data suspects`: what is wrong with labelled rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pointsman.cli.console import say, show_table

if TYPE_CHECKING:
    from pointsman.data.audit import AuditedData
    from pointsman.data.encode import TextEncoder
    from pointsman.data.request import SourceRequest
    from pointsman.tasks.spec import TaskSpec

ROW_FILES = ("*.jsonl", "*.csv", "*.tsv", "*.parquet", "*.json")


def audit_cli(
    places: list[str] = typer.Argument(
        help="Prepared data; or labelled files, directories of them, names of sources."
    ),
    task: str | None = typer.Option(None, help="A task, for what is not prepared data."),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="The file; audit.json in the data's directory if not given."
    ),
    mirror: Path | None = typer.Option(None, help="Local mirror of the hub."),
    columns: list[str] = typer.Option([], "--column", help="FIELD=COLUMN, as in text=prompt."),
    on_bad_row: str = typer.Option("stop", help="stop or skip."),
    backbone: str | None = typer.Option(None, help="Measure lengths with its tokenizer."),
    max_length: int = typer.Option(512, help="Longest input in tokens, with --backbone."),
    allow_leakage: bool = typer.Option(
        False, "--allow-leakage", help="Exit with 0 though splits share rows or groups."
    ),
    reveal: bool = typer.Option(False, help="Show examples unmasked in audit.json."),
) -> None:
    """Look for leakage, shortcuts, contradictions and whatever else makes figures untrue."""
    from pointsman.core.files import write_json
    from pointsman.pipeline.audit import audit_data

    options = {"columns": columns, "mirror": mirror, "on_bad_row": on_bad_row}
    leaking = 0
    for data, place in _read(places, task, output, options):
        encoder = None
        if backbone is not None:
            encoder = _encoder(data.spec, backbone, mirror, max_length)
        found = audit_data(data, encoder=encoder, reveal=reveal)
        _show(data, found)
        write_json(place, found)
        say(f"written to {place}")
        leaking += found["leakage"]["rows"]
    _end(leaking, allowed=allow_leakage)


def _end(leaking: int, *, allowed: bool) -> None:
    from pointsman.core.errors import DataError

    if leaking and not allowed:
        raise DataError(
            "splits that share no copy, near-duplicate, group or template",
            got=f"{leaking} held-out rows with a relative in another split",
            fix="prepare the data with `on_leakage: repair`, or say --allow-leakage",
        )


def _show(data: AuditedData, found: dict[str, Any]) -> None:
    rows = [(f["severity"], f["check"], f["text"]) for f in found["findings"]]
    total = sum(found["rows"].values())
    title = f"{data.spec.title}: {len(rows)} findings in {total:,} rows"
    show_table(title, ("severity", "check", "what"), rows)


def suspects_cli(
    places: list[str] = typer.Argument(help="Prepared data, or labelled files."),
    output: Path = typer.Option(..., "-o", "--output", help="The CSV file."),
    task: str | None = typer.Option(None, help="A task, for what is not prepared data."),
    mirror: Path | None = typer.Option(None, help="Local mirror of the hub."),
    columns: list[str] = typer.Option([], "--column", help="FIELD=COLUMN, as in text=prompt."),
    on_bad_row: str = typer.Option("stop", help="stop or skip."),
    folds: int = typer.Option(5, min=2, help="Parts; each is judged by a model of the others."),
    reveal: bool = typer.Option(False, help="Show texts unmasked."),
) -> None:
    """Rank the rows whose label is doubted most, as a CSV file to review."""
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.audit import mask
    from pointsman.pipeline.suspects import find_suspects, write_suspects

    options = {"columns": columns, "mirror": mirror, "on_bad_row": on_bad_row}
    found = _read(places, task, output, options)
    if len(found) > 1:
        raise ConfigError("one directory of prepared data", got=", ".join(places))
    data = found[0][0]
    suspects = find_suspects(data, folds=folds)
    write_suspects(output, suspects, shown=(lambda e: e.text) if reveal else mask)
    rows = sum(len(part) for name, part in data.rows.items() if not name.startswith("slices"))
    sure = sum(suspect.confident for suspect in suspects)
    say(f"{len(suspects)} of {rows} labels are doubted, {sure} confidently; written to {output}")


def _read(
    places: list[str], task: str | None, output: Path | None, options: dict[str, Any]
) -> list[tuple[AuditedData, Path]]:
    """Return each data set with the file that its account goes to; raw rows are one data set."""
    from pointsman.core.errors import ConfigError
    from pointsman.data.audit import AuditedData
    from pointsman.data.prepared import AUDIT, is_prepared, load_prepared
    from pointsman.pipeline.audit import read_raw
    from pointsman.tasks.catalogue import load_task

    prepared = [Path(place) for place in places if is_prepared(Path(place))]
    raw = [place for place in places if not is_prepared(Path(place))]
    if raw and task is None:
        raise ConfigError("--task, for rows that are not prepared data", got=f"none, for {raw[0]}")
    if output is not None and len(prepared) + bool(raw) > 1:
        raise ConfigError("one data set, for --output", got=", ".join(places))
    found = [
        (AuditedData.from_prepared(load_prepared(place)), output or place / AUDIT)
        for place in prepared
    ]
    if raw:
        requests = _requests(raw, options["columns"])
        how = {key: options[key] for key in ("mirror", "on_bad_row")}
        first = Path(raw[0])
        beside = first if first.is_dir() else first.parent
        found.append((read_raw(load_task(str(task)), requests, **how), output or beside / AUDIT))
    return found


def _requests(places: list[str], columns: list[str]) -> list[SourceRequest]:
    """Return a request for each file or source; a public one comes with its official splits."""
    from pointsman.cli.options import parse_pairs, source_request
    from pointsman.core.types import SPLITS

    named = parse_pairs(columns, option="--column")
    files: list[str] = []
    for place in places:
        folder = Path(place)
        inside = sorted(file for kind in ROW_FILES for file in folder.glob(kind))
        split = any(file.stem in SPLITS for file in inside)
        files += [place] if split or not inside else [str(file) for file in inside]
    requests = [source_request(name, columns=named) for name in files]
    return [
        request.model_copy(update={"official_splits": True}) if request.name else request
        for request in requests
    ]


def _encoder(spec: TaskSpec, backbone: str, mirror: Path | None, max_length: int) -> TextEncoder:
    from pointsman.data.encode import TextEncoder
    from pointsman.models.weights import find_backbone

    path = find_backbone(backbone, mirror=mirror).path
    return TextEncoder.from_backbone(path, max_length=max_length, lines=spec.level == "token")
