"""Golden answers: 200 texts in a bundle with what torch said of them, for other runtimes to match.

A line of `golden.jsonl` is a text, its windows and, by head, logits and decisions. A sequence task
stores every logit. A token task has some dozens a token, so it stores of every token the highest
logit and whose it is, and of every n-th token the whole row: an error of any kind shows, in a file
of a megabyte.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.bundle.layout import META, read_meta, write_meta
from pointsman.bundle.meta import BundleMeta, SharedMeta
from pointsman.core.errors import BundleError
from pointsman.core.files import sha256_file, write_jsonl
from pointsman.core.types import PredictedSpan, Prediction
from pointsman.data.encode import Window
from pointsman.data.golden_texts import golden_texts
from pointsman.runtime.predictor import Logits, Predictor, Reading, load
from pointsman.runtime.shared import SharedPredictor

GOLDEN = "golden.jsonl"
TEXTS = 200
ROW_LABELS = 7  # logits a token that a token task stores, on average
# No runtime can be asked for the same decision where rounding takes it: texts whose decisions
# change under noise of this size are left out. Runtimes in fp32 differ by about 1e-6.
NOISE = 2e-5
TRIALS = 3
DIGITS = 7


@dataclass(frozen=True, slots=True)
class GoldenHead:
    """What one head said of one text.

    Attributes:
        logits: For each window a `(labels,)` list, or the columns that `pack_tokens` makes.
        label: Label of a sequence task.
        probabilities: Of every label of a sequence task, in the task's order.
        unsure: Whether a sequence task's score was below its abstain threshold.
        spans: Start, end, type and score of every span of a token task.
        unprocessed: The same from before post-processing; None where there is none.
    """

    logits: tuple[Any, ...]
    label: str | None
    probabilities: tuple[float, ...]
    unsure: bool
    spans: tuple[tuple[int, int, str, float], ...]
    unprocessed: tuple[tuple[int, int, str, float], ...] | None


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """One text with its answers.

    Attributes:
        text: The text.
        windows: Of each window the index of its first token, its length and a hash of its ids.
        heads: Answers by head.
    """

    text: str
    windows: tuple[tuple[int, int, str], ...]
    heads: Mapping[str, GoldenHead]


def ensure_golden(path: Path) -> None:
    """Write a bundle's golden answers if it has none of its temperature and thresholds."""
    if GOLDEN not in read_meta(path).files:
        add_golden(path)


def add_golden(path: Path) -> BundleMeta | SharedMeta:
    """Write a bundle's golden answers as torch in fp32 gives them, and their hash.

    The hash of older ones is taken out first: whatever ends this early leaves a bundle that loads,
    only without golden answers.

    Args:
        path: Directory of the bundle, with the temperature and thresholds that it shall have.

    Returns:
        The bundle's metadata with the new hash.
    """
    meta = read_meta(path)
    files = {name: digest for name, digest in meta.files.items() if name != GOLDEN}
    write_meta(path, meta.model_copy(update={"files": files}))
    write_jsonl(path / GOLDEN, golden_rows(load(path, backend="torch")))
    whole = meta.model_copy(update={"files": {**files, GOLDEN: sha256_file(path / GOLDEN)}})
    write_meta(path, whole)
    return whole


def texts_of(path: Path) -> list[str]:
    """Return a bundle's golden texts, or the first candidates where it has none.

    Raises:
        BundleError: If they are damaged.
    """
    if GOLDEN not in read_meta(path).files:
        return golden_texts()[:TEXTS]
    return [row.text for row in read_golden(path)]


def golden_rows(predictor: Predictor | SharedPredictor, count: int = TEXTS) -> list[dict[str, Any]]:
    """Return the JSON form of the first texts whose decisions are steady for every head.

    Args:
        predictor: The bundle in torch fp32.
        count: How many texts.
    """
    texts = golden_texts()
    if isinstance(predictor, Predictor):
        heads = {predictor.task.name: predictor}
        readings = {predictor.task.name: predictor.read(texts)}
    else:
        heads = {name: predictor.head(name) for name in predictor.heads}
        readings = predictor.read(texts, heads=predictor.heads)
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        own = {name: found[number] for name, found in readings.items()}
        if len(rows) < count and all(_steady(heads[n], r, number) for n, r in own.items()):
            windows = next(iter(own.values())).windows
            answers = {name: _answers(heads[name], reading) for name, reading in own.items()}
            rows.append({"text": text, "windows": [key(w) for w in windows], "heads": answers})
    return rows


def key(window: Window) -> list[int | str]:
    """Return what tells a window from another: first token, length, and a hash of its ids."""
    ids = np.asarray(window.input_ids, dtype="<i4").tobytes()
    return [window.first, len(window), hashlib.sha256(ids).hexdigest()[:16]]


def _steady(predictor: Predictor, reading: Reading, seed: int) -> bool:
    """Say whether small noise on the logits leaves a text's decisions as they are."""
    draw = np.random.default_rng(seed)

    def shaken() -> Reading:
        noisy = (
            (part + draw.uniform(-NOISE, NOISE, part.shape)).astype(np.float32)
            for part in reading.logits
        )
        return Reading(reading.text, reading.windows, tuple(noisy))

    answers = predictor.decide([reading, *(shaken() for _ in range(TRIALS))])
    return len({str(decision(answer)) for answer in answers}) == 1


