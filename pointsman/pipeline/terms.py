"""What holds around a training: what the user agrees to, and what is asked of the bundle."""

from __future__ import annotations

from dataclasses import dataclass, field

from pointsman.evaluation.perturbed import EvaluateOptions
from pointsman.pipeline.gate import Consent


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds around a training.

    Attributes:
        consent: What of its data the user agrees to train in spite of.
        at: The operating point that the thresholds are chosen for; the task's own when None.
        evaluation: What is asked of the bundle beside its test split.
    """

    consent: Consent = field(default_factory=Consent)
    at: str | None = None
    evaluation: EvaluateOptions = field(default_factory=EvaluateOptions)
