"""Post-processing: each step alone, the whole twice, and nothing where it does not belong."""

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.bundle.meta import NO_POSTPROCESSING, PostOptions
from pointsman.core.types import PredictedSpan
from pointsman.runtime.postprocess import postprocess, steps_for
from pointsman.tasks.pii import PII

ALL = PostOptions()
STEPS = tuple(PostOptions.model_fields)


def only(step):
    return NO_POSTPROCESSING.model_copy(update={step: True})


def marked(text):
    """Read `[PERSON:Ann]` marks off a text; return it with its spans."""
    plain, spans = "", []
    for part in text.replace("]", "[").split("["):
        label, colon, piece = part.partition(":")
        if colon and label in PII.labels:
            start = len(plain)
            spans.append(PredictedSpan(start, start + len(piece), label, piece, 0.9))
            plain += piece
        else:
            plain += part
    return plain, spans


def show(text, spans):
    parts, position = [], 0
    for s in spans:
        parts += [text[position : s.start], f"[{s.label}:{s.text}]"]
        position = s.end
    return "".join(parts) + text[position:]


def run(step, text, labels=PII.labels):
    plain, spans = marked(text)
    return show(plain, postprocess(plain, spans, labels, only(step)))


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("[PERSON:ann][EMAIL_ADDRESS:.lee@x.org.] Bye", "[EMAIL_ADDRESS:ann.lee@x.org]. Bye"),
        ("[PERSON:ann]%40[DOMAIN_NAME:x.org]&a=1", "[EMAIL_ADDRESS:ann%40x.org]&a=1"),
        ("[EMAIL_ADDRESS:a@x.org, b@y.org]", "[EMAIL_ADDRESS:a@x.org], [EMAIL_ADDRESS:b@y.org]"),
        ("Card [IBAN_CODE:4111111111111111]", "Card [CREDIT_CARD:4111111111111111]"),
        ("[CREDIT_CARD:GB82WEST12345698765432]", "[IBAN_CODE:GB82WEST12345698765432]"),
        ("[PHONE_NUMBER:4000-0000-0106-1234]", "[CREDIT_CARD:4000-0000-0106-1234]"),
        ("[PHONE_NUMBER:925-22-8758]", "[US_SSN:925-22-8758]"),
        ("[PHONE_NUMBER:+1 (450)] [US_SSN:323-3296.]", "[PHONE_NUMBER:+1 (450) 323-3296]."),
        ("[PHONE_NUMBER:(08) 9098 6465.] Ask", "[PHONE_NUMBER:(08) 9098 6465]. Ask"),
        ("[PERSON:Ann][PHONE_NUMBER:: 10.0.0.1]", "[PERSON:Ann]: [IP_ADDRESS:10.0.0.1]"),
        # right as they stand, or not for a value to change
        ("7 [PHONE_NUMBER:0680 390 92 93] 12", "7 [PHONE_NUMBER:0680 390 92 93] 12"),
        ("[CREDIT_CARD:4000-0000-0106-1234]", "[CREDIT_CARD:4000-0000-0106-1234]"),
        ("[PHONE_NUMBER:+46 (0)8 704 655\xa072]", "[PHONE_NUMBER:+46 (0)8 704 655\xa072]"),
        ("[PERSON:Write ann@x.org now]", "[PERSON:Write ann@x.org now]"),
        ("ann@x.org and [PERSON:Bo]", "ann@x.org and [PERSON:Bo]"),
        ("[US_DRIVER_LICENSE:+1 323]-3296", "[US_DRIVER_LICENSE:+1 323]-3296"),  # no area code
    ],
)
def test_values(given_, wanted):
    assert run("values", given_) == wanted


def test_a_value_has_the_score_of_its_surest_piece():
    text = "ann.lee@x.org"
    spans = [
        PredictedSpan(0, 3, "PERSON", "ann", 0.4),
        PredictedSpan(3, 13, "EMAIL_ADDRESS", ".lee@x.org", 0.8),
    ]
    (span,) = postprocess(text, spans, PII.labels, ALL)
    assert span == PredictedSpan(0, 13, "EMAIL_ADDRESS", text, 0.8)


