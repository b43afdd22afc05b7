"""Encoding and decoding agree, over Unicode and every kind of tokenizer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.errors import BundleError, ConfigError
from pointsman.core.types import Span
from pointsman.data.encode import (
    IGNORED,
    Alignment,
    TextEncoder,
    count_alignment,
    label_ids,
    label_tokens,
    trim,
)
from pointsman.runtime.decode import decode_labels
from pointsman.runtime.windows import merge_tokens
from pointsman.tasks.pii import PII
from tests.conftest import FAMILIES, make_tokenizer

ENCODERS = {family: TextEncoder(make_tokenizer(family), max_length=64) for family in FAMILIES}
SHORT = {
    family: TextEncoder(make_tokenizer(family), max_length=16, overlap=4) for family in FAMILIES
}

# Letters, digits, blanks, emoji with joiners and skin tones, combining marks, right-to-left,
# full-width digits, zero-width characters, controls.
ALPHABET = "aZé9 .-@\n\t\u0301\u0651👩🏽\u200d💻שלمر８９東京\u200b\u00ad\u00a0ß"
TEXT = st.text(alphabet=ALPHABET, min_size=1, max_size=60).filter(lambda t: t.strip() != "")


@st.composite
def texts_with_spans(draw, family=None):
    text = draw(TEXT)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        start, end = trim(text, start, end)
        if start < end:
            spans.append(Span(start, end, draw(st.sampled_from(PII.labels))))
    return text, spans


def roundtrip(encoder, text, spans):
    windows = encoder.encode([text])[0]
    labels, offsets = [], []
    for window in windows:
        labels.append(label_tokens(window.offsets, spans, label_ids(PII)))
    import numpy as np

    hot = [np.eye(35, dtype=np.float32)[row].reshape(-1, 35) for row in labels]
    merged, offsets = merge_tokens(hot, windows)
    decoded = decode_labels(merged.argmax(1).tolist(), [1.0] * len(merged), offsets)
    found = [(*trim(text, s, e), PII.labels[k]) for s, e, k, _ in decoded]
    return offsets, found


def aligned_spans(offsets, spans):
    """Spans whose ends lie on token bounds and whose tokens no other span touches."""
    starts = {s for s, e in offsets if s < e}
    ends = {e for s, e in offsets if s < e}
    real = [(s, e) for s, e in offsets if s < e]
    exact = []
    for span in spans:
        own = [(s, e) for s, e in real if s < span.end and e > span.start]
        inside = all(s >= span.start and e <= span.end for s, e in own)
        if span.start in starts and span.end in ends and inside:
            exact.append((span.start, span.end, span.label))
    return exact


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=300, deadline=None)
@given(case=texts_with_spans())
def test_spans_on_token_bounds_come_back_exactly(family, case):
    text, spans = case
    offsets, found = roundtrip(ENCODERS[family], text, spans)
    for span in aligned_spans(offsets, spans):
        assert span in found
    for start, end, _ in found:  # whatever comes back is a real, trimmed piece of the text
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=150, deadline=None)
@given(case=texts_with_spans())
def test_spans_survive_windows(family, case):
    text, spans = case
    whole_offsets, whole = roundtrip(ENCODERS[family], text, spans)
    offsets, found = roundtrip(SHORT[family], text, spans)
    assert offsets == whole_offsets
    for span in aligned_spans(offsets, spans):
        # A span longer than the overlap may begin anew in the next window, but never vanishes.
        covered = [f for f in found if f[0] < span[1] and span[0] < f[1] and f[2] == span[2]]
        assert covered


@pytest.mark.parametrize("family", FAMILIES)
def test_other_spans_widen_and_are_counted(family):
    text = "reach sarah now"
    offsets = ENCODERS[family].encode([text])[0][0].offsets
    counts = Alignment()
    count_alignment(offsets, [Span(6, 11, "PERSON")], counts)
    assert (counts.exact, counts.widened, counts.lost) == (1, 0, 0)
    first = next((s, e) for s, e in offsets if e - s > 1)
    count_alignment(offsets, [Span(first[0], first[1] - 1, "PERSON")], counts)
    assert (counts.exact, counts.widened, counts.lost) == (1, 1, 0)


def test_two_spans_in_one_token_lose_the_second_and_say_so():
    counts = Alignment()
    spans = [Span(0, 2, "PERSON"), Span(2, 4, "AGE")]
    assert label_tokens([(0, 4)], spans, label_ids(PII)) == [2 * 10 + 1]
    count_alignment([(0, 4)], spans, counts)
    assert (counts.widened, counts.lost) == (1, 1)


def test_the_tokenizers_own_truncation_and_padding_are_reset():
    text = "sarah " * 40
    encoder = TextEncoder(make_tokenizer("bert"), max_length=512)
    windows = encoder.encode([text, "sarah"])
    assert len(windows[0]) == 1 and len(windows[0][0]) > 40
    assert len(windows[1][0]) < 16


def test_byte_level_offsets_leave_the_blank_out():
    offsets = ENCODERS["modernbert"].encode(["call Sarah"])[0][0].offsets
    assert all(not "call Sarah"[s:e].startswith(" ") for s, e in offsets)
    assert (4, 5) not in offsets


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_that_a_text_spells_out_are_text(family):
    """Else a prompt could end itself, hide words behind masks, or be padding in part."""
    encoder = ENCODERS[family]
    special = set(encoder.special_ids()) - {encoder._tokenizer.token_to_id("[UNK]")}
    text = "a [SEP] b [PAD][CLS] c [MASK] d <s>e</s> f <mask> g <pad>"
    (window,) = encoder.encode([text])[0]
    assert not special & set(window.input_ids[window.content])
    assert special & set(window.input_ids)
    assert all(text[start:end].strip() for start, end in window.offsets if start < end)


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_overlap_and_cover_everything(family):
    text = "Contact Dr. Sarah Johnson at sarah.j@example.org or call 555-123-4567. " * 6
    windows = SHORT[family].encode([text])[0]
    whole = TextEncoder(make_tokenizer(family), max_length=4096).encode([text])[0]
    assert len(whole) == 1 and len(windows) > 5
    assert all(len(window) <= 16 for window in windows)
    seen = {}
    for window in windows:
        for position, bounds in enumerate(window.offsets):
            seen[window.first + position] = bounds
    assert [seen[i] for i in range(len(seen))] == whole[0].offsets
    for left, right in zip(windows, windows[1:], strict=False):
        assert right.first < left.first + len(left.offsets)


def test_label_ids_of_special_tokens_are_ignored():
    window = ENCODERS["bert"].encode(["call sarah"])[0][0]
    labels = [IGNORED] * len(window)
    labels[window.content] = [0] * len(window.offsets)
    assert labels[0] == IGNORED and labels[-1] == IGNORED and labels.count(0) == len(labels) - 2


def test_a_missing_or_damaged_tokenizer_is_named(tmp_path):
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        TextEncoder.from_directory(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(BundleError, match="readable"):
        TextEncoder.from_directory(tmp_path)


def test_a_window_needs_room():
    with pytest.raises(ConfigError, match="max_length"):
        TextEncoder(make_tokenizer("bert"), max_length=4)


@pytest.mark.parametrize("family", FAMILIES)
def test_escaped_line_breaks_stand_apart_and_offsets_hold(family, backbones, tmp_path):
    text = "Address:\\nSarah\\tJohnson \\\\ now"
    encoder = TextEncoder.from_backbone(backbones[family])
    encoder.save(tmp_path)
    for reader in (encoder, TextEncoder.from_directory(tmp_path)):
        (window,) = reader.encode([text])[0]
        starts = {start for start, end in window.offsets if start < end}
        assert {text.index("Sarah"), text.index("Johnson")} <= starts
        pieces = [text[start:end] for start, end in window.offsets]
        assert not any(piece.startswith(("nS", "tJ", "nSarah")) for piece in pieces)
        assert sum(piece in ("\\", "\\n", "\\t") for piece in pieces) >= 2  # breaks are tokens


@pytest.mark.parametrize("family", FAMILIES)
def test_line_breaks_are_seen_where_the_task_needs_them(family, backbones):
    def tokens(text, **options):
        encoder = TextEncoder.from_backbone(backbones[family], **options)
        return encoder.encode([text])[0][0]

    assert len(tokens("call\nsarah", lines=True)) > len(tokens("call sarah", lines=True))
    (one, two) = (tokens(text, lines=True) for text in ("call\nsarah", "call\n\nsarah"))
    assert one.offsets[-1][1] == 10 and two.offsets[-1][1] == 11
    if family == "bert":  # the others see line breaks by themselves
        assert len(tokens("call\nsarah")) == len(tokens("call sarah"))


def test_an_entity_cut_by_a_window_goes_on_inside():
    offsets, spans = [(4, 8), (9, 12)], [Span(0, 12, "PERSON")]
    begin, inside = 2 * 10 + 1, 2 * 10 + 2
    assert label_tokens(offsets, spans, label_ids(PII)) == [begin, inside]
    assert label_tokens(offsets, spans, label_ids(PII), continued=True) == [inside, inside]
    later = [Span(9, 12, "PERSON")]
    assert label_tokens(offsets, later, label_ids(PII), continued=True) == [0, begin]
