"""The collector behind every source: rows in, Examples and an account of the rest out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, RowError
from pointsman.core.texts import MAX_CHARS
from pointsman.core.types import Example
from pointsman.data.hub_rows import LeftOut, Raw
from pointsman.data.request import SourceRequest
from pointsman.data.schema import to_example
from pointsman.tasks.spec import TaskSpec

OnBadRow = Literal["stop", "skip"]


@dataclass(frozen=True, slots=True)
class RowRules:
    """What a row may be.

    Attributes:
        max_chars: Longest text, in code points.
        dropped_labels: Labels whose rows and spans are left out and counted.
    """

    max_chars: int = MAX_CHARS
    dropped_labels: frozenset[str] = frozenset()


@dataclass(slots=True)
class Door:
    """Where the rows of one source are let in, skipped or left out.

    Attributes:
        spec: The task.
        label_map: Their labels and kinds -> ours, or None to leave their rows or spans out.
        on_bad_row: Whether a bad row stops the run.
        rules: Bounds on rows.
        examples: Rows that were let in.
        places: Where each of them came from.
        skipped: What was wrong with each bad row.
    """

    spec: TaskSpec
    label_map: Mapping[str, str | None]
    on_bad_row: OnBadRow
    rules: RowRules
    examples: list[Example] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    _rows: int = 0
    _left_out: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, request: SourceRequest, spec: TaskSpec, how: OnBadRow, rules: RowRules) -> Door:
        """Return the door for a request, having checked what its `label_map` names.

        Raises:
            ConfigError: If it maps to a label or kind that the task does not know.
        """
        known = {*spec.labels, *spec.kinds, *spec.label_map, *rules.dropped_labels}
        for theirs, ours in request.label_map.items():
            if ours is not None and ours not in known:
                raise ConfigError(
                    f"{request.title}: label_map: {theirs!r} becomes a label that the task knows",
                    got=repr(ours),
                    fix=suggest(ours, (*spec.labels, *spec.kinds)),
                )
        return cls(spec, request.label_map, how, rules)

    def enter(self, where: str, row: Raw | LeftOut | RowError) -> None:
        """Let one row in, or keep account of why not.

        Raises:
            RowError: If it is bad and bad rows stop the run.
        """
        if isinstance(row, LeftOut):
            self._leave_out(row.reason, row.name)
            return
        self._rows += 1
        try:
            if isinstance(row, RowError):
                raise row
            self._admit(where, row)
        except RowError as error:
            if self.on_bad_row == "stop":
                raise
            self.skipped.append(str(error))

    def _admit(self, where: str, row: Raw) -> None:
        raw = self._mapped(row)
        if raw is None:
            return
        example = to_example(
            raw,
            where=where,
            spec=self.spec,
            max_chars=self.rules.max_chars,
            dropped_labels=self.rules.dropped_labels,
        )
        if example is None:
            self._leave_out("label", str(raw.get("label")))
            return
        self._count_dropped_spans(raw, example)
        self.examples.append(example)
        self.places.append(where)

    def _mapped(self, row: Raw) -> Raw | None:
        """Apply `label_map`; None leaves the row out."""
        changed: Raw = {}
        for name in ("kind", "label"):
            value = row.get(name)
            value = str(value) if isinstance(value, int) else value  # 0/1 and true/false columns
            if isinstance(value, str) and value in self.label_map:
                value = self.label_map[value]
                if value is None:
                    self._leave_out("label", str(row[name]))
                    return None
            changed[name] = value
        spans = self._mapped_spans(_parsed(row.get("spans")))
        return row | changed | {"spans": spans}

    def _mapped_spans(self, spans: object) -> object:
        if not (self.label_map and isinstance(spans, list)):
            return spans
        kept = []
        for span in spans:
            label = span.get("label") if isinstance(span, Mapping) else None
            if isinstance(label, str) and label in self.label_map:
                if self.label_map[label] is None:
                    self._leave_out("span label", label)
                    continue
                span = {**span, "label": self.label_map[label]}
            kept.append(span)
        return kept

    def _count_dropped_spans(self, raw: Raw, example: Example) -> None:
        spans = raw.get("spans")
        if isinstance(spans, list) and len(spans) > len(example.spans):
            kept = {(span.start, span.end) for span in example.spans}
            for span in spans:
                if (span["start"], span["end"]) not in kept:
                    self._leave_out("span label", span["label"])

    def _leave_out(self, reason: str, name: str) -> None:
        self._left_out.setdefault(reason, Counter())[name] += 1

    def counts(self, kept: int) -> dict[str, Any]:
        """Return the account: rows, examples, sampled out, skipped, left out."""
        return {
            "rows": self._rows,
            "examples": kept,
            "sampled_out": len(self.examples) - kept,
            "skipped": len(self.skipped),
            "left_out": {r: dict(c.most_common()) for r, c in sorted(self._left_out.items())},
        }


def _parsed(spans: object) -> object:
    """Read spans that came as text, in a CSV cell; what is no JSON is left for the schema."""
    if not isinstance(spans, str):
        return spans
    try:
        return json.loads(spans)
    except ValueError:
        return spans
