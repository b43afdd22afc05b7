"""How far a score has come, of which job it is, and that one process alone writes it."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from pointsman.core.config import Closed
from pointsman.core.errors import ConfigError
from pointsman.core.files import lock_file, read_json, sha256_json, storage_errors, write_json
from pointsman.data.local_files import read_errors
from pointsman.pipeline.score_request import ScoreRequest
from pointsman.runtime.predictor import Predictor
from pointsman.runtime.shared import SharedPredictor

EDGE = 1 << 16  # bytes at both ends of the input by which it is known again
_FIX = "choose another file, or delete it and its .progress.json"


class State(Closed):
    """How far a score has come: rows that are answered, and bytes of results that are whole.

    Attributes:
        job: Hash of all that the results depend on.
        rows: Rows that have a line.
        bad: How many of them have an error in it.
        bytes: Length of those lines.
        writer: The process that writes them.
    """

    job: str
    rows: int = 0
    bad: int = 0
    bytes: int = 0
    writer: str = ""


def sidecar_of(out: Path) -> Path:
    """Return where the state of results that are not finished is kept."""
    return out.with_name(f"{out.name}.progress.json")


def job_of(request: ScoreRequest, predictors: Sequence[Predictor | SharedPredictor]) -> str:
    """Return a hash of all that the results depend on.

    Raises:
        SourceError: If the input cannot be read.
    """
    with read_errors(request.source), request.source.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        edges = [file.read(EDGE).hex()]
        file.seek(max(0, size - EDGE))
        edges.append(file.read(EDGE).hex())
    asked = [dict(request.columns), request.keep, request.turns, request.on_bad_row]
    bundles = [[p.backend_name, p.digest, p.meta.model_dump(mode="json")] for p in predictors]
    return sha256_json([size, edges, asked, bundles])


@contextlib.contextmanager
def open_results(out: Path, job: str) -> Iterator[tuple[IO[bytes], State]]:
    """Give a file of results, locked and cut to what is whole, and how far it has come.

    Raises:
        ConfigError: If another process writes it, or what stands there is finished or of another
            job.
        StorageError: If the disk is full or read-only.
    """
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a+b") as file:  # made if it is not there, and never cut before it is locked
            if not lock_file(file):
                raise ConfigError(
                    f"{out}: results that no other process writes",
                    got=_writer(out),
                    fix="wait until it ends, or choose another file",
                )
            state = _resume(file, out, job)
            save_state(out, state)
            yield file, state


def save_state(out: Path, state: State) -> None:
    """Write how far results have come, once they are on the disk."""
    write_json(sidecar_of(out), state.model_dump())


def _writer(out: Path) -> str:
    """Name the process that holds results, as far as it has said who it is."""
    with contextlib.suppress(ConfigError):
        state = State.parse(read_json(sidecar_of(out)), where=str(sidecar_of(out)))
        return state.writer or "another process"
    return "another process"


def _resume(file: IO[bytes], out: Path, job: str) -> State:
    """Return where to go on, with the results cut to what is whole.

    Raises:
        ConfigError: If what stands there is finished, or of another job.
    """
    size = file.seek(0, os.SEEK_END)
    writer = f"process {os.getpid()} on {platform.node()}"
    if not sidecar_of(out).exists():
        if size:
            raise ConfigError(f"{out}: a place for results", got="a file with results", fix=_FIX)
        return State(job=job, writer=writer)
    state = State.parse(read_json(sidecar_of(out)), where=str(sidecar_of(out)))
    if state.job != job:
        got = "one of other rows, bundles or options"
        raise ConfigError(f"{out}: the beginning of this score", got=got, fix=_FIX)
    if size < state.bytes:
        raise ConfigError(f"{out}: the results that were written", got="fewer of them", fix=_FIX)
    file.truncate(state.bytes)
    return state.model_copy(update={"writer": writer})
