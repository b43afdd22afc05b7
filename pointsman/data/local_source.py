"""Local files as a source: their columns under our names, their splits as given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, RowError
from pointsman.core.files import sha256_file
from pointsman.core.types import SPLITS
from pointsman.data import hub_rows
from pointsman.data.hub_rows import Raw
from pointsman.data.local_files import (
    Record,
    check_columns,
    files_of,
    guess_format,
    read_records,
)
from pointsman.data.request import DROP, FIELDS, META, SourceRequest
from pointsman.data.schema import is_split, shown

_PRESIDIO_KEYS = {"full_text", "spans"}
LocalRow = tuple[str, Raw | RowError]


def wanted(row: Mapping[str, Any], where: Mapping[str, tuple[Any, ...]]) -> bool:
    """Say whether a row passes a request's `where`.

    Raises:
        ConfigError: If the row has no such column.
    """
    for column, allowed in where.items():
        if column not in row:
            raise ConfigError(f"where: no column {column!r}", fix=suggest(column, map(str, row)))
        if str(row[column]) not in map(str, allowed):
            return False
    return True


def read_local(request: SourceRequest) -> tuple[Iterator[LocalRow], dict[str, Any]]:
    """Open a request's files.

    Returns:
        Their rows under our field names, and their provenance.

    Raises:
        SourceError: If a file is missing.
        ConfigError: If a column, a format or a split is not known.
    """
    if request.files:
        files: dict[str | None, Path] = {s: Path(name) for s, name in request.files.items()}
        for path in files.values():
            files_of(path)
    else:
        files = files_of(Path(request.path or ""))
    records = {s: read_records(path, request.format) for s, path in files.items()}
    provenance = {
        "name": ", ".join(path.name for path in files.values()),
        "licence": request.licence or "unknown",
        "files": {path.name: sha256_file(path) for path in files.values()},
    }
    return _rows(request, files, records), provenance


def _rows(
    request: SourceRequest, files: dict[str | None, Path], records: dict[str | None, list[Record]]
) -> Iterator[LocalRow]:
    for split, path in files.items():
        is_presidio = _is_presidio(request, path, records[split])
        check_columns(records[split], _named_columns(request), path.name)
        for where, row in records[split]:
            if isinstance(row, RowError):
                yield where, row
            elif wanted(row, request.where):
                raw = _presidio(row) if is_presidio else _renamed(row, request.columns)
                raw["source"] = raw.get("source") or _source_name(path)
                yield from _with_split(raw, where, split, row, request)


def _is_presidio(request: SourceRequest, path: Path, records: list[Record]) -> bool:
    if request.format or guess_format(path) != "json":
        return request.format == "presidio"
    first = records[0][1] if records else None
    return isinstance(first, Mapping) and set(first) >= _PRESIDIO_KEYS


def _source_name(path: Path) -> str:
    """Name a source after its file, or after its directory where the file is named for a split."""
    return path.resolve().parent.name if path.stem in SPLITS else path.stem


def _named_columns(request: SourceRequest) -> dict[str, str]:
    named = dict(request.columns)
    return named | ({"split": request.split_field} if request.split_field else {})


def _presidio(row: Mapping[str, Any]) -> Raw:
    missing = {key: row.get(key) for key in _PRESIDIO_KEYS}
    return dict(next(hub_rows.presidio({**row, **missing})))  # type: ignore[arg-type]


def _renamed(row: Mapping[str, Any], columns: Mapping[str, str]) -> Raw:
    raw = {name: row.get(columns.get(name, name)) for name in FIELDS if name != "split"}
    extra = {f[len(META) :]: row.get(c) for f, c in columns.items() if f.startswith(META)}
    if extra:
        raw["meta"] = {**(raw["meta"] or {}), **extra}
    return raw


def _with_split(
    raw: Raw, where: str, split: str | None, row: Mapping[str, Any], request: SourceRequest
) -> Iterator[LocalRow]:
    """Give the row its official split: the file's, or what its split column says."""
    column = request.split_field or request.columns.get("split", "split")
    theirs = row.get(column) if split is None else split
    ours = request.split_map.get(str(theirs), theirs)
    if ours == DROP:
        return
    if ours in (None, "") or is_split(str(ours)):
        yield where, raw | {"split": ours or None}
        return
    yield (
        where,
        RowError(
            where,
            f"a split: {', '.join(SPLITS)} or slice:NAME",
            got=shown(ours),
            fix="map it with `split_map`; `drop` leaves its rows out",
        ),
    )