def decision(answer: Prediction) -> tuple[object, ...]:
    """Return what has to be the same in every runtime: label, doubt, and spans without scores."""
    before = answer.unprocessed
    return (
        answer.label,
        answer.unsure,
        [(s.start, s.end, s.label) for s in answer.spans],
        None if before is None else [(s.start, s.end, s.label) for s in before],
    )


def _answers(predictor: Predictor, reading: Reading) -> dict[str, Any]:
    (answer,) = predictor.decide([reading])
    if predictor.task.level == "token":
        before = answer.unprocessed
        return {
            "logits": [pack_tokens(part) for part in reading.logits],
            "spans": _plain(answer.spans),
            "unprocessed": None if before is None else _plain(before),
        }
    return {
        "logits": [[round(float(value), DIGITS) for value in part] for part in reading.logits],
        "label": answer.label,
        "probabilities": [round(p, DIGITS) for p in answer.probabilities.values()],
        "unsure": answer.unsure,
    }


def _plain(spans: Sequence[PredictedSpan]) -> list[list[int | str | float]]:
    return [[s.start, s.end, s.label, s.score] for s in spans]


def pack_tokens(logits: Logits) -> dict[str, Any]:
    """Return the stored form of a window's `(tokens, labels)`: base64 of little-endian columns.

    Returns:
        `labels` (uint16) and `tops` (float32): each token's likeliest label and its logit;
        `rows` (float32): all logits of the tokens 0, `every`, 2 `every`, ...
    """
    every = max(1, round(logits.shape[1] / ROW_LABELS))
    labels = logits.argmax(axis=1)
    return {
        "labels": _base64(labels.astype("<u2")),
        "tops": _base64(logits.max(axis=1).astype("<f4")),
        "every": every,
        "rows": _base64(logits[::every].astype("<f4")),
    }


def stored_labels(stored: Any) -> NDArray[np.intp]:
    """Return the likeliest label of every token of a window that `pack_tokens` packed."""
    return np.frombuffer(base64.b64decode(stored["labels"]), dtype="<u2").astype(np.intp)


def differences(stored: Any, logits: Logits) -> NDArray[np.float64]:
    """Return the absolute differences between stored logits of a window and others.

    Args:
        stored: As `golden.jsonl` has them.
        logits: Shape `(labels,)` or `(tokens, labels)`; a wrong shape differs infinitely.
    """
    values = logits.astype(np.float64)
    if not isinstance(stored, dict):
        expected = np.asarray(stored, dtype=np.float64)
        return _apart(expected, values)
    labels = stored_labels(stored)
    tops = np.frombuffer(base64.b64decode(stored["tops"]), dtype="<f4").astype(np.float64)
    rows = np.frombuffer(base64.b64decode(stored["rows"]), dtype="<f4").astype(np.float64)
    if values.ndim != 2 or len(values) != len(labels) or labels.max() >= values.shape[1]:
        return np.asarray([np.inf])
    own = values[:: stored["every"]]
    return np.concatenate(
        [_apart(tops, values[np.arange(len(labels)), labels]), _apart(rows, own.reshape(-1))]
    )


def _apart(expected: NDArray[np.float64], got: NDArray[np.float64]) -> NDArray[np.float64]:
    if expected.shape != got.shape:
        return np.asarray([np.inf])
    return np.nan_to_num(np.abs(expected - got), nan=np.inf)


def _base64(column: NDArray[Any]) -> str:
    return base64.b64encode(column.tobytes()).decode("ascii")


def read_golden(path: Path, *, listed: bool = True) -> list[GoldenRow]:
    """Read a bundle's golden answers.

    Args:
        path: Directory of the bundle.
        listed: Whether the bundle has a hash of them; a file without one is nobody's.

    Raises:
        BundleError: If the bundle has none, or they are damaged.
    """
    file = path / GOLDEN
    if not (listed and file.is_file()):
        raise BundleError(
            f"{path}: golden answers ({GOLDEN})",
            got="a bundle without them",
            fix="calibrate it: that writes them",
        )
    rows = []
    # texts hold line separators of other kinds, which `splitlines` would split at, too
    lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"{file}: line {number} whole",
                got=type(error).__name__,
                fix=f"copy the bundle again: {META} has the hash of what it was",
            ) from None
    return rows


def _row(values: Mapping[str, Any]) -> GoldenRow:
    windows = tuple((int(first), int(size), str(ids)) for first, size, ids in values["windows"])
    return GoldenRow(
        values["text"], windows, {name: _head(head) for name, head in values["heads"].items()}
    )


def _head(values: Mapping[str, Any]) -> GoldenHead:
    before = values.get("unprocessed")
    return GoldenHead(
        logits=tuple(values["logits"]),
        label=values.get("label"),
        probabilities=tuple(values.get("probabilities", ())),
        unsure=bool(values.get("unsure", False)),
        spans=tuple(_spans(values.get("spans", ()))),
        unprocessed=None if before is None else tuple(_spans(before)),
    )


def _spans(values: Sequence[Sequence[Any]]) -> Iterator[tuple[int, int, str, float]]:
    for start, end, label, score in values:
        yield int(start), int(end), str(label), float(score)
