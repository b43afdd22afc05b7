"""Rows of local files: JSONL, CSV, TSV, Parquet, JSON lists and Presidio JSON.

A reader yields records: the place of a row, and the row or what is wrong with it. Whether a bad
row stops the run is decided by the caller, so one broken line need not lose a file.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, DataError, RowError, SourceError
from pointsman.data.parquet_rows import count_parquet, parquet_columns, read_parquet

Record = tuple[str, Mapping[str, Any] | RowError]

_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".json": "json",
}
PEEKED = 100  # rows of JSONL whose columns are looked at: in few files has every row all of them
_SPLIT_FILES = ("train", "validation", "test")
_SPLIT_WORDS = {
    **{split: split for split in _SPLIT_FILES},
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
}


def read_records(path: Path, file_format: str | None = None) -> list[Record]:
    """Read a file's rows.

    Args:
        path: The file.
        file_format: jsonl, csv, tsv, parquet, json or presidio; None goes by the suffix.

    Returns:
        The place of every row (`name: row N`, counted from 1) with the row or its error.

    Raises:
        SourceError: If the file cannot be read.
        DataError: If the file as a whole is not of its format.
        ConfigError: If the format is unknown.
    """
    return list(stream_records(path, file_format))


def stream_records(
    path: Path, file_format: str | None = None, columns: Collection[str] | None = None
) -> Iterator[Record]:
    """Yield a file's rows as they are read; JSONL and Parquet are never held whole.

    Args:
        path: As `read_records` takes it.
        file_format: As `read_records` takes it.
        columns: Those that are needed: of Parquet no other is read.

    Raises:
        SourceError: As `read_records` does, and so all it raises.
    """
    chosen = file_format or guess_format(path)
    with read_errors(path):
        yield from read_parquet(path, columns) if chosen == "parquet" else _READERS[chosen](path)


@contextlib.contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turn a file that the system does not let us read into a `SourceError` naming it."""
    try:
        yield
    except OSError as error:
        fix = "check the path and its permissions"
        raise SourceError(f"to read {path}", got=error.strerror or error, fix=fix) from error


def count_rows(path: Path) -> int:
    """Return how many rows a Parquet file has, or another at most: blank lines count as rows.

    Raises:
        SourceError: If the file cannot be read.
        DataError: If it is to be Parquet and is not.
        ConfigError: If its format is unknown.
    """
    with read_errors(path):
        if guess_format(path) == "parquet":
            return count_parquet(path)
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) + 1


def column_names(path: Path) -> list[str]:
    """Return the columns of a Parquet file, or those of another's first readable rows.

    Raises:
        SourceError: As `count_rows` does, and so all it raises.
    """
    with read_errors(path):
        if guess_format(path) == "parquet":
            return parquet_columns(path)
        present: dict[str, None] = {}
        readable = (row for _, row in stream_records(path) if isinstance(row, Mapping))
        for row in islice(readable, PEEKED):
            present.update(dict.fromkeys(map(str, row)))
        return list(present)


def guess_format(path: Path) -> str:
    """Return the format that a file's suffix stands for.

    Raises:
        ConfigError: If the suffix says nothing.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ConfigError(
            f"a `format` for {path}",
            got=f"the suffix {suffix!r}",
            fix=f"set `format` to one of: {', '.join(_READERS)}",
        )
    return _SUFFIXES[suffix]


def files_of(path: Path) -> dict[str | None, Path]:
    """Return the files of a local source by official split; a single file has none (None).

    Raises:
        SourceError: If nothing is there, or a directory holds no file named after a split.
    """
    if path.is_file():
        return {None: path}
    if not path.exists():
        raise SourceError(f"a file or directory at {path}", got="nothing there")
    found: dict[str | None, Path] = {}
    for split in _SPLIT_FILES:
        files = [f for f in sorted(path.glob(f"{split}.*")) if f.suffix.lower() in _SUFFIXES]
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise SourceError(f"{path}: one file for {split}", got=names, fix="use `files:`")
        if files:
            found[split] = files[0]
    if not found:
        raise SourceError(
            f"{path}: train, validation or test files",
            got=", ".join(sorted(p.name for p in path.iterdir())[:8]) or "an empty directory",
            fix="name the files with `files: {train: ..., test: ...}`",
        )
    return found


def splits_by_name(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the split that each file's name tells, as in `rows_train_v2.csv`.

    One name alone tells nothing (`my_test.csv` is anybody's): two splits have to be there, and
    a name with two of them in it tells none.
    """
    told: dict[Path, str] = {}
    for path in paths:
        words = re.split(r"[^a-z]+", path.stem.lower())
        splits = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
        if len(splits) == 1:
            told[path] = splits.pop()
    return told if len(set(told.values())) > 1 else {}


