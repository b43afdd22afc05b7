"""The audit as commands and training use it: data from anywhere, examples masked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pointsman.core.types import Example
from pointsman.data.audit import AuditedData, audit
from pointsman.data.door import OnBadRow
from pointsman.data.encode import TextEncoder
from pointsman.data.request import SourceRequest
from pointsman.data.sources import load_source
from pointsman.runtime.masking import mask_patterns, mask_spans
from pointsman.tasks.spec import TaskSpec

_SHOWN = 160  # characters of an example
_CHUNK = 1000


def mask(example: Example) -> str:
    """Return a text with its spans masked, and what can be told by its form."""
    return mask_patterns(mask_spans(example.text, example.spans))


def masked(example: Example) -> str:
    """Return the beginning of a masked text."""
    text = mask(example)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def revealed(example: Example) -> str:
    """Return the beginning of a text as it is."""
    text = example.text
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def audit_data(
    data: AuditedData, *, encoder: TextEncoder | None = None, reveal: bool = False
) -> dict[str, Any]:
    """Audit data, with examples that may be shown.

    Args:
        data: The rows.
        encoder: A backbone's tokenizer, to measure lengths in tokens.
        reveal: Show examples as they are.
    """
    return audit(
        data,
        shown=revealed if reveal else masked,
        token_lengths=None if encoder is None else lambda texts: token_lengths(encoder, texts),
        max_length=None if encoder is None else encoder.max_length,
    )


def token_lengths(encoder: TextEncoder, texts: Sequence[str]) -> list[int]:
    """Return each text's length in tokens, special ones included, as if no window were cut."""
    lengths = []
    for start in range(0, len(texts), _CHUNK):
        for parts in encoder.encode(list(texts[start : start + _CHUNK])):
            last = parts[-1]
            lengths.append(last.first + len(last))
    return lengths


def read_raw(
    spec: TaskSpec,
    requests: Iterable[tuple[SourceRequest, Path | None]],
    *,
    on_bad_row: OnBadRow = "stop",
) -> AuditedData:
    """Read labelled rows as sources have them, with the splits that they name.

    Args:
        spec: The task.
        requests: Sources, each with the mirror of the hub that it is read from.
        on_bad_row: `stop` at the first bad row, or `skip` it.

    Raises:
        PointsmanError: For sources and rows that will not do.
    """
    examples: list[Example] = []
    sources = []
    for request, mirror in requests:
        loaded = load_source(request, spec, mirror=mirror, on_bad_row=on_bad_row)
        examples += loaded.examples
        sources.append(loaded.provenance)
    return AuditedData.from_examples(spec, examples, sources)
