"""What training learns from: encoded rows. No torch, so that a recipe can be read without it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Row:
    """One encoded training or evaluation row.

    Attributes:
        input_ids: Token ids with special tokens.
        labels: A class index, or one BIO index a token (`IGNORED` on special tokens; of a row that
            is labelled in part, `IN_PART` less the place of its set of types where no span is).
        source: Where its example came from.
        head: Place of its head among those that are trained together.
        teacher: Log-probabilities that a teacher gives: `(classes,)`, or `(tokens, classes)` with
            special tokens; None without one.
    """

    input_ids: list[int]
    labels: int | list[int]
    source: str = ""
    head: int = 0
    teacher: NDArray[np.float16] | None = field(default=None, compare=False, repr=False)
