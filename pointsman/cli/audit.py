"""`pointsman data audit` and `pointsman data suspects`: what is wrong with labelled rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from pointsman.cli.console import say, show_table
from pointsman.cli.options import Mirror, OnBadRow, parse_pairs, source_request

if TYPE_CHECKING:
    from pointsman.data.audit import AuditedData
    from pointsman.data.encode import TextEncoder
    from pointsman.data.request import SourceRequest
    from pointsman.tasks.spec import TaskSpec

ROW_FILES = ("*.jsonl", "*.csv", "*.tsv", "*.parquet", "*.json")


class ReadOptions(NamedTuple):
    """How rows that are not prepared data are read, as the command line says it."""

    columns: list[str]
    label_map: list[str]
    mirror: Path | None
    on_bad_row: OnBadRow


def audit_cli(
    places: list[str] = typer.Argument(
        help="Prepared data; or labelled files, directories of them, names of sources, their "
        "directories in a mirror."
    ),
    task: str | None = typer.Option(
        None, help="A task, for labelled rows; that of a public source when not given."
    ),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="The file; audit.json in the data's directory if not given."
    ),
    mirror: Mirror = None,
    columns: list[str] = typer.Option([], "--column", help="FIELD=COLUMN, as in text=prompt."),
    label_map: list[str] = typer.Option(
        [], "--label-map", help="THEIRS=OURS, for labels, span labels and kinds of files."
    ),
    on_bad_row: OnBadRow = "stop",
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

    options = ReadOptions(columns, label_map, mirror, on_bad_row)
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
    mirror: Mirror = None,
    columns: list[str] = typer.Option([], "--column", help="FIELD=COLUMN, as in text=prompt."),
    label_map: list[str] = typer.Option(
        [], "--label-map", help="THEIRS=OURS, for labels and kinds of files."
    ),
    on_bad_row: OnBadRow = "stop",
    folds: int = typer.Option(5, min=2, help="Parts; each is judged by a model of the others."),
    reveal: bool = typer.Option(False, help="Show texts unmasked."),
) -> None:
    """Rank the rows whose label is doubted most, as a CSV file to review."""
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.audit import mask
    from pointsman.pipeline.suspects import find_suspects, write_suspects

    options = ReadOptions(columns, label_map, mirror, on_bad_row)
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
    places: list[str], task: str | None, output: Path | None, options: ReadOptions
) -> list[tuple[AuditedData, Path]]:
    """Return each data set with the file that its account goes to; raw rows are one data set."""
    from pointsman.core.errors import ConfigError
    from pointsman.data.audit import AuditedData
    from pointsman.data.prepared import AUDIT, is_prepared, load_prepared
    from pointsman.pipeline.audit import read_raw
    from pointsman.tasks.catalogue import load_task

    prepared = [Path(place) for place in places if is_prepared(Path(place))]
    raw = [place for place in places if not is_prepared(Path(place))]
    if output is not None and len(prepared) + bool(raw) > 1:
        raise ConfigError("one data set, for --output", got=", ".join(places))
    found = [
        (AuditedData.from_prepared(load_prepared(place)), output or place / AUDIT)
        for place in prepared
    ]
    if raw:
        requests = _requests(raw, options)
        spec = load_task(task or _task_of(requests))
        data = read_raw(spec, requests, on_bad_row=options.on_bad_row)
        found.append((data, output or _beside(Path(raw[0])) / AUDIT))
    return found


def _beside(place: Path) -> Path:
    """Return where the account of raw rows goes: a mirror is left as it is."""
    from pointsman.data.sources import source_at

    if source_at(place) is not None:
        return Path()
    return place if place.is_dir() else place.parent


def _task_of(requests: list[tuple[SourceRequest, Path | None]]) -> str:
    """Return the one task that public sources are for."""
    from pointsman.core.errors import ConfigError
    from pointsman.data.sources import SOURCES

    known = [SOURCES.get(request.name or "") for request, _ in requests]
    tasks = {task for spec in known if spec is not None for task in spec.tasks}
    if None in known or len(tasks) != 1:
        got = f"none, for {', '.join(request.title for request, _ in requests)}"
        raise ConfigError("--task, for rows that are not prepared data", got=got)
    return tasks.pop()


def _row_files(place: str) -> list[str]:
    """Return the row files of a directory; the place itself where it is read as a whole."""
    from pointsman.core.types import SPLITS
    from pointsman.data.prepared import AUDIT

    inside = sorted(file for kind in ROW_FILES for file in Path(place).glob(kind))
    inside = [file for file in inside if file.name != AUDIT]  # of an audit before this one
    whole = any(file.stem in SPLITS for file in inside)
    return [place] if whole or not inside else [str(file) for file in inside]


def _requests(places: list[str], options: ReadOptions) -> list[tuple[SourceRequest, Path | None]]:
    """Return a request for each file or source, and its mirror.

    A public source comes with its official splits, and so do files that are named after theirs.
    """
    from pointsman.data.local_files import splits_by_name
    from pointsman.data.request import SourceRequest
    from pointsman.data.sources import source_at

    columns = parse_pairs(options.columns, option="--column")
    how = {
        "columns": columns,
        "label_map": parse_pairs(options.label_map, option="--label-map"),
    }
    files: list[str] = []  # and directories of train, validation and test files
    found: list[tuple[SourceRequest, Path | None]] = []
    for place in places:
        home = source_at(Path(place))
        if home is not None:
            public = {"name": home[0].name, "official_splits": True}
            found.append((SourceRequest.parse(public, where=place), home[1]))
        else:
            files += _row_files(place)
    told = splits_by_name([Path(file) for file in files if Path(file).is_file()])
    for file in files:
        if Path(file) in told:
            split = told[Path(file)]
            say(f"{file}: {split}, by its name")
            request = SourceRequest.parse({"files": {split: file}, **how}, where=file)
        else:
            request = source_request(file, columns=columns)
            kept = {"official_splits": True} if request.name else {"label_map": how["label_map"]}
            request = request.model_copy(update=kept)
        found.append((request, options.mirror))
    return found


def _encoder(spec: TaskSpec, backbone: str, mirror: Path | None, max_length: int) -> TextEncoder:
    from pointsman.data.encode import TextEncoder
    from pointsman.models.weights import find_backbone

    path = find_backbone(backbone, mirror=mirror).path
    return TextEncoder.from_backbone(path, max_length=max_length, lines=spec.level == "token")
