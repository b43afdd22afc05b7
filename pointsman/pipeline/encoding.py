"""Prepared examples to training rows, and the metric function that training is handed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import DataError
from pointsman.core.types import Example
from pointsman.data.encode import (
    IGNORED,
    IN_PART,
    OUTSIDE,
    Alignment,
    TextEncoder,
    Window,
    count_alignment,
    label_ids,
    label_tokens,
)
from pointsman.evaluation.score import scalars, score
from pointsman.runtime.predictor import to_prediction
from pointsman.tasks.labels import begin_id, inside_id
from pointsman.tasks.spec import TaskSpec
from pointsman.training.rows import Row


@dataclass(slots=True)
class Encoded:
    """One encoded split.

    Attributes:
        examples: Its examples, shortest first, so that evaluation batches hold little padding.
        windows: The windows of each example.
        rows: One row a window, or of a sequence task's texts those windows that teach something.
        facts: What was counted: rows, tokens, long texts, how spans fitted the tokens.
        open_labels: For every set of types that some rows are labelled with, the outputs that a
            token outside their spans may have: `O`, and those of the types that are unknown there.
    """

    examples: list[Example]
    windows: list[list[Window]]
    rows: list[Row]
    facts: dict[str, Any]
    open_labels: tuple[tuple[int, ...], ...] = ()


def encode_split(
    spec: TaskSpec, encoder: TextEncoder, examples: Sequence[Example], *, every_window: bool
) -> Encoded:
    """Encode a split.

    Args:
        spec: The task.
        encoder: The backbone's tokenizer.
        examples: The split.
        every_window: Give a row to every window of a long text. Needed for token tasks, whose
            spans may lie anywhere, and for validation; for what a sequence task trains on see
            `taught_windows`.
    """
    windows = encoder.encode([example.text for example in examples])
    order = sorted(range(len(examples)), key=lambda i: sum(map(len, windows[i])))
    windows = [windows[i] for i in order]
    ordered = [examples[i] for i in order]
    counts = Alignment()
    sets = sorted({e.annotated for e in examples if e.annotated is not None})
    rows = []
    for example, parts in zip(ordered, windows, strict=True):
        if spec.level == "token":
            offsets = [bounds for part in parts for bounds in part.offsets]
            count_alignment(offsets, example.spans, counts)
            types = example.annotated
            outside = OUTSIDE if types is None else IN_PART - sets.index(types)
            rows += [_token_row(spec, example, part, outside) for part in parts]
        else:
            label = spec.labels.index(example.label or "")
            used = parts if every_window else taught_windows(spec, example, parts)
            rows += [Row(part.input_ids, label, example.source) for part in used]
    facts: dict[str, Any] = {
        "rows": len(ordered),
        "tokens": sum(len(row.input_ids) for row in rows),
        "texts_beyond_max_length": sum(len(parts) > 1 for parts in windows),
    }
    if spec.level == "token":
        facts["spans"] = asdict(counts)
    if sets:
        facts["labelled_in_part"] = sum(example.annotated is not None for example in ordered)
    return Encoded(ordered, windows, rows, facts, tuple(_open(spec, types) for types in sets))


def taught_windows(spec: TaskSpec, example: Example, windows: list[Window]) -> list[Window]:
    """Return the windows of a sequence task's text that its label holds for.

    A detector answers by the worst window of a text, so each window of a benign one is benign. An
    attack may lie in any part of an attack's text, and a long text's category in its sum: there
    the first window stands for all.
    """
    if spec.positive is not None and example.label != spec.positive:
        return windows
    return windows[:1]


def _open(spec: TaskSpec, annotated: Sequence[str]) -> tuple[int, ...]:
    """Return the outputs that a token outside the spans may have where not all is labelled."""
    unknown = [kind for label, kind in label_ids(spec).items() if label not in annotated]
    return (OUTSIDE, *(output(kind) for kind in unknown for output in (begin_id, inside_id)))


def row_weights(split: Encoded, power: float) -> list[float] | None:
    """Return how often each row is drawn so that a source's share is its rows to a power.

    Sources differ in size by accident, and a large one teaches its own habits. The exponent is
    that of temperature sampling over tasks or languages (Conneau et al., 2020, arXiv:1911.02116).

    Args:
        split: The encoded split.
        power: Exponent in [0, 1]; 1 draws every row once, and None says so.
    """
    if power == 1:
        return None
    sizes = Counter(row.source for row in split.rows)
    return [sizes[row.source] ** (power - 1) for row in split.rows]


def _token_row(spec: TaskSpec, example: Example, window: Window, outside: int) -> Row:
    labels = [IGNORED] * len(window)
    found = label_tokens(window.offsets, example.spans, label_ids(spec), continued=window.first > 0)
    labels[window.content] = [outside if label == OUTSIDE else label for label in found]
    return Row(window.input_ids, labels, example.source)


def metric_function(
    meta: BundleMeta, split: Encoded
) -> Callable[[list[np.ndarray]], dict[str, float]]:
    """Return the function that scores a split from its windows' logits.

    It decodes and scores through the predictor's own code: the checkpoint is picked on what will
    be served.

    Raises:
        DataError: If the split cannot tell the metric that picks the checkpoint; said here, before
            an epoch is spent.
    """

    def measure(logits: list[np.ndarray]) -> dict[str, float]:
        remaining = iter(logits)
        predictions = [
            to_prediction(meta, example.text, parts, [next(remaining) for _ in parts])
            for example, parts in zip(split.examples, split.windows, strict=True)
        ]
        return scalars(score(meta.task, split.examples, predictions))

    nothing = np.zeros(len(meta.labels), dtype=np.float32)
    blank = [
        np.tile(nothing, (len(window), 1)) if meta.task.level == "token" else nothing
        for parts in split.windows
        for window in parts
    ]
    if meta.task.checkpoint not in measure(blank):
        raise DataError(
            f"validation rows that can tell {meta.task.checkpoint} of {meta.task.name}",
            got=f"{len(split.examples)} rows that cannot",
            fix="give the validation split rows of every label",
        )
    return measure