def test_a_type_that_the_task_does_not_have_is_not_given():
    labels = ("PERSON", "IBAN_CODE")
    assert run("values", "[IBAN_CODE:4111111111111111]", labels) == "[IBAN_CODE:4111111111111111]"


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("a [US_SSN:.] b", "a . b"),
        ("[PERSON:Ann] [PERSON:--] b", "[PERSON:Ann] -- b"),
        ("[IP_ADDRESS:MRN-1009392], [ZIP_CODE:INS]", "MRN-1009392, INS"),
        ("[US_SSN:XXX-XX-6789] [PERSON:Bo]", "[US_SSN:XXX-XX-6789] [PERSON:Bo]"),
        ("[CREDIT_CARD:4000-0000-0106-1234]", "[CREDIT_CARD:4000-0000-0106-1234]"),
    ],
)
def test_drop(given_, wanted):
    assert run("drop", given_) == wanted


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("[PERSON:Morgan Stanley Group] hires", "[ORGANIZATION:Morgan Stanley Group] hires"),
        ("at [PERSON:Johnson], Inc. today", "at [ORGANIZATION:Johnson, Inc.] today"),
        ("[PERSON:Müller] GmbH & Co. KG,", "[ORGANIZATION:Müller GmbH] & Co. KG,"),
        ("[ORGANIZATION:Iberia] S.A. flies", "[ORGANIZATION:Iberia S.A.] flies"),
        ("[PERSON:Tata Motors Ltd]", "[ORGANIZATION:Tata Motors Ltd]"),
        ("[PERSON:Ann Lee] and [PERSON:Bo Banks]", "[PERSON:Ann Lee] and [PERSON:Bo Banks]"),
        ("[PERSON:Bank]", "[PERSON:Bank]"),
        ("[PERSON:Ann], NV 89501", "[PERSON:Ann], NV 89501"),
        ("[PERSON:Ann] [GPE:Inc]", "[PERSON:Ann] [GPE:Inc]"),
    ],
)
def test_organisations(given_, wanted):
    assert run("organisations", given_) == wanted


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        (
            "6157 [STREET_ADDRESS:Alder Lane], [GPE:Milford], GA [ZIP_CODE:35857].",
            "[STREET_ADDRESS:6157 Alder Lane, Milford, GA 35857].",
        ),
        ("[STREET_ADDRESS:12 Main St], [STREET_ADDRESS:Flat 2]", "[STREET_ADDRESS:12 Main St, Flat 2]"),
        ("[STREET_ADDRESS:Unit 3]\n[STREET_ADDRESS:Box 7]", "[STREET_ADDRESS:Unit 3\nBox 7]"),
        ("at [STREET_ADDRESS:1 Quay Rd, Ely Ltd , ]and", "at [STREET_ADDRESS:1 Quay Rd, Ely Ltd] , and"),
        ("at [STREET_ADDRESS:Polna 2 ,]\nYes", "at [STREET_ADDRESS:Polna 2] ,\nYes"),
        ("in [STREET_ADDRESS:Hauptstr. 1, Berlin.] Yes", "in [STREET_ADDRESS:Hauptstr. 1, Berlin]. Yes"),
        # annotated data parts these
        ("[STREET_ADDRESS:297] [STREET_ADDRESS:ul. Polna]", "[STREET_ADDRESS:297] [STREET_ADDRESS:ul. Polna]"),
        ("[STREET_ADDRESS:Polna 2], [GPE:Łódź]", "[STREET_ADDRESS:Polna 2], [GPE:Łódź]"),
        ("[STREET_ADDRESS:Árpád útja 89.] Yes", "[STREET_ADDRESS:Árpád útja 89.] Yes"),
        (
            "Type 2 Diabetes at [STREET_ADDRESS:123 Main St, Dover, IL 62701]",
            "Type 2 Diabetes at [STREET_ADDRESS:123 Main St, Dover, IL 62701]",
        ),
        ("[PERSON:Ann] 6157 Alder Lane, Milford, GA 35857", "[PERSON:Ann] 6157 Alder Lane, Milford, GA 35857"),
        ("6157 [PERSON:Alder] [STREET_ADDRESS:Lane], Milford, GA 35857", "6157 [PERSON:Alder] [STREET_ADDRESS:Lane], Milford, GA 35857"),
    ],
)  # fmt: skip
def test_merge(given_, wanted):
    assert run("merge", given_) == wanted


