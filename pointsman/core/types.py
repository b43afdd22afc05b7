"""Words that every room shares: spans, examples, predictions.

Offsets are counted in Unicode code points, which is what Python's string indices count, so
`text[span.start:span.end]` is always the span's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A labelled piece of a text.

    Attributes:
        start: First code point.
        end: One past the last code point.
        label: Entity type, without a BIO prefix.
    """

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled row, after validation.

    Attributes:
        text: The text as it will be served: never normalised.
        label: Class label of a sequence task; None for a token task.
        spans: Sorted, disjoint spans of a token task; empty for a sequence task.
        kind: Finer kind of the row (jailbreak: benign, jailbreak, injection, harmful, toxic).
        source: Name of the source that it came from.
        group: Template or document that it belongs to; rows of one group share a split.
        split: Official split that is kept as given, or None.
        meta: Further fields that slices and reports may use.
        annotated: Types that its source labels; others are unknown in it, and not absent. None:
            all of the task's.
    """

    text: str
    label: str | None = None
    spans: tuple[Span, ...] = ()
    kind: str | None = None
    source: str = ""
    group: str | None = None
    split: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    annotated: tuple[str, ...] | None = None

    def to_row(self) -> dict[str, Any]:
        """Return the JSON form; the inverse of `from_row`."""
        row: dict[str, Any] = {"text": self.text}
        if self.label is None:
            row["spans"] = [asdict(span) for span in self.spans]
        else:
            row["label"] = self.label
        for name in ("kind", "source", "group", "split"):
            if getattr(self, name):
                row[name] = getattr(self, name)
        if self.meta:
            row["meta"] = dict(self.meta)
        if self.annotated is not None:
            row["annotated"] = list(self.annotated)
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Example:
        """Read the form that `to_row` wrote; the row is trusted (see `pointsman.data.schema`)."""
        return cls(
            text=row["text"],
            label=row.get("label"),
            spans=tuple(Span(s["start"], s["end"], s["label"]) for s in row.get("spans", ())),
            kind=row.get("kind"),
            source=row.get("source", ""),
            group=row.get("group"),
            split=row.get("split"),
            meta=row.get("meta", {}),
            annotated=tuple(row["annotated"]) if "annotated" in row else None,
        )


@dataclass(frozen=True, slots=True)
class PredictedSpan:
    """A span that a model found.

    Attributes:
        start: First code point.
        end: One past the last code point.
        label: Entity type.
        text: `text[start:end]` of the input.
        score: Mean probability of its tokens' labels, in [0, 1].
    """

    start: int
    end: int
    label: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one task's model says of one text.

    Attributes:
        task: Name of the task.
        label: Chosen label; for a token task, "PII"-like tasks have None.
        score: Probability of the chosen label; for a token task, of its surest span, or 0.
        probabilities: Probability of every label of a sequence task, in label order.
        spans: Spans of a token task, in text order.
        tools: Tools that the chosen label stands for.
        unsure: Whether the score is below the bundle's abstain threshold, so that the caller
            had better ask elsewhere.
        unprocessed: Spans as they were before post-processing, where there was any; for
            measuring what it does, and no part of the JSON form.
    """

    task: str
    label: str | None
    score: float
    probabilities: Mapping[str, float] = field(default_factory=dict)
    spans: tuple[PredictedSpan, ...] = ()
    tools: tuple[str, ...] = ()
    unsure: bool = False
    unprocessed: tuple[PredictedSpan, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, leaving out what the task does not have."""
        row: dict[str, Any] = {"task": self.task}
        if self.label is None:
            row["spans"] = [asdict(span) for span in self.spans]
        else:
            row |= {"label": self.label, "score": self.score}
            row["probabilities"] = dict(self.probabilities)
        if self.tools:
            row["tools"] = list(self.tools)
        if self.unsure:
            row["unsure"] = True
        return row