def check_columns(records: list[Record], columns: Mapping[str, str], where: str) -> None:
    """Refuse a column that no row of a file has.

    Args:
        records: What `read_records` gave.
        columns: Our field -> their column.
        where: The file, for the message.

    Raises:
        ConfigError: Naming the column, and those that are there.
    """
    present: dict[str, None] = {}
    for _, row in records:
        if isinstance(row, Mapping):
            present.update(dict.fromkeys(map(str, row)))
    if not present:
        return  # nothing readable: the caller says so
    for field, column in columns.items():
        if column not in present:
            raise ConfigError(
                f"{where}: no column {column!r} (for `{field}`)", fix=suggest(column, present)
            )


def _read_jsonl(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                where = f"{path.name}: row {number}"
                yield where, _json_row(line.removeprefix(b"\xef\xbb\xbf"), where)


def _json_row(line: bytes, where: str) -> Mapping[str, Any] | RowError:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return RowError(where, "valid UTF-8", got=f"byte {line[error.start]:#04x} at {error.start}")
    except RecursionError:
        return RowError(where, "one JSON object", got="JSON nested too deeply")
    except json.JSONDecodeError as error:
        return RowError(
            where, "one JSON object a line", got=f"{error.msg} at character {error.pos}"
        )
    except ValueError:  # Python reads no integer of more than 4,300 digits
        return RowError(where, "numbers that can be read", got="an integer of too many digits")
    return _mapping(row, where)


def _mapping(row: object, where: str) -> Mapping[str, Any] | RowError:
    if isinstance(row, dict):
        return row
    return RowError(where, "a JSON object", got=type(row).__name__)


def _read_json(path: Path) -> Iterator[Record]:
    try:
        rows = json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: valid UTF-8", got=f"a bad byte at {error.start}") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: a JSON list of objects",
            got=f"{error.msg} at line {error.lineno}",
            fix="if it holds one object a line, set `format: jsonl`",
        ) from None
    except RecursionError:
        raise DataError(f"{path}: a JSON list of objects", got="JSON nested too deeply") from None
    except ValueError:
        got = "an integer of too many digits"
        raise DataError(f"{path}: numbers that can be read", got=got) from None
    if not isinstance(rows, list):
        raise DataError(f"{path}: a JSON list of objects", got=type(rows).__name__)
    for number, row in enumerate(rows, start=1):
        where = f"{path.name}: row {number}"
        yield where, _mapping(row, where)


def _read_csv(path: Path, delimiter: str = ",") -> Iterator[Record]:
    """Read delimited text; every cell is text, and rows are counted without the header."""
    import pyarrow as pa
    from pyarrow import csv

    ragged: list[tuple[int, int, int]] = []

    def note(row: Any) -> str:
        ragged.append((row.number, row.expected_columns, row.actual_columns))
        return "skip"

    # One block for the file: a quoted cell may be longer than any block size one would choose.
    reading = csv.ReadOptions(use_threads=False, block_size=max(1 << 20, path.stat().st_size + 1))
    parsing = csv.ParseOptions(
        delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
    )
    try:
        names = _header(path, delimiter)
        types = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=False
        )
        table = csv.read_csv(
            path, read_options=reading, parse_options=parsing, convert_options=types
        )
    except pa.ArrowInvalid:
        # Arrow's own message quotes the row, so it is not passed on.
        got = "another file" if path.stat().st_size else "an empty file"
        raise DataError(f"{path}: delimited text with a header", got=got) from None
    yield from _csv_rows(path.name, table.to_batches(), {r[0] - 1: r for r in ragged})


def _header(path: Path, delimiter: str) -> list[str]:
    import csv

    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        names = next(csv.reader(file, delimiter=delimiter), [])
    if "\ufffd" in "".join(names):
        raise DataError(f"{path}: a header in valid UTF-8", got="bad bytes")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"{path}: each column once", got=f"twice: {', '.join(twice)}")
    return names


def _csv_rows(
    name: str, batches: list[Any], ragged: dict[int, tuple[int, int, int]]
) -> Iterator[Record]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            while number in ragged:
                yield _ragged(name, number, ragged)
                number += 1
            yield _decoded(row, f"{name}: row {number}")
    for last in sorted(place for place in ragged if place > number):
        yield _ragged(name, last, ragged)


def _ragged(name: str, number: int, ragged: dict[int, tuple[int, int, int]]) -> Record:
    where = f"{name}: row {number}"
    _, expected, actual = ragged[number]
    fix = "quote cells that hold the delimiter"
    return where, RowError(where, f"{expected} cells", got=f"{actual} cells", fix=fix)


def _decoded(row: Mapping[str, bytes | None], where: str) -> Record:
    cells: dict[str, str] = {}
    for column, value in row.items():
        try:
            cells[column] = (value or b"").decode("utf-8")
        except UnicodeDecodeError as error:
            got = f"a bad byte at {error.start} of column {column!r}"
            return where, RowError(where, "valid UTF-8", got=got)
    return where, cells


def _read_tsv(path: Path) -> Iterator[Record]:
    return _read_csv(path, "\t")


_READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "tsv": _read_tsv,
    "parquet": read_parquet,
    "json": _read_json,
    "presidio": _read_json,
}
