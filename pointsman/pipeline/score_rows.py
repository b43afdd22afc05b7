"""Rows of a score: what is judged of each, and the JSON line that its answers become."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.core.errors import ConfigError, RowError
from pointsman.core.texts import find_fault
from pointsman.core.types import Prediction
from pointsman.data.local_files import Record
from pointsman.pipeline.score_request import ScoreRequest
from pointsman.runtime.inputs import text_of


@dataclass(frozen=True, slots=True)
class Row:
    """What is held of a row until its chunk is answered.

    Attributes:
        head: Its number and the columns that are kept, as a JSON object.
        found: The text to judge, or what is wrong with the row.
    """

    head: str
    found: str | RowError

    @property
    def size(self) -> int:
        """How many characters it holds."""
        return len(self.head) + (len(self.found) if isinstance(self.found, str) else 0)


def read_row(request: ScoreRequest, record: Record) -> Row:
    """Return what a row of the file is to be answered with.

    Raises:
        RowError: If something is wrong with it, and rows that are wrong stop the run.
    """
    where, row = record
    number: dict[str, Any] = {"row": int(where.rpartition(" ")[2])}
    kept: dict[str, Any] = {}
    if isinstance(row, RowError):
        found: str | RowError = row
    else:
        kept = {name: row.get(name) for name in request.keep}
        found = _text(request, where, row)
    try:
        head = _to_json(number | kept)
    except RecursionError:
        head = _to_json(number)
        found = RowError(where, "columns to keep as JSON", got="values nested too deeply")
    if isinstance(found, RowError) and request.on_bad_row == "stop":
        raise found
    return Row(head, found)


def to_lines(rows: Sequence[Row], answers: Iterator[tuple[Prediction, ...]]) -> bytes:
    """Return the lines of rows.

    Args:
        rows: The rows.
        answers: Those of every row that has a text, in their order.
    """
    return b"".join(_line(row, answers) for row in rows)


def _line(row: Row, answers: Iterator[tuple[Prediction, ...]]) -> bytes:
    if isinstance(row.found, RowError):
        rest = _to_json({"error": _parts(row.found)})
    else:
        rest = _to_json({"answers": [answer.to_dict() for answer in next(answers)]})
    line = f"{row.head[:-1]}, {rest[1:]}\n"
    # lone surrogates have no UTF-8, and stand in JSON's strings alone: "\ud800" is their escape
    return line.encode("utf-8", "backslashreplace")


def _parts(error: RowError) -> dict[str, str]:
    """Return an error's parts as far as they are known; the line names the row already."""
    needed = error.needed.removeprefix(f"{error.where}: ")
    parts = {"needed": needed, "got": error.got, "fix": error.fix}
    return {name: part for name, part in parts.items() if part is not None}


def _to_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:  # JSON has no number for them
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    """Return a value with None in place of each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(request: ScoreRequest, where: str, row: Mapping[str, Any]) -> str | RowError:
    names = request.inputs
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if value is None:
        needed = f"something in {' or '.join(map(repr, names))}"
        empty = ", ".join(f"null in {name!r}" for name in names if name in row)
        columns = ", ".join(map(str, list(row)[:8])) or "none"
        fix = "name the columns to judge, as in --column text=prompt"
        return RowError(where, needed, got=empty or f"columns: {columns}", fix=fix)
    try:
        text = text_of(value, request.turns)
    except ConfigError as error:
        return RowError(where, error.needed, got=error.got, fix=error.fix)
    fault = find_fault(text)
    if fault is None:
        return text
    advice = "cut it, or leave the row out" if fault.fix else None  # theirs is an option of others
    return RowError(where, f"a text {fault.needed}", got=fault.got, fix=advice)
