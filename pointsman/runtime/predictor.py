"""Text in, Prediction out: the one path that users, evaluation and serving share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pointsman.bundle.layout import find_bundles, read_any
from pointsman.bundle.meta import NO_POSTPROCESSING, BundleMeta, SharedMeta
from pointsman.core.errors import ConfigError, batch_too_large, is_out_of_memory
from pointsman.core.texts import find_fault
from pointsman.core.types import PredictedSpan, Prediction
from pointsman.data.encode import TextEncoder, Window
from pointsman.runtime.backend import Backend, load_backend
from pointsman.runtime.decode import decode_spans
from pointsman.runtime.postprocess import postprocess as apply_steps
from pointsman.runtime.postprocess import steps_for
from pointsman.runtime.windows import merge_sequence, merge_tokens, softmax
from pointsman.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from pointsman.runtime.shared import SharedPredictor

TOKEN_BUDGET = 8192  # padded tokens of one batch: large enough to fill two cores, small in memory

Logits = NDArray[np.float32]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the network says of one text.

    Attributes:
        text: The text.
        windows: Its windows.
        logits: For each window `(labels,)`, or `(tokens, labels)` with special tokens.
    """

    text: str
    windows: tuple[Window, ...]
    logits: tuple[Logits, ...]

    @property
    def tokens(self) -> int:
        """How many tokens the text has, special ones not counted."""
        return self.windows[-1].first + len(self.windows[-1].offsets)


class Predictor:
    """Answers for one bundle.

    Args:
        meta: What the bundle says of itself.
        encoder: Its tokenizer.
        backend: What computes its logits.
    """

    def __init__(self, meta: BundleMeta, encoder: TextEncoder, backend: Backend) -> None:
        self.meta = meta
        self._encoder = encoder
        self._backend = backend

    @property
    def task(self) -> TaskSpec:
        """The task that it answers."""
        return self.meta.task

    @property
    def backend_name(self) -> str:
        """Library and precision that compute its logits, as in "torch fp32"."""
        return self._backend.name

    @property
    def digest(self) -> str:
        """Hash of the export that computes its logits; empty where the bundle's own weights do."""
        return self._backend.digest

    def predict(
        self, texts: Sequence[str], *, progress: Progress | None = None
    ) -> list[Prediction]:
        """Return one prediction a text, in text order.

        Args:
            texts: Any texts; long ones are read window by window, none is cut off.
            progress: Called with the number of texts that each batch finished.

        Raises:
            ConfigError: If a text is not a string, is longer than a million characters, or is
                not valid Unicode.
        """
        return self.decide(self.read(texts, progress=progress))

    def read(self, texts: Sequence[str], *, progress: Progress | None = None) -> list[Reading]:
        """Return the model's logits of each text, before temperature, merging and thresholds.

        Args:
            texts: As `predict` takes them.
            progress: As `predict` takes it.

        Raises:
            ConfigError: As `predict` does.
        """
        head = self.task.name
        return read_heads(self._encoder, self._backend, texts, (head,), progress)[head]

    def decide(self, readings: Sequence[Reading]) -> list[Prediction]:
        """Return the predictions that follow from readings, at the bundle's temperature."""
        return [to_prediction(self.meta, r.text, r.windows, r.logits) for r in readings]

    def with_meta(self, meta: BundleMeta) -> Predictor:
        """Return a predictor of the same network under another temperature or thresholds."""
        return Predictor(meta, self._encoder, self._backend)


def read_heads(
    encoder: TextEncoder,
    backend: Backend,
    texts: Sequence[str],
    heads: Sequence[str],
    progress: Progress | None = None,
) -> dict[str, list[Reading]]:
    """Return what each head's network says of each text, after one pass over the texts.

    Args:
        encoder: The tokenizer.
        backend: What computes the logits.
        texts: As `Predictor.predict` takes them.
        heads: The heads that are asked.
        progress: As `Predictor.predict` takes it.

    Raises:
        ConfigError: As `Predictor.predict` does.
    """
    if isinstance(texts, str):
        raise ConfigError("a list of texts", got="one string", fix='predict(["..."])')
    for position, text in enumerate(texts):
        check_text(text, position)
    windows = encoder.encode(texts)
    flat = [window for text in windows for window in text]
    report = None if progress is None else _texts_done(windows, progress)
    logits = _run(backend, flat, heads, report)
    readings: dict[str, list[Reading]] = {}
    for head in heads:
        remaining = iter(logits[head])
        readings[head] = [
            Reading(text, tuple(parts), tuple(next(remaining) for _ in parts))
            for text, parts in zip(texts, windows, strict=True)
        ]
    return readings


