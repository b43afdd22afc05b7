"""Learning from another model: find the bundle that teaches, and have it answer training rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.bundle.doubts import unknown_teacher
from pointsman.bundle.layout import WEIGHTS, find_bundles, read_any, read_meta
from pointsman.bundle.meta import BundleMeta, heads_of
from pointsman.core.errors import ConfigError
from pointsman.core.types import Example
from pointsman.data.encode import Window
from pointsman.pipeline.encoding import Encoded, taught_windows
from pointsman.pipeline.progress import progress_bar
from pointsman.runtime.predictor import Predictor, load_head, token_probabilities
from pointsman.tasks.labels import model_labels
from pointsman.tasks.spec import TaskSpec
from pointsman.training.config import DistillOptions
from pointsman.training.rows import Row

CHUNK = (
    256  # texts that are read at once: a token task's answers take much memory until they shrink
)
LEAST = 1e-7  # probability whose logarithm half precision still tells from 0

Answers = NDArray[np.float16]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Teacher:
    """A bundle that one task's training rows are answered by.

    Attributes:
        bundle: Its directory.
        meta: What it, or its head of the task, says of itself.
        weights: SHA-256 of its weights.
        same_rows: It learned from the very training split that it is to answer. If not, it may have
            seen rows of this data's validation or test splits: nobody can tell.
    """

    bundle: Path
    meta: BundleMeta
    weights: str
    same_rows: bool

    def identity(self) -> dict[str, Any]:
        """Return what makes its answers what they are, for the fingerprint of a run."""
        return {"weights": self.weights, "temperature": self.meta.temperature}

    def provenance(self) -> dict[str, Any]:
        """Return what the student's bundle keeps of it."""
        return {
            "weights": self.weights,
            "backbone": self.meta.provenance.get("backbone", {}),
            "data": self.meta.provenance.get("data", {}),
            "temperature": self.meta.temperature,
            "same_rows": self.same_rows,
        }


def find_teacher(spec: TaskSpec, options: DistillOptions, train_hash: str) -> Teacher | None:
    """Return the teacher that the options name; None where they name none.

    Args:
        spec: The task.
        options: As the user gave them.
        train_hash: Hash of the training split.

    Raises:
        ConfigError: If no bundle of this task and these labels lies there, or several do.
        BundleError: If nothing lies there, or it is damaged.
    """
    if options.teacher is None:
        return None
    found = [
        bundle
        for bundle in find_bundles([Path(options.teacher)])
        if spec.name in heads_of(read_meta(bundle))
    ]
    if len(found) != 1:
        raise ConfigError(
            f"distill.teacher: one bundle of {spec.name} at {options.teacher}",
            got=", ".join(map(str, found)) or "none of this task",
        )
    (bundle,) = found
    whole = read_any(bundle)
    meta = heads_of(whole)[spec.name]
    if tuple(meta.labels) != tuple(model_labels(spec)):
        differ = sorted({*meta.task.labels} ^ {*spec.labels})
        raise ConfigError(
            f"distill.teacher: a teacher of the labels of {spec.name}",
            got=f"{bundle}, which differs in {', '.join(differ) or 'their order'}",
        )
    hashes = meta.provenance.get("data", {}).get("hashes", {})
    same = hashes.get("train") == train_hash
    return Teacher(bundle, meta, whole.files[WEIGHTS], same)


def taught(teacher: Teacher, spec: TaskSpec, split: Encoded, say: Say) -> list[Row]:
    """Say who teaches, and return a split's training rows with the teacher's answers.

    A sequence task's teacher reads the stretch of the text that a row holds, in its own tokens. A
    token task's has to cut texts into the same tokens as the student.

    Args:
        teacher: The teacher.
        spec: The task.
        split: The encoded training split.
        say: Prints a line of news.

    Raises:
        ConfigError: If the teacher of a token task cuts texts into other tokens.
        BundleError: If the teacher is damaged.
    """
    say(f"  {spec.name}: learns from the answers of {teacher.bundle}, too")
    if doubt := unknown_teacher({"teacher": teacher.provenance()}):
        say(f"  {doubt}")
    predictor = load_head(teacher.bundle, spec.name, backend="torch", postprocess=False)
    ask = _token_answers if spec.level == "token" else _text_answers
    answers: list[Answers] = []
    pairs = list(zip(split.examples, split.windows, strict=True))
    with progress_bar(f"{spec.name}: the teacher answers", len(pairs)) as advance:
        for start in range(0, len(pairs), CHUNK):
            chunk = pairs[start : start + CHUNK]
            answers += ask(predictor, spec, chunk)
            advance(len(chunk))
    return [replace(row, teacher=given) for row, given in zip(split.rows, answers, strict=True)]


def _text_answers(
    predictor: Predictor, spec: TaskSpec, chunk: Sequence[tuple[Example, list[Window]]]
) -> Iterator[Answers]:
    """Yield the log-probabilities of each training window's stretch of its text."""
    stretches = [
        _stretch(example.text, part, whole=len(parts) == 1)
        for example, parts in chunk
        for part in taught_windows(spec, example, parts)
    ]
    for prediction in predictor.predict(stretches):
        given = prediction.probabilities
        assert given is not None
        yield _logarithms(np.asarray([given[label] for label in spec.labels]))


def _stretch(text: str, window: Window, *, whole: bool) -> str:
    if whole or not window.offsets:
        return text
    return text[window.offsets[0][0] : window.offsets[-1][1]]


def _token_answers(
    predictor: Predictor, spec: TaskSpec, chunk: Sequence[tuple[Example, list[Window]]]
) -> Iterator[Answers]:
    """Yield the log-probabilities of each training window's tokens, 0 at special ones."""
    readings = predictor.read([example.text for example, _ in chunk])
    for reading, (_, parts) in zip(readings, chunk, strict=True):
        probabilities, offsets = token_probabilities(
            predictor.meta, reading.windows, reading.logits
        )
        for part in parts:
            own = slice(part.first, part.first + len(part.offsets))
            if offsets[own] != part.offsets:
                raise ConfigError(
                    f"distill.teacher: for {spec.name} one that cuts texts as the student does",
                    got="one whose tokens have other bounds",
                    fix="choose a teacher whose backbone has the same tokenizer",
                )
            answers = np.zeros((len(part), probabilities.shape[1]), dtype=np.float16)
            answers[part.content] = _logarithms(probabilities[own])
            yield answers


def _logarithms(probabilities: NDArray[Any]) -> Answers:
    logarithms: Answers = np.log(np.maximum(probabilities, LEAST)).astype(np.float16)
    return logarithms
