"""A file of any size through predictors, chunk by chunk, going on where it was stopped.

Results are JSON lines, in the order of the rows. Beside them lies a small file that says how much
of them is whole; what was being written when the power went is cut off and done again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pointsman.core.types import Prediction
from pointsman.data.local_files import stream_records
from pointsman.pipeline.score_request import ScoreRequest, check_request
from pointsman.pipeline.score_rows import Row, read_row, to_lines
from pointsman.pipeline.score_state import State, job_of, open_results, save_state, sidecar_of
from pointsman.runtime.predictor import Predictor
from pointsman.runtime.shared import SharedPredictor

# A chunk ends at whichever comes first: rows enough to sort by length, characters few enough to
# hold.
CHUNK = 512
CHARACTERS = 2_000_000


@dataclass(frozen=True, slots=True)
class Scored:
    """What a score came to, over all the times that it was stopped and taken up again.

    Attributes:
        rows: How many rows have a line.
        bad: How many of them have an error in it and no answers.
    """

    rows: int
    bad: int


def score_file(
    request: ScoreRequest,
    predictors: Sequence[Predictor | SharedPredictor],
    *,
    progress: Callable[[int], None] | None = None,
) -> Scored:
    """Answer every row of a file.

    Args:
        request: What to score, and how.
        predictors: Loaded bundles; each row gets the answers of all, in this order.
        progress: Called with the number of rows that are done, those of an earlier run first.

    Raises:
        ConfigError: If an option or a column is not known, other results stand at `out`, or another
            process writes there.
        RowError: If a row has no text, with its number.
        SourceError: If the file cannot be read.
        DataError: If it is not of its format.
        StorageError: If the disk is full or read-only.
    """
    check_request(request)
    report = progress or (lambda rows: None)
    with open_results(request.out, job_of(request, predictors)) as (out, state):
        report(state.rows)
        records = islice(stream_records(request.source, columns=request.needed), state.rows, None)
        for chunk in _chunks(read_row(request, record) for record in records):
            texts = [row.found for row in chunk if isinstance(row.found, str)]
            out.write(to_lines(chunk, _answer(predictors, texts)))
            out.flush()
            os.fsync(out.fileno())
            state = State(
                job=state.job,
                rows=state.rows + len(chunk),
                bad=state.bad + len(chunk) - len(texts),
                bytes=out.tell(),
                writer=state.writer,
            )
            save_state(request.out, state)
            report(len(chunk))
        sidecar_of(request.out).unlink(missing_ok=True)
    return Scored(state.rows, state.bad)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += row.size
        if len(chunk) >= CHUNK or size >= CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


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
