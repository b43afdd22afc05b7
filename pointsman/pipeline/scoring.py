"""A file of any size through predictors, chunk by chunk, going on where it was stopped.

Results are JSON lines, in the order of the rows. Beside them lies a small file that says how much
of them is whole; what was being written when the power went is cut off and done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pointsman.core.config import Closed
from pointsman.core.errors import ConfigError, RowError
from pointsman.core.files import read_json, sha256_json, storage_errors, write_json
from pointsman.core.texts import find_fault
from pointsman.core.types import Prediction
from pointsman.data.local_files import Record, guess_format, stream_records
from pointsman.runtime.inputs import text_of
from pointsman.runtime.predictor import Predictor
from pointsman.runtime.shared import SharedPredictor

CHUNK = 512  # rows: enough to sort by length, little to lose and to hold
FORMATS = ("jsonl", "parquet")
FIELDS = ("text", "messages")
EDGE = 1 << 16  # bytes at both ends of the input by which it is known again


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What to score, and how.

    Attributes:
        source: JSONL or Parquet.
        out: Where the results go, as JSON lines.
        columns: Our field (`text`, `messages`) -> their column.
        keep: Columns that go along with the answers.
        turns: Which turns of chat messages count.
        on_bad_row: Stop at a row without a text, or say so in its line and go on.
    """

    source: Path
    out: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    turns: str = "last-user"
    on_bad_row: Literal["stop", "skip"] = "stop"

    @property
    def sidecar(self) -> Path:
        """Where the state of a score that is not finished is kept."""
        return self.out.with_name(f"{self.out.name}.progress.json")


class State(Closed):
    """How far a score has come: rows that are answered, and bytes of results that are whole."""

    job: str
    rows: int = 0
    bytes: int = 0


def score_file(
    request: ScoreRequest,
    predictors: Sequence[Predictor | SharedPredictor],
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Answer every row of a file, and return how many there were.

    Args:
        request: What to score, and how.
        predictors: Loaded bundles; each row gets the answers of all, in this order.
        progress: Called with the number of rows that are done, those of an earlier run first.

    Raises:
        ConfigError: If the file's format or a column is not known, or other results stand at `out`.
        RowError: If a row has no text, with its number.
        StorageError: If the disk is full or read-only.
    """
    _check(request)
    state = _resume(request, _job(request, predictors))
    report = progress or (lambda rows: None)
    report(state.rows)
    records = islice(stream_records(request.source), state.rows, None)
    with storage_errors(request.out), request.out.open("r+b") as out:
        out.seek(state.bytes)
        while chunk := list(islice(records, CHUNK)):
            out.write(_lines(request, predictors, chunk))
            out.flush()
            os.fsync(out.fileno())
            state = State(job=state.job, rows=state.rows + len(chunk), bytes=out.tell())
            write_json(request.sidecar, state.model_dump())
            report(len(chunk))
    request.sidecar.unlink(missing_ok=True)
    return state.rows


def count_rows(path: Path) -> int:
    """Return how many rows a file has at most: blank lines of JSONL are counted and not scored."""
    if guess_format(path) == "parquet":
        from pyarrow import parquet

        return int(parquet.ParquetFile(path).metadata.num_rows)
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) + 1


def _check(request: ScoreRequest) -> None:
    chosen = guess_format(request.source)
    if chosen not in FORMATS:
        raise ConfigError(
            f"{request.source}: JSONL or Parquet, which are read row by row", got=chosen
        )
    if request.out.suffix.lower() not in (".jsonl", ".ndjson"):
        raise ConfigError("results in a .jsonl file", got=f"{request.out.name}")
    for name in request.columns:
        if name not in FIELDS:
            raise ConfigError(f"--column {name}=...", fix=f"known: {', '.join(FIELDS)}")


def _job(request: ScoreRequest, predictors: Sequence[Predictor | SharedPredictor]) -> str:
    """Return a hash of all that the results depend on."""
    with request.source.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        edges = [file.read(EDGE).hex()]
        file.seek(max(0, size - EDGE))
        edges.append(file.read(EDGE).hex())
    asked = [dict(request.columns), request.keep, request.turns, request.on_bad_row]
    bundles = [[p.backend_name, p.meta.model_dump(mode="json")] for p in predictors]
    return sha256_json([size, edges, asked, bundles])


def _resume(request: ScoreRequest, job: str) -> State:
    """Return where to go on, with the results cut to what is whole.

    Raises:
        ConfigError: If what stands there is finished, or of another job.
    """
    out, fix = request.out, "choose another file, or delete it and its .progress.json"
    if not request.sidecar.exists():
        if out.exists() and out.stat().st_size:
            raise ConfigError(f"{out}: a place for results", got="a file with results", fix=fix)
        with storage_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            out.touch()
        state = State(job=job)
        write_json(request.sidecar, state.model_dump())
        return state
    state = State.parse(read_json(request.sidecar), where=str(request.sidecar))
    if state.job != job:
        got = "one of other rows, bundles or options"
        raise ConfigError(f"{out}: the beginning of this score", got=got, fix=fix)
    if not out.exists() or out.stat().st_size < state.bytes:
        raise ConfigError(f"{out}: the results that were written", got="fewer of them", fix=fix)
    os.truncate(out, state.bytes)
    return state


def _lines(
    request: ScoreRequest,
    predictors: Sequence[Predictor | SharedPredictor],
    chunk: Sequence[Record],
) -> bytes:
    """Return the results of a chunk as JSON lines."""
    rows = [_read(request, record) for record in chunk]
    texts = [row for row in rows if isinstance(row, str)]
    answers = iter(_answer(predictors, texts))
    lines = []
    for (where, record), row in zip(chunk, rows, strict=True):
        line: dict[str, Any] = {"row": int(where.rpartition(" ")[2])}
        if isinstance(record, Mapping):
            line |= {name: record.get(name) for name in request.keep}
        if isinstance(row, RowError):
            line["error"] = row.needed
        else:
            line["answers"] = [answer.to_dict() for answer in next(answers)]
        lines.append(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    return "".join(lines).encode()


def _answer(
    predictors: Sequence[Predictor | SharedPredictor], texts: Sequence[str]
) -> Iterator[tuple[Prediction, ...]]:
    """Yield each text's answers, those of each head of each bundle."""
    heads: list[Sequence[Prediction]] = []
    for predictor in predictors:
        if isinstance(predictor, SharedPredictor):
            heads += predictor.predict(texts).values()
        else:
            heads.append(predictor.predict(texts))
    return zip(*heads, strict=True)


def _read(request: ScoreRequest, record: Record) -> str | RowError:
    """Return the text of a row, or what is wrong with it.

    Raises:
        RowError: If something is, and rows that are wrong stop the run.
    """
    where, row = record
    found = row if isinstance(row, RowError) else _text(request, where, row)
    if isinstance(found, RowError) and request.on_bad_row == "stop":
        raise found
    return found


def _text(request: ScoreRequest, where: str, row: Mapping[str, Any]) -> str | RowError:
    names = [request.columns.get(name, name) for name in FIELDS]
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if value is None:
        got = ", ".join(map(str, list(row)[:8])) or "no columns"
        return RowError(where, f"{' or '.join(map(repr, names))}", got=f"columns {got}")
    try:
        text = text_of(value, request.turns)
    except ConfigError as error:
        return RowError(where, error.needed, got=error.got, fix=error.fix)
    fault = find_fault(text)
    return text if fault is None else RowError(where, fault.needed, got=fault.got)