def _run(
    backend: Backend,
    windows: Sequence[Window],
    heads: Sequence[str],
    report: Callable[[list[int]], None] | None,
) -> dict[str, list[Logits]]:
    """Return the logits of every window, for each head."""
    found: dict[str, dict[int, Logits]] = {head: {} for head in heads}
    for batch in batches([len(window) for window in windows]):
        output = _compute(backend, [windows[i].input_ids for i in batch], heads)
        for head in heads:
            for row, index in enumerate(batch):
                part = output[head][row]
                found[head][index] = part if part.ndim == 1 else part[: len(windows[index])]
        if report is not None:
            report(batch)
    return {head: [parts[i] for i in range(len(windows))] for head, parts in found.items()}


def _compute(backend: Backend, rows: list[list[int]], heads: Sequence[str]) -> dict[str, Logits]:
    try:
        return backend.run(rows, heads)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise batch_too_large(len(rows), len(rows[0]), error) from error


def _texts_done(
    windows: Sequence[Sequence[Window]], progress: Progress
) -> Callable[[list[int]], None]:
    """Return a function that takes the windows of a batch and tells `progress` of whole texts."""
    owner = [text for text, parts in enumerate(windows) for _ in parts]
    missing = [len(parts) for parts in windows]

    def report(batch: list[int]) -> None:
        for window in batch:
            missing[owner[window]] -= 1
        progress(sum(missing[text] == 0 for text in {owner[window] for window in batch}))

    return report


def batches(lengths: Sequence[int], budget: int = TOKEN_BUDGET) -> Iterator[list[int]]:
    """Group row indices by like length so that no padded batch holds more than `budget` tokens.

    Longest first, so that running out of memory shows in the first batch and not in the last.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def check_text(text: object, position: int) -> None:
    """Refuse what no model can read.

    Raises:
        ConfigError: With the position of the text; never with the text.
    """
    fault = find_fault(text)
    if fault is not None:
        raise ConfigError(f"text {position + 1} {fault.needed}", got=fault.got)


def to_prediction(
    meta: BundleMeta, text: str, windows: Sequence[Window], logits: Sequence[Logits]
) -> Prediction:
    """Turn the logits of a text's windows into its prediction.

    Args:
        meta: Task, labels, temperature and thresholds.
        text: The text.
        windows: Its windows.
        logits: For each window `(labels,)`, or `(tokens, labels)` with special tokens.
    """
    spec = meta.task
    if spec.level == "token":
        probabilities, offsets = token_probabilities(meta, windows, logits)
        spans = tuple(
            decode_spans(
                probabilities, offsets, text, spec.labels,
                words=meta.pool_words, adjacent_cost=meta.adjacent_cost,
            )
        )  # fmt: skip
        return keep_sure(meta, refine(meta, text, Prediction(spec.name, None, 0.0, spans=spans)))
    merged = merge_sequence(softmax(np.stack(list(logits)) / meta.temperature), windows, spec)
    label = choose_label(merged, meta)
    score = float(merged[spec.labels.index(label)])
    return Prediction(
        spec.name,
        label,
        score,
        {name: float(p) for name, p in zip(spec.labels, merged, strict=True)},
        tools=spec.tools.get(label, ()),
        unsure=score < meta.abstain_below,
    )


def token_probabilities(
    meta: BundleMeta, windows: Sequence[Window], logits: Sequence[Logits]
) -> tuple[Logits, list[tuple[int, int]]]:
    """Return a text's token probabilities `(tokens, labels)`, each token once, and their bounds.

    Args:
        meta: Its temperature.
        windows: Its windows.
        logits: For each window `(tokens, labels)` with special tokens.
    """
    parts = [
        softmax(logit[window.content] / meta.temperature)
        for window, logit in zip(windows, logits, strict=True)
    ]
    return merge_tokens(parts, windows)


def refine(meta: BundleMeta, text: str, prediction: Prediction) -> Prediction:
    """Return a token task's prediction after the post-processing that the bundle asks for."""
    if not steps_for(meta.task.labels, meta.postprocess):
        return prediction
    spans = apply_steps(text, prediction.spans, meta.task.labels, meta.postprocess)
    return replace(prediction, spans=spans, unprocessed=prediction.spans)


