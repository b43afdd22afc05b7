"""One answer from a text's windows.

A sequence task with a positive label takes its worst window, so that an attack is not diluted
by the text around it; any other takes the mean weighted by length. A token task takes each
token's probabilities from the window in which the token stands furthest from an edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pointsman.data.encode import Window
from pointsman.tasks.spec import TaskSpec

Array = NDArray[np.float32]


def softmax(logits: Array) -> Array:
    """Return probabilities over the last axis, computed without overflow."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def merge_sequence(probabilities: Array, windows: Sequence[Window], spec: TaskSpec) -> Array:
    """Return a text's probabilities, shape `(labels,)`, from its windows' `(windows, labels)`."""
    if len(windows) == 1:
        return np.asarray(probabilities[0])
    if spec.positive is not None:
        worst = probabilities[:, spec.labels.index(spec.positive)].argmax()
        return np.asarray(probabilities[worst])
    weights = np.asarray([len(window.offsets) for window in windows], dtype=np.float32)
    return np.average(probabilities, axis=0, weights=weights).astype(np.float32)


def merge_tokens(
    probabilities: Sequence[Array], windows: Sequence[Window]
) -> tuple[Array, list[tuple[int, int]]]:
    """Return a text's token probabilities and bounds, each token once.

    Args:
        probabilities: For each window the content tokens' `(tokens, labels)`.
        windows: The windows, in text order.
    """
    if len(windows) == 1:
        return probabilities[0], windows[0].offsets
    parts: list[Array] = []
    offsets: list[tuple[int, int]] = []
    for position, (window, part) in enumerate(zip(windows, probabilities, strict=True)):
        first = 0 if position == 0 else _overlap(windows[position - 1], window) // 2
        last = len(window.offsets)
        if position + 1 < len(windows):
            shared = _overlap(window, windows[position + 1])
            last -= shared - shared // 2
        parts.append(part[first:last])
        offsets.extend(window.offsets[first:last])
    return np.concatenate(parts), offsets


def _overlap(left: Window, right: Window) -> int:
    """Return how many tokens the end of `left` shares with the start of `right`."""
    return left.first + len(left.offsets) - right.first
