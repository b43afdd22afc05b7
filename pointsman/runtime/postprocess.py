"""What is known of values and names without a model, laid over the spans that a model found.

Each step works on types that the task's labels hold, so a task with other labels is left alone.
No step finds anything where the model found nothing, none alters the text, and applying the whole
twice gives what applying it once gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace

from pointsman.bundle.meta import PostOptions
from pointsman.core.types import PredictedSpan
from pointsman.runtime.addresses import merge_addresses
from pointsman.runtime.organisations import resolve_organisations
from pointsman.runtime.overlap import replace_spans, touching
from pointsman.runtime.validators import STRUCTURED, Value, accepts, find_values, possible

Spans = Sequence[PredictedSpan]
Step = Callable[[str, Spans], list[PredictedSpan]]
_AROUND = " \t\n.,;:!?-\"'<>[]{}="  # no value begins or ends with these
MOST_ROUNDS = 8  # steps that change nothing end the rounds; two are the rule


def steps_for(labels: Sequence[str], options: PostOptions) -> list[Step]:
    """Return the steps that are on and have something to do for a task of these labels."""
    known = frozenset(labels)
    structured = known & STRUCTURED
    steps: list[Step] = []
    if options.values and structured:
        steps.append(lambda text, spans: correct_values(text, spans, structured))
    if options.drop and structured:
        steps.append(drop_impossible)
    if options.organisations and {"PERSON", "ORGANIZATION"} <= known:
        steps.append(resolve_organisations)
    if options.merge and "STREET_ADDRESS" in known:
        steps.append(merge_addresses)
    return steps


def postprocess(
    text: str, spans: Spans, labels: Sequence[str], options: PostOptions
) -> tuple[PredictedSpan, ...]:
    """Return the spans after every step that applies, sorted and disjoint.

    Args:
        text: The text, which is never altered.
        spans: What a model found in it, sorted and disjoint.
        labels: Entity types of the task.
        options: Which steps are on.
    """
    current = list(spans)
    if not current:
        return ()
    steps = steps_for(labels, options)
    for _ in range(MOST_ROUNDS):
        before = current
        for step in steps:
            current = step(text, current)
        if current == before:
            break
    return tuple(current)


def correct_values(text: str, spans: Spans, labels: Set[str]) -> list[PredictedSpan]:
    """Give spans that touch a structured value that value's bounds and type.

    Args:
        text: The text.
        spans: Sorted, disjoint spans in it.
        labels: Structured types that the task has.
    """
    given = {}
    for value in find_values(text, labels):
        touched = touching(spans, value.start, value.end)
        if touched and _claims(value, [spans[index] for index in touched]):
            given[value.start, value.end, value.label] = touched
    return [_trimmed(text, span) for span in replace_spans(text, spans, given)]


def _claims(value: Value, touched: Spans) -> bool:
    """Say whether a value takes the place of the spans that it touches.

    A span that is right as it stands keeps its place, unless a sure value reaches beyond it.
    """
    structured = [span for span in touched if span.label in STRUCTURED]
    others = [span for span in touched if span.label not in STRUCTURED]
    if any(span.start < value.start or value.end < span.end for span in others):
        return False
    if not value.sure:
        return bool(structured) and not any(accepts(s.label, s.text) for s in structured)
    return not any(
        accepts(span.label, span.text) and span.start <= value.start and value.end <= span.end
        for span in structured
    )


def _trimmed(text: str, span: PredictedSpan) -> PredictedSpan:
    """Take the punctuation around a value away, where it is a value without it."""
    if span.label not in STRUCTURED or accepts(span.label, span.text):
        return span
    start = span.start + len(span.text) - len(span.text.lstrip(_AROUND))
    end = span.end - (len(span.text) - len(span.text.rstrip(_AROUND)))
    piece = text[start:end]
    if start < end and accepts(span.label, piece):
        return replace(span, start=start, end=end, text=piece)
    return span


def drop_impossible(text: str, spans: Spans) -> list[PredictedSpan]:
    """Leave out spans that cannot be what they are said to be, and those of no letter or digit.

    Args:
        text: The text.
        spans: Sorted, disjoint spans in it.
    """
    return [
        span
        for span in spans
        if any(c.isalnum() for c in span.text) and possible(span.label, span.text)
    ]