def keep_sure(meta: BundleMeta, prediction: Prediction) -> Prediction:
    """Return a token task's prediction without the spans below their type's threshold."""

    def sure(spans: Sequence[PredictedSpan]) -> tuple[PredictedSpan, ...]:
        return tuple(s for s in spans if s.score >= meta.thresholds.get(s.label, 0.0))

    kept = sure(prediction.spans)
    before = None if prediction.unprocessed is None else sure(prediction.unprocessed)
    return replace(prediction, spans=kept, score=surest(kept), unprocessed=before)


def surest(spans: Sequence[PredictedSpan]) -> float:
    """Return the score of the surest span, or 0."""
    return max((span.score for span in spans), default=0.0)


def choose_label(probabilities: Logits, meta: BundleMeta) -> str:
    """Return the label: by threshold for a detector, else the likeliest."""
    spec = meta.task
    if spec.positive is None or spec.negative is None:
        return spec.labels[int(probabilities.argmax())]
    score = float(probabilities[spec.labels.index(spec.positive)])
    return spec.positive if score >= meta.thresholds.get(spec.positive, 0.5) else spec.negative


def load(
    path: str | os.PathLike[str],
    *,
    backend: str = "auto",
    postprocess: bool = True,
    threads: int | None = None,
) -> Predictor | SharedPredictor:
    """Load a bundle.

    Args:
        path: Directory of a bundle, or of a run that holds one.
        backend: What computes: `auto` for the fastest blessed export, else torch; or `torch`,
            `onnxruntime` or `openvino`, alone or with a precision, as in "openvino bf16". The
            predictor's `backend_name` says what was taken.
        postprocess: Post-process spans as the bundle asks for it; False gives what the model says.
        threads: How many threads compute; `OMP_NUM_THREADS` or the physical cores when not given.

    Returns:
        The predictor of a bundle's task, or of all heads of a shared bundle.

    Raises:
        BundleError: If the bundle or its export is missing, damaged, or of another format.
        ConfigError: If the backend is not known, or the bundle has no export for it.
        PointsmanError: If its library is not installed.
    """
    from pointsman.runtime.shared import SharedPredictor

    bundles = find_bundles([Path(path)])
    if len(bundles) > 1:
        raise ConfigError(
            f"{path}: one bundle",
            got=f"{len(bundles)}: {', '.join(b.parent.name for b in bundles)}",
        )
    meta = read_any(bundles[0])
    encoder = TextEncoder.from_directory(bundles[0], max_length=meta.max_length)
    computing = load_backend(backend, bundles[0], meta, threads=threads)
    if not postprocess:
        meta = _without_steps(meta)
    if isinstance(meta, SharedMeta):
        return SharedPredictor(meta, encoder, computing)
    return Predictor(meta, encoder, computing)


def load_head(
    path: str | os.PathLike[str],
    head: str | None = None,
    *,
    backend: str = "auto",
    postprocess: bool = True,
    threads: int | None = None,
) -> Predictor:
    """Load one head of a bundle.

    Args:
        path: As `load` takes it.
        head: Name of the head, which is its task's; may be left out where there is only one.
        backend: As `load` takes it.
        postprocess: As `load` takes it.
        threads: As `load` takes it.

    Raises:
        ConfigError: If there is no such head, or there are several and none is named.
        BundleError: As `load` does.
    """
    found = load(path, backend=backend, postprocess=postprocess, threads=threads)
    if isinstance(found, Predictor):
        if head not in (None, found.task.name):
            raise ConfigError(f"{path}: a head named {head!r}", got=f"the task {found.task.name}")
        return found
    if head is None and len(found.heads) > 1:
        raise ConfigError(
            f"{path}: the name of one of its heads",
            got=f"a shared bundle of {', '.join(found.heads)}",
            fix="give --head NAME, or head= in Python",
        )
    return found.head(head or found.heads[0])


def _without_steps(meta: BundleMeta | SharedMeta) -> BundleMeta | SharedMeta:
    """Return the metadata without any post-processing of spans."""
    if isinstance(meta, SharedMeta):
        for head in meta.heads.values():
            meta = meta.with_head(head.model_copy(update={"postprocess": NO_POSTPROCESSING}))
        return meta
    return meta.model_copy(update={"postprocess": NO_POSTPROCESSING})
