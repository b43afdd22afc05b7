"""Texts with spans as a poor model might give them, for post-processing to mend."""

from __future__ import annotations

import random
from collections.abc import Iterator

from pointsman.bundle.meta import PostOptions
from pointsman.core.types import PredictedSpan
from pointsman.data.golden_texts import golden_texts
from pointsman.data.synthetic import generate_pii
from pointsman.runtime.postprocess import postprocess
from pointsman.tasks.pii import PII
from tests.runtime.test_postprocess import marked

VALUES = (
    "ann.lee@x.org", "Ann%40b.co", "www.exämple.com/", "HTTPS://X.org", "GB82WEST12345698765432",
    "gb82 west 1234 5698 7654 32", "DE89 3704 0044 0532 0130 00", "DE12345678901234567890",
    "4111 1111 1111 1111", "4111-1111-1111-1112", "٤١١١ 1111 1111 1111", "925-22-8758", "078-05-1120",
    "123-45-6789", "666-12-3456", "10.0.0.1", "256.1.1.1", "01.2.3.4", "2001:db8::1", "1::2::3",
    "::ffff:10.0.0.1", "1:2:3:4:5:6:7::", "+1 (450) 323-3296", "+44 (0)20 7946 0958", "+1 323-3296",
    "+46 (0)8 704 655\xa072", "+999 1234567", "+49 30/123456", "(08) 9098 6465", "0680 390 92 93 x12",
    "XXX-XX-6789", "ann at x dot org", "10.0.x.x", "12 Main St", "Dover, TX 36591", "SW1A 2AA",
    "Johnson & Sons Ltd.", "Sarah Lee", "Harrah's Reno, NV", "Bo, Inc.", "Acme GmbH & Co. KG", "🙂", "…",
    "12 Main St, Dover, TX 36591", "Müller AG", "Ярмарка ООО", "\\nThelma", "x²", "_", "--", "No. 7",
)  # fmt: skip
# what chance rarely makes: `[TYPE:text]` marks a span
EXACT = (
    "[US_DRIVER_LICENSE:DE5437040044]05320130001 is of no length that Germany has",
    "[ORGANIZATION:Harrah's Reno], NV and [PERSON:Anna Bo], GmbH",
    "Type 2 Diabetes. Located at [STREET_ADDRESS:12 Main St], [GPE:Dover], TX [ZIP_CODE:36591]",
    "at 12 [STREET_ADDRESS:Main St], [GPE:Dover], TX [ZIP_CODE:36591].",
)
BETWEEN = (
    " ",
    ", ",
    "\n",
    "\\n",
    ". ",
    "",
    ": ",
    " 👍 ",
    "\u2028",
    " and ",
    "(",
    ")",
    "\xa0",
    "; ",
)


def made_texts(count: int, draw: random.Random) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Return texts strung together of values and what may stand between, each value a span."""
    for _ in range(count):
        text, spans = "", []
        for _ in range(draw.randint(1, 7)):
            value = draw.choice(VALUES)
            spans.append((len(text), len(text) + len(value), draw.choice(PII.labels)))
            text += value + draw.choice(BETWEEN)
        yield text, spans


def roughened(
    text: str, spans: list[tuple[int, int, str]], draw: random.Random
) -> list[PredictedSpan]:
    """Return spans cut, moved, split and mistaken, sorted and disjoint."""
    out: list[PredictedSpan] = []
    for start, end, label in spans:
        if draw.random() < 0.1:
            continue
        if draw.random() < 0.4:
            start += draw.randint(-3, 3)
            end += draw.randint(-3, 3)
        if draw.random() < 0.3:
            label = draw.choice(PII.labels)
        middle = draw.randint(start, end) if end - start > 2 and draw.random() < 0.3 else end
        for low, high in ((start, middle), (middle, end)):
            low = max(low, out[-1].end if out else 0)
            if low < min(high, len(text)):
                piece = text[low : min(high, len(text))]
                score = round(draw.random(), 6)
                out.append(PredictedSpan(low, low + len(piece), label, piece, score))
    return out


def cases() -> tuple[list[dict[str, object]], int]:
    """Return texts with spans and what Python makes of these, and in how many that is a change."""
    draw = random.Random(7)
    generated = (
        (row.text, [(s.start, s.end, s.label) for s in row.spans])
        for row in generate_pii(500, seed=21)
    )
    golden = ((text, [(2, 9, "PERSON"), (9, 30, "PHONE_NUMBER")]) for text in golden_texts())
    rows: list[dict[str, object]] = []
    changed = 0
    for text, exact in [*generated, *made_texts(1500, draw), *golden]:
        spans = roughened(text, exact, draw)
        found = postprocess(text, spans, PII.labels, PostOptions())
        changed += list(found) != spans
        rows.append({"text": text, "spans": _plain(spans), "expected": _plain(found)})
    for text, spans in map(marked, EXACT):
        found = postprocess(text, spans, PII.labels, PostOptions())
        rows.append({"text": text, "spans": _plain(spans), "expected": _plain(found)})
    return rows, changed


def _plain(spans: object) -> list[list[object]]:
    return [[s.start, s.end, s.label, s.score] for s in spans]  # type: ignore[attr-defined]
