"""Thresholds that cut scores: midway between two of them, so that none hangs on a last digit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEW_FALSE = 5  # below so many mistakes that a target allows, their rate is a guess

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def allows_few(rows: int, share: float) -> bool:
    """Say whether a share of so many rows is too few mistakes for their rate to be known."""
    return share * rows + 1e-9 < FEW_FALSE


def ranked(scores: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order of scores from the highest, and the last place of each tied score in it.

    Args:
        scores: Any scores `(rows,)`.
    """
    order = np.argsort(-scores, kind="stable")
    return order, np.flatnonzero(np.diff(scores[order], append=-np.inf))


def lowest_kept(scores: Floats, lowest: float) -> float:
    """Return the midpoint between the lowest score that counts and the next one below."""
    below = scores[scores < lowest]
    bottom = float(below.max()) if len(below) else 0.0
    middle = (float(lowest) + bottom) / 2
    return middle if bottom < middle else float(lowest)


def above_order_statistic(scores: Floats, truth: Mask, allowed: int) -> float:
    """Return the threshold that leaves at most `allowed` negative rows at or above it.

    It lies midway between the highest score that must not count and the next one above.
    """
    negatives = np.sort(scores[~truth])[::-1]
    if allowed >= len(negatives):
        return 0.0
    barred = negatives[allowed]
    above = scores[scores > barred]
    top = float(above.min()) if len(above) else 1.0
    middle = (float(barred) + top) / 2
    return middle if middle > barred else float(np.nextafter(barred, 2))


def threshold_at_fpr(scores: Floats, truth: Mask, rate: float) -> float:
    """Return the lowest threshold whose false-positive rate is at most `rate`.

    Args:
        scores: Probability of the positive label `(rows,)`.
        truth: Whether each row is positive `(rows,)`.
        rate: Largest share of negative rows at or above the threshold.
    """
    return above_order_statistic(scores, truth, int(rate * (~truth).sum() + 1e-9))
