"""What is scored and how, checked before anything is computed: a wrong option is no result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError
from pointsman.data.local_files import column_names, guess_format
from pointsman.runtime.inputs import TURNS

FORMATS = ("jsonl", "parquet")
FIELDS = ("text", "messages")
OURS = ("row", "answers", "error")  # what a line of results names itself


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What to score, and how.

    Attributes:
        source: JSONL or Parquet.
        out: Where the results go, as JSON lines.
        columns: Our field (`text`, `messages`) -> their column. Where any is named, no other is
            looked at.
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
    def inputs(self) -> tuple[str, ...]:
        """The columns that may hold what is judged; the first that holds something counts."""
        named = tuple(self.columns[name] for name in FIELDS if name in self.columns)
        return named or FIELDS

    @property
    def needed(self) -> frozenset[str]:
        """All columns that are looked at."""
        return frozenset((*self.inputs, *self.keep))


def check_request(request: ScoreRequest) -> None:
    """Refuse what cannot be scored.

    Raises:
        ConfigError: If the file's format, a field, a column or the turns are not known, or a column
            to keep has a name of ours.
        SourceError: If the file cannot be read.
        DataError: If it is not of its format.
    """
    chosen = guess_format(request.source)
    if chosen not in FORMATS:
        raise ConfigError(
            f"{request.source}: JSONL or Parquet, which are read row by row", got=chosen
        )
    if request.out.suffix.lower() not in (".jsonl", ".ndjson"):
        raise ConfigError("results in a .jsonl file", got=f"{request.out.name}")
    if request.turns not in TURNS:
        raise ConfigError(f"unknown turns {request.turns!r}", fix=suggest(request.turns, TURNS))
    for name in request.columns:
        if name not in FIELDS:
            raise ConfigError(f"--column {name}=...", fix=f"known: {', '.join(FIELDS)}")
    for name in request.keep:
        if name in OURS:
            raise ConfigError(
                f"--keep {name}: a name that is not one of ours",
                got=f"one of {', '.join(OURS)}, which each line has",
                fix="rename the column",
            )
    _check_columns(request)


def _check_columns(request: ScoreRequest) -> None:
    present = column_names(request.source)
    if not present:
        return  # no row is readable: each says so itself
    asked = {column: f"--column {name}={column}" for name, column in request.columns.items()}
    asked |= {name: f"--keep {name}" for name in request.keep}
    for column, option in asked.items():
        if column not in present:
            raise ConfigError(
                f"{request.source}: no column {column!r} ({option})", fix=suggest(column, present)
            )
    if not any(column in present for column in request.inputs):
        raise ConfigError(
            f"{request.source}: a column {' or '.join(map(repr, request.inputs))}",
            got=f"columns {', '.join(present)}",
            fix="name the one to judge, as in --column text=prompt",
        )
