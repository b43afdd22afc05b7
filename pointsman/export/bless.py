"""What an export has to show before it may answer in place of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.core.types import Example, Prediction
from pointsman.runtime.backend import Backend
from pointsman.runtime.predictor import Predictor, Reading

MOST_LOST = 0.005  # of a headline metric on validation: half a point
LEAST_AGREEMENT = 0.99  # of the decisions at the operating point
MOST_ERROR = 1e-4  # of the logits of an export in fp32
ROUNDING = 1e-9  # 0.9 - 0.895 is a little more than half a point

VALIDATION = "validation split"
UNLABELLED = "golden texts, no validation data"

Score = Callable[[Sequence[Example], Sequence[Prediction]], float]


@dataclass(frozen=True, slots=True)
class Reference:
    """What torch in fp32 says of some rows.

    Attributes:
        predictor: The bundle's head in torch fp32.
        examples: Labelled rows, or texts alone.
        readings: Its logits of each row.
        predictions: What follows from them.
        score: Gives the head's headline metric; None where rows have no labels.
    """

    predictor: Predictor
    examples: tuple[Example, ...]
    readings: tuple[Reading, ...]
    predictions: tuple[Prediction, ...]
    score: Score | None

    @classmethod
    def ask(
        cls, predictor: Predictor, examples: Sequence[Example], score: Score | None
    ) -> Reference:
        """Let torch answer the rows."""
        readings = predictor.read([example.text for example in examples])
        predictions = predictor.decide(readings)
        return cls(predictor, tuple(examples), tuple(readings), tuple(predictions), score)


@dataclass(frozen=True, slots=True)
class Proof:
    """What an export did on the rows of one head.

    Attributes:
        rows: How many rows it answered.
        data: What they are: `VALIDATION`, or `UNLABELLED`.
        agreement: Share of its decisions that are torch's, see `agreement`; none where its logits
            are no numbers.
        logit_error: Largest difference of a logit; infinite if one of them is no number.
        before: The headline metric of torch; None where rows have no labels or logits no numbers.
        after: That of the export.
        blessed: Whether all of it is good enough.
    """

    rows: int
    data: str
    agreement: float
    logit_error: float
    before: float | None
    after: float | None
    blessed: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        figures: dict[str, Any] = {
            "rows": self.rows,
            "data": self.data,
            "agreement": self.agreement,
            # JSON has no infinity
            "logit_error": self.logit_error if math.isfinite(self.logit_error) else None,
            "blessed": self.blessed,
        }
        if self.before is not None and self.after is not None:
            figures |= {"headline": {"torch": self.before, "export": self.after}}
        return figures


class AllAtOnce:
    """A backend that computes all of its heads whichever is asked for.

    Args:
        backend: What computes them.
    """

    def __init__(self, backend: Backend) -> None:
        self.name = backend.name
        self.heads = backend.heads
        self.digest = backend.digest
        self._backend = backend

    def run(
        self, batch: Sequence[Sequence[int]], heads: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the logits of heads; see `pointsman.runtime.backend.Backend`."""
        found = self._backend.run(batch, self.heads)
        return {head: found[head] for head in heads}


def ways_to_ask(backend: Backend) -> list[Backend]:
    """Return an export as each of its heads is answered by it: by itself, and among all.

    Both ways may go through graphs of their own, so both have to be proven.
    """
    return [backend, AllAtOnce(backend)] if len(backend.heads) > 1 else [backend]


def prove(reference: Reference, candidates: Sequence[Predictor], precision: str) -> Proof:
    """Let an export answer what torch answered, in every way that it is asked.

    Args:
        reference: What torch said of the rows.
        candidates: The same head, computed by the export; once for each of `ways_to_ask`.
        precision: What the export computes in.

    Returns:
        What it did: of several ways the worst of each figure, and blessed only if all are.
    """
    proofs = [_prove(reference, candidate, precision) for candidate in candidates]
    known = [p.after for p in proofs if p.after is not None]
    whole = len(known) == len(proofs)
    return Proof(
        rows=proofs[0].rows,
        data=proofs[0].data,
        agreement=min(proof.agreement for proof in proofs),
        logit_error=max(proof.logit_error for proof in proofs),
        before=proofs[0].before if whole else None,
        after=min(known) if whole else None,
        blessed=all(proof.blessed for proof in proofs),
    )


def _prove(reference: Reference, candidate: Predictor, precision: str) -> Proof:
    """Prove one way: in fp32 logits have to agree, in any other precision to be numbers."""
    readings = candidate.read([example.text for example in reference.examples])
    error = logit_error(reference.readings, readings)
    data = VALIDATION if reference.score is not None else UNLABELLED
    if not math.isfinite(error):  # what would be decided on no numbers could agree by chance
        return Proof(len(readings), data, 0.0, error, None, None, blessed=False)
    predictions = candidate.decide(readings)
    agreed = agreement(reference.predictions, predictions)
    before = after = None
    blessed = agreed >= LEAST_AGREEMENT and (precision != "fp32" or error <= MOST_ERROR)
    if reference.score is not None:
        before = reference.score(reference.examples, reference.predictions)
        after = reference.score(reference.examples, predictions)
        blessed = blessed and before - after <= MOST_LOST + ROUNDING
    elif precision != "fp32":
        blessed = False  # figures alone can bless a precision that moves the logits
    return Proof(len(readings), data, agreed, error, before, after, blessed)


def agreement(first: Sequence[Prediction], second: Sequence[Prediction]) -> float:
    """Return the share of decisions that two models share.

    A decision is the label of a text and whether it is sure. Of a token task it is each span that
    either finds, bounds and type, and the silence of both about a text.
    """
    same = total = 0
    for one, other in zip(first, second, strict=True):
        if one.label is not None or other.label is not None:
            same += (one.label, one.unsure) == (other.label, other.unsure)
            total += 1
            continue
        spans, others = ({(s.start, s.end, s.label) for s in p.spans} for p in (one, other))
        same += len(spans & others) if spans or others else 1
        total += len(spans | others) or 1
    return same / total if total else 1.0


def logit_error(first: Sequence[Reading], second: Sequence[Reading]) -> float:
    """Return the largest difference of a logit between two models' readings of the same texts.

    It is infinite where either has one that is no number.
    """
    # not left to max(): it passes over a NaN that is not the first
    return max((float(_apart(a, b).max()) for a, b in _pairs(first, second)), default=0.0)


def mean_logit_error(first: Sequence[Reading], second: Sequence[Reading]) -> float:
    """Return the root of the mean squared difference of the logits; infinite as `logit_error`."""
    squares = [(float((_apart(a, b) ** 2).sum()), a.size) for a, b in _pairs(first, second)]
    return float(np.sqrt(sum(s for s, _ in squares) / max(1, sum(n for _, n in squares))))


def _apart(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far logits of one shape are apart, infinitely where one is no number."""
    with np.errstate(invalid="ignore"):  # infinity less itself is no number
        return np.asarray(np.nan_to_num(np.abs(first - second), nan=np.inf, posinf=np.inf))


def _pairs(first: Sequence[Reading], second: Sequence[Reading]) -> list[tuple[Any, Any]]:
    return [
        (a, b)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one.logits, other.logits, strict=True)
    ]
