"""Rows of Parquet files, a few at a time: neither the file nor a row group of it is held whole."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pointsman.core.errors import DataError, PointsmanError, RowError

BATCH = 128  # rows that are held at a time: each may hold a million characters
BUFFER = 1 << 16  # bytes that are read at a time


def read_parquet(
    path: Path, columns: Collection[str] | None = None
) -> Iterator[tuple[str, Mapping[str, Any] | RowError]]:
    """Yield the place of every row, and the row or what is wrong with it.

    Args:
        path: The file.
        columns: Those that are needed, which alone are read; all where not given.

    Raises:
        DataError: If it is no Parquet file, or damaged.
        PointsmanError: If pyarrow is not installed.
    """
    with _opened(path) as file:
        names = [name for name in file.schema_arrow.names if columns is None or name in columns]
        number = 0
        # without any column there would be no rows either
        for batch in file.iter_batches(batch_size=BATCH, columns=names or None):
            for values in _rows(batch):
                number += 1
                where = f"{path.name}: row {number}"
                yield where, _placed(values, where)


def count_parquet(path: Path) -> int:
    """Return how many rows a file has.

    Raises:
        DataError: As `read_parquet` does.
    """
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def parquet_columns(path: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        DataError: As `read_parquet` does.
    """
    with _opened(path) as file:
        return list(file.schema_arrow.names)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise PointsmanError(
            f"{error.name}, to read {path.name}",
            got="not installed",
            fix="pip install 'pointsman[parquet]', or write the rows as JSONL",
        ) from None

    try:
        # to buffer ahead is for remote files: it holds every byte that was read until the end
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER) as file:
            yield file
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: a Parquet file", got=type(error).__name__) from None


def _rows(batch: Any) -> list[Mapping[str, Any] | str]:
    """Return the rows of a batch; of one that Python cannot hold, the column that is why."""
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):  # a text that is not UTF-8, a date that is out of range
        return [_row(batch.slice(index, 1)) for index in range(batch.num_rows)]


def _row(batch: Any) -> Mapping[str, Any] | str:
    row = {}
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = values.to_pylist()[0]
        except (ValueError, OverflowError) as error:
            return f"{type(error).__name__} in column {name!r}"
    return row


def _placed(values: Mapping[str, Any] | str, where: str) -> Mapping[str, Any] | RowError:
    if isinstance(values, str):
        return RowError(where, "values that can be read", got=values)
    return values
