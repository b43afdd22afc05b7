"""The door: a raw row becomes an Example, or an error that says where it was and what it lacked.

Messages name places, fields, types and lengths, and never the row's text: rows are often personal
data, and messages end in logs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pointsman.core.config import suggest
from pointsman.core.errors import RowError
from pointsman.core.texts import MAX_CHARS, SURROGATE, find_fault
from pointsman.core.types import SPLITS, Example, Span
from pointsman.tasks.spec import TaskSpec

SLICE = "slice:"
_NAME = re.compile(r"[^\W\d][\w-]{0,39}(?<!\d{4})")
_SLICE_NAME = re.compile(r"slice:[a-z0-9][a-z0-9_.-]{0,63}")


def to_example(
    raw: Mapping[str, Any],
    *,
    where: str,
    spec: TaskSpec,
    max_chars: int = MAX_CHARS,
    dropped_labels: frozenset[str] = frozenset(),
) -> Example | None:
    """Validate one row.

    Args:
        raw: The row under our field names: text, label or kind or spans, group, split, source,
            meta.
        where: The row's place, such as `file.jsonl: row 17`.
        spec: The task, as the recipe narrowed it.
        max_chars: The longest text that is accepted, in code points.
        dropped_labels: Labels that the task was narrowed by: their rows and spans are left out.

    Returns:
        The example, or None if its label is one of `dropped_labels`. A row of a kind that counts
        neither as positive nor as negative is kept as the slice `slice:<kind>`.

    Raises:
        RowError: If the row is not what the task needs.
    """
    example = Example(
        text=_text(raw.get("text"), where, max_chars),
        source=_string(raw.get("source"), where) or "",
        group=_string(raw.get("group"), where),
        split=_split(raw.get("split"), where),
        meta=_meta(raw.get("meta"), where),
    )
    if spec.level == "token":
        spans = _spans(raw.get("spans"), example.text, where, spec, dropped_labels)
        return replace(example, spans=spans)
    return _classified(example, raw, where, spec, dropped_labels)


def labels_left_out(spec: TaskSpec) -> frozenset[str]:
    """Return the labels that the task was narrowed by."""
    return frozenset(spec.left_out)


def is_split(value: str) -> bool:
    """Say whether a name is a split, or `slice:NAME` with a NAME that can be a file's."""
    return value in SPLITS or _SLICE_NAME.fullmatch(value) is not None


def shown(value: object) -> str:
    """Return a value for a message: what looks like a name as it is, of anything else the size.

    A user's text may stand in the wrong column, and messages end in logs.
    """
    if isinstance(value, str):
        if _NAME.fullmatch(value):
            return repr(value)
        return f"a string of {len(value)} characters"
    if value is None:
        return "nothing"
    return (
        f"{type(value).__name__} {value!r}"[:60]
        if isinstance(value, int | float)
        else type(value).__name__
    )


def _text(value: object, where: str, max_chars: int) -> str:
    fault = find_fault(value, max_chars=max_chars)
    if fault is None:
        return str(value)
    fix = fault.fix
    if not isinstance(value, str):
        fix = "name its column with `columns: {text: ...}`"
    raise RowError(where, f"`text` {fault.needed}", got=fault.got, fix=fix)


def _kind(value: object, where: str, spec: TaskSpec) -> str | None:
    if value is None or value == "" or not spec.kinds:
        return None
    if isinstance(value, str) and value in spec.kinds:
        return value
    raise RowError(
        where,
        f"`kind` to be one of {', '.join(spec.kinds)}",
        got=shown(value),
        fix="map it with `label_map`",
    )


def _classified(
    example: Example, raw: Mapping[str, Any], where: str, spec: TaskSpec, dropped: frozenset[str]
) -> Example | None:
    """Give the row its label; a kind decides before a label does. None: leave the row out."""
    kind = _kind(raw.get("kind"), where, spec)
    if kind is None:
        label = resolve_label(raw.get("label"), where=where, spec=spec, dropped=dropped)
        return None if label is None else replace(example, label=label)
    label = spec.label_of_kind(kind)
    if label is None:  # kept out of training: the label is a placeholder, the kind is what counts
        return replace(example, label=spec.negative, kind=kind, split=SLICE + kind)
    return replace(example, label=label, kind=kind)


def resolve_label(
    value: object, *, where: str, spec: TaskSpec, dropped: frozenset[str]
) -> str | None:
    """Return the task's label for a label of the data, or None if it is one of `dropped`.

    Raises:
        RowError: If the task does not know it.
    """
    if isinstance(value, str):
        label = spec.label_map.get(value, value)
        if label in spec.labels:
            return label
        if value in dropped or label in dropped:
            return None
    needed = "a label" if value is None else "a label that the task knows"
    near = suggest(value, spec.labels) if isinstance(value, str) else ", ".join(spec.labels)
    raise RowError(where, needed, got=shown(value), fix=f"{near}; or map it with `label_map`")


def _spans(
    value: object, text: str, where: str, spec: TaskSpec, dropped: frozenset[str]
) -> tuple[Span, ...]:
    kept: list[Span] = []
    for number, raw in enumerate(_span_list(value, where), start=1):
        place = f"{where}, span {number}"
        start, end = _offsets(raw, text, place)
        label = resolve_label(raw.get("label"), where=place, spec=spec, dropped=dropped)
        if label is not None:
            kept.append(Span(start, end, label))
    kept.sort()
    for before, after in zip(kept, kept[1:], strict=False):
        if after.start < before.end:
            raise RowError(
                where,
                "spans that do not overlap",
                got=f"{before.label} {before.start}-{before.end} and "
                f"{after.label} {after.start}-{after.end}",
            )
    return tuple(kept)


def _span_list(value: object, where: str) -> Iterable[Mapping[str, Any]]:
    if not isinstance(value, list | tuple):
        got = "nothing" if value is None else type(value).__name__
        raise RowError(where, "`spans` to be a list (empty where the text has none)", got=got)
    for number, span in enumerate(value, start=1):
        if not isinstance(span, Mapping):
            raise RowError(
                f"{where}, span {number}",
                "a mapping with start, end and label",
                got=type(span).__name__,
            )
    return value


def _offsets(raw: Mapping[str, Any], text: str, where: str) -> tuple[int, int]:
    start, end = raw.get("start"), raw.get("end")
    if not (_is_integer(start) and _is_integer(end)):
        raise RowError(
            where, "`start` and `end` to be integers", got=f"{shown(start)} and {shown(end)}"
        )
    if not 0 <= start < end <= len(text):  # type: ignore[operator]
        raise RowError(
            where,
            f"0 <= start < end <= {len(text)}, the text's length in code points",
            got=f"{start}-{end}",
        )
    if not text[start:end].strip():
        raise RowError(where, "a span that holds more than blanks", got=f"{start}-{end}")
    return start, end  # type: ignore[return-value]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _split(value: object, where: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and is_split(value):
        return value
    raise RowError(
        where,
        f"`split` to be {', '.join(SPLITS)} or slice:NAME",
        got=shown(value),
        fix="map it with `split_map` (`drop` leaves its rows out)",
    )


def _string(value: object, where: str) -> str | None:
    if value is None or value == "":
        return None
    text = str(value)
    if SURROGATE.search(text):
        raise RowError(where, "fields in valid Unicode", got="a lone surrogate")
    return text


def _meta(value: object, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RowError(where, "`meta` to be a mapping", got=type(value).__name__)
    kept = {str(key): _string(inner, where) for key, inner in value.items()}
    return {key: inner for key, inner in kept.items() if inner is not None}
