"""One classifier measured in a process of its own, so that memory and caches are its own.

The parent sends a request as JSON on stdin and reads the result from stdout; texts never touch a
disk. One classifier runs at a time, so that none slows another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.core.errors import ConfigError, PeerError, PointsmanError
from pointsman.core.types import PredictedSpan, Prediction
from pointsman.pipeline.peers import Foreign, Peer, Reader
from pointsman.tasks.spec import TaskSpec

WARM_UP = 5  # single texts before the clock runs
KINDS = ("bundle", "transformers", "presidio")


def measure_apart(
    kind: str,
    path: Path | None,
    spec: TaskSpec,
    texts: Sequence[str],
    *,
    foreign: Foreign | None = None,
    latency_texts: int = 100,
) -> tuple[list[Prediction], dict[str, Any]]:
    """Measure a classifier of this machine in a process of its own.

    Args:
        kind: One of `KINDS`.
        path: Its directory.
        spec: The task.
        texts: All texts of the comparison.
        foreign: How the answers of other kinds than a bundle are read.
        latency_texts: How many texts are asked one by one.

    Returns:
        Its predictions, and facts as `measure` gives them.

    Raises:
        PointsmanError: If it cannot be loaded, or its process ends without an answer.
    """
    request = {
        "kind": kind,
        "path": None if path is None else str(path.resolve()),
        "task": spec.model_dump(mode="json"),
        "foreign": (foreign or Foreign()).model_dump(mode="json"),
        "texts": list(texts),
        "latency_texts": latency_texts,
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pointsman.pipeline.measure"],
        input=json.dumps(request).encode(),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    result = _result(done, kind, path)
    return [from_row(row, text) for row, text in zip(result["predictions"], texts, strict=True)], {
        **result["facts"],
        "kind": kind,
    }


def _result(
    done: subprocess.CompletedProcess[bytes], kind: str, path: Path | None
) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise PointsmanError(
            f"{path or kind}: a process that answers {kind} texts",
            got=f"exit status {done.returncode}",
            fix="free memory if it was killed (-9); else see what it printed above",
        ) from None
    if "error" in result:
        raise PeerError(**result["error"])
    return result


def measure(peer: Peer, texts: Sequence[str], latency_texts: int) -> dict[str, Any]:
    """Ask a peer everything at once, then some texts one by one.

    Args:
        peer: What is measured.
        texts: All texts.
        latency_texts: How many of them, evenly spread, are asked alone after a warm-up.

    Returns:
        `predictions`, and `facts`: `throughput` (texts a second, in the batches that the peer
        makes itself), `latency_ms` and `latency_p95_ms` of one text, `latency_texts`, and
        `consistency`, the share of those texts that got the same answer alone as among others.
    """
    start = time.perf_counter()
    predictions = peer.predict(texts)
    seconds = time.perf_counter() - start
    chosen = spread(len(texts), latency_texts)
    for index in chosen[:WARM_UP]:
        peer.predict([texts[index]])
    times, same = [], []
    for index in chosen:
        start = time.perf_counter()
        (alone,) = peer.predict([texts[index]])
        times.append(1000 * (time.perf_counter() - start))
        same.append(_answer(alone) == _answer(predictions[index]))
    facts = {
        "throughput": len(texts) / seconds,
        "latency_ms": float(np.median(times)),
        "latency_p95_ms": float(np.quantile(times, 0.95)),
        "latency_texts": len(times),
        "consistency": float(np.mean(same)),
    }
    return {"predictions": predictions, "facts": facts}


def spread(rows: int, count: int) -> list[int]:
    """Return up to `count` indices, evenly spread over `rows`."""
    return sorted({int(i) for i in np.linspace(0, rows - 1, min(rows, count))})


def _answer(prediction: Prediction) -> tuple[Any, ...]:
    return prediction.label, [(s.start, s.end, s.label) for s in prediction.spans]


def to_row(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as JSON, without the text of its spans: whoever asked has it."""
    row = asdict(replace(prediction, unprocessed=None))
    row["spans"] = [[s.start, s.end, s.label, s.score] for s in prediction.spans]
    return row


def from_row(row: dict[str, Any], text: str) -> Prediction:
    """Return the prediction that `to_row` wrote."""
    spans = tuple(
        PredictedSpan(start, end, label, text[start:end], score)
        for start, end, label, score in row["spans"]
    )
    return Prediction(**{**row, "spans": spans, "tools": tuple(row["tools"])})


class _Bundle:
    """A bundle as a peer."""

    def __init__(self, path: Path, head: str) -> None:
        from pointsman.runtime.predictor import load_head

        self.name = path.name
        self._predictor = load_head(path, head)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        return self._predictor.predict(texts)


def _load(request: dict[str, Any]) -> tuple[Peer, Reader | None]:
    kind, spec = request["kind"], TaskSpec.parse(request["task"], where="task")
    if kind == "bundle":
        return _Bundle(Path(request["path"]), spec.name), None
    foreign = Foreign.parse(request["foreign"], where="label map")
    from pointsman.pipeline.peer_local import PresidioPeer, TransformersPeer

    if kind == "transformers":
        path = Path(request["path"])
        peer: TransformersPeer | PresidioPeer = TransformersPeer(kind, path, spec, foreign=foreign)
    elif kind == "presidio":
        peer = PresidioPeer(kind, spec, foreign=foreign)
    else:
        raise ConfigError(f"a kind of {', '.join(KINDS)}", got=kind)
    return peer, peer.reader


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a request; its memory is that of the whole process so far.

    `own_memory_mb` is the peak less what the process held before the classifier was loaded, with
    the libraries in memory.
    """
    import torch
    import transformers  # noqa: F401  # its memory is the libraries', and not the classifier's

    from pointsman.training.memory import peak_mb

    before = peak_mb()
    start = time.perf_counter()
    peer, reader = _load(request)
    loading = time.perf_counter() - start
    result = measure(peer, request["texts"], request["latency_texts"])
    peak = peak_mb()
    facts = {
        **result["facts"],
        "load_seconds": loading,
        "peak_memory_mb": peak,
        "own_memory_mb": peak - before,
        "threads": torch.get_num_threads(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }
    if reader is not None:
        facts |= {"ranks": reader.ranks, "unknown_labels": dict(reader.strange)}
    return {"facts": facts, "predictions": [to_row(p) for p in result["predictions"]]}


def main() -> int:
    """Read a request from stdin and write its result to stdout."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not stand in the result
    try:
        result = answer(json.loads(sys.stdin.buffer.read()))
    except PointsmanError as error:
        result = {"error": {"needed": error.needed, "got": error.got, "fix": error.fix}}
    with out:
        json.dump(result, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