@pytest.mark.parametrize("step", STEPS)
def test_each_step_can_be_turned_off_alone(step):
    text, spans = marked(
        "[PERSON:ann][EMAIL_ADDRESS:.lee@x.org] [US_SSN:.] [PERSON:Tata Motors Ltd] "
        "[STREET_ADDRESS:12 Main St], [STREET_ADDRESS:Flat 2]"
    )
    done = postprocess(text, spans, PII.labels, ALL)
    without = postprocess(text, spans, PII.labels, ALL.model_copy(update={step: False}))
    assert without != done
    assert postprocess(text, spans, PII.labels, NO_POSTPROCESSING) == tuple(spans)


def test_a_task_of_other_labels_is_untouched():
    assert steps_for(("DRUG", "DISEASE"), ALL) == []
    text = "12 Main St, 4111111111111111"
    spans = [PredictedSpan(0, 10, "DRUG", "12 Main St", 0.5), PredictedSpan(10, 11, "X", ",", 0.5)]
    assert postprocess(text, spans, ("DRUG", "X"), ALL) == tuple(spans)


PIECES = st.sampled_from(
    ["ann@x.org", "ann%40x.org", "+1 (450) 323-3296", "4111 1111 1111 1111", "536-22-8758", "10.0.0.1",
     "GB82 WEST 1234 5698 7654 32", "https://x.org/", "12 Main St, Dover, TX 36591", "Acme", "Inc.",
     "Group", "Ann Lee", "\\n", "\n", ", ", " ", ".", "-", "'", "é", "東京", "\u202e", "🙂", "7", "4000-0000-0106-1234"]
)  # fmt: skip


@st.composite
def texts_with_spans(draw):
    text = "".join(draw(st.lists(PIECES, min_size=1, max_size=14)))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=16)))
    spans = [
        PredictedSpan(a, b, draw(st.sampled_from(PII.labels)), text[a:b], draw(st.floats(0, 1)))
        for a, b in zip(cuts, cuts[1:], strict=False)
        if draw(st.booleans())
    ]
    return text, spans


OPTIONS = st.builds(PostOptions, **dict.fromkeys(STEPS, st.booleans()))


@given(texts_with_spans(), OPTIONS)
def test_spans_stay_sorted_disjoint_and_true_to_the_text(case, options):
    text, spans = case
    done = postprocess(text, spans, PII.labels, options)
    assert all(0 <= s.start < s.end <= len(text) and s.text == text[s.start : s.end] for s in done)
    assert all(a.end <= b.start for a, b in zip(done, done[1:], strict=False))
    assert {s.label for s in done} <= set(PII.labels)
    assert len(done) == 0 or len(spans) > 0


@given(texts_with_spans(), OPTIONS)
def test_twice_is_once(case, options):
    text, spans = case
    done = postprocess(text, spans, PII.labels, options)
    assert postprocess(text, done, PII.labels, options) == done


def test_a_long_text_of_many_spans_takes_no_quadratic_time():
    row = "ann@x.org 6157 Alder Lane, Milford, GA 35857 Acme Inc. "
    count = 6_000
    spans = [
        PredictedSpan(start + a, start + b, label, row[a:b], 0.5)
        for start in range(0, count * len(row), len(row))
        for a, b, label in ((0, 4, "EMAIL_ADDRESS"), (15, 25, "STREET_ADDRESS"), (45, 49, "PERSON"))
    ]
    begun = time.perf_counter()
    done = postprocess(row * count, spans, PII.labels, ALL)
    assert time.perf_counter() - begun < 30
    assert [s.text for s in done[:3]] == [
        "ann@x.org",
        "6157 Alder Lane, Milford, GA 35857",
        "Acme Inc.",
    ]
    assert len(done) == len(spans)


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = (
        "import sys, pointsman.runtime.postprocess\n"
        "print([m for m in ('torch', 'sklearn', 'phonenumbers', 'stdnum') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
