"""Mention replacement: further training rows, in which runs of spans come from other rows.

A model that saw an address in two templates learns the templates. A copy of a row with the address
of another row in its place tells context and value apart (mention replacement of Dai and Adel,
2020, arXiv:2010.11683). Spans that stand beside each other with no word between them, as street,
city and code do, are one run and move together: what is labelled how depends on how the run is
written.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pointsman.core.types import Example, Span

GAP = 6  # code points between two spans of a run at most, none of them a letter or digit


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring spans of one text.

    Attributes:
        start: First code point.
        text: Its text.
        spans: Its spans, counted from its start.
    """

    start: int
    text: str
    spans: tuple[Span, ...]

    @property
    def end(self) -> int:
        """One past its last code point."""
        return self.start + len(self.text)

    @property
    def kind(self) -> str:
        """The type that most of its characters have: runs are replaced by those of their kind."""
        sizes: dict[str, int] = defaultdict(int)
        for span in self.spans:
            sizes[span.label] += span.end - span.start
        return max(sizes, key=lambda label: (sizes[label], label))


def runs_of(example: Example) -> list[Run]:
    """Return the runs of spans of a row, in text order."""
    parts: list[list[Span]] = []
    for span in example.spans:
        if parts and _joins(example.text[parts[-1][-1].end : span.start]):
            parts[-1].append(span)
        else:
            parts.append([span])
    return [_run(example.text, part) for part in parts]


def _joins(between: str) -> bool:
    return len(between) <= GAP and not any(character.isalnum() for character in between)


def _run(text: str, spans: Sequence[Span]) -> Run:
    start, end = spans[0].start, spans[-1].end
    moved = tuple(Span(s.start - start, s.end - start, s.label) for s in spans)
    return Run(start, text[start:end], moved)


def swap_mentions(examples: Sequence[Example], share: float, *, seed: int) -> list[Example]:
    """Return copies of rows in which every run of spans is another row's, of the same kind.

    Rows that are labelled in part are left out: a run of theirs may hold what is not labelled.

    Args:
        examples: The training split of a token task.
        share: How many copies, as a share of the rows; above 1, rows are copied several times.
        seed: Of the draws.
    """
    whole = [example for example in examples if example.annotated is None and example.spans]
    if not whole:
        return []
    draw = random.Random(seed)
    pools: dict[str, list[Run]] = defaultdict(list)
    for example in whole:
        for run in runs_of(example):
            pools[run.kind].append(run)
    return [_swap(example, pools, draw) for example in _drawn(whole, share, draw)]


def _drawn(rows: Sequence[Example], share: float, draw: random.Random) -> Iterator[Example]:
    """Yield rows until there are enough, each as often as any other, give or take one."""
    left = round(share * len(rows))
    while left > 0:
        chosen = draw.sample(rows, min(left, len(rows)))
        left -= len(chosen)
        yield from chosen


def _swap(example: Example, pools: dict[str, list[Run]], draw: random.Random) -> Example:
    pieces: list[str] = []
    spans: list[Span] = []
    length = done = 0
    for run in runs_of(example):
        before, new = example.text[done : run.start], draw.choice(pools[run.kind])
        pieces += [before, new.text]
        length += len(before)
        spans += [Span(length + s.start, length + s.end, s.label) for s in new.spans]
        length += len(new.text)
        done = run.end
    pieces.append(example.text[done:])
    return replace(example, text="".join(pieces), spans=tuple(spans))
