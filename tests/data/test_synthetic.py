"""The PII starter corpus: spans, balance, repeatability, and numbers that would be accepted."""

from __future__ import annotations

import builtins
import itertools
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

pytest.importorskip("faker")

from pointsman.core.errors import ConfigError
from pointsman.core.types import Example
from pointsman.data import synthetic
from pointsman.data.schema import to_example
from pointsman.tasks.pii import PII

IBAN_LENGTHS = {
    "GB": 22,
    "DE": 22,
    "FR": 27,
    "ES": 24,
    "IT": 27,
    "NL": 18,
    "PL": 28,
    "NO": 15,
    "TR": 26,
}
RARE = {"US_DRIVER_LICENSE", "IBAN_CODE", "US_SSN", "IP_ADDRESS", "DOMAIN_NAME"}


@pytest.fixture(scope="module")
def rows() -> list[Example]:
    return list(synthetic.generate_pii(3000, seed=11))


def values(rows: list[Example], label: str) -> Iterator[str]:
    for row in rows:
        for span in row.spans:
            if span.label == label:
                yield row.text[span.start : span.end]


def test_rows_pass_the_door(rows: list[Example]) -> None:
    for number, row in enumerate(rows, start=1):
        assert to_example(row.to_row(), where=f"row {number}", spec=PII) == row


def test_spans_are_trimmed_sorted_and_disjoint(rows: list[Example]) -> None:
    for row in rows:
        for span in row.spans:
            text = row.text[span.start : span.end]
            assert text and text == text.strip(), (row.group, span)
        for before, after in itertools.pairwise(row.spans):
            assert before.end <= after.start, row.group


@pytest.mark.parametrize(
    ("label", "form"),
    [
        ("AGE", r"\d{1,2}|[A-Za-z-]+"),
        ("CREDIT_CARD", r"[\dXx*][\dXx* -]{10,}\d"),
        ("DOMAIN_NAME", r"\S+\.[A-Za-z]+/?"),
        ("EMAIL_ADDRESS", r"[^@\s]+@[^@\s]+\.[A-Za-z]+"),
        ("IBAN_CODE", r"[A-Za-z]{2}\d\d[A-Za-z\d ]+"),
        ("IP_ADDRESS", r"[\da-fA-F.:]+"),
        ("PHONE_NUMBER", r"[+(]?[\d(][\d ().+/extEXT-]*"),
        ("US_SSN", r"[\dXx]{3}[-. ]?[\dXx]{2}[-. ]?\d{4}"),
    ],
)
def test_a_span_holds_the_value_and_nothing_else(
    rows: list[Example], label: str, form: str
) -> None:
    found = list(values(rows, label))
    assert len(found) > 50
    assert [value for value in found if not re.fullmatch(form, value)] == []


def test_every_type_is_present_often_enough(rows: list[Example]) -> None:
    counts = Counter(span.label for row in rows for span in row.spans)
    assert set(counts) == set(PII.labels)
    assert min(counts.values()) >= 60, counts


@pytest.mark.parametrize("number", [1, 4, 7, 3000])
def test_a_third_or_more_holds_nothing(rows: list[Example], number: int) -> None:
    assert sum(not row.spans for row in rows[:number]) >= number / 3


def test_texts_hardly_repeat(rows: list[Example]) -> None:
    assert len({row.text for row in rows}) > 0.99 * len(rows)


def test_rows_name_template_and_origin(rows: list[Example]) -> None:
    ids = {template.id for template in synthetic.load_templates()}
    assert {row.group for row in rows} == ids
    assert {row.source for row in rows} == {"starter"}
    assert {*rows[0].meta} == {"register", "locale"}
    assert len({row.meta["locale"] for row in rows}) >= 18


def test_some_texts_are_rough(rows: list[Example]) -> None:
    templates = {template.id: template for template in synthetic.load_templates()}
    changed = 0
    for row in rows:
        first = max(templates[row.group or ""].parts[::2], key=len)
        changed += re.sub(r" $", "", first) not in row.text
    assert 0.05 < changed / len(rows) < 0.25


def test_same_seed_same_rows(rows: list[Example]) -> None:
    again = list(itertools.islice(synthetic.generate_pii(3000, seed=11), 200))
    assert again == rows[:200]
    assert list(synthetic.generate_pii(50, seed=12)) != rows[:50]


def test_cards_pass_luhn(rows: list[Example]) -> None:
    checked = 0
    for value in values(rows, "CREDIT_CARD"):
        if re.search(r"[Xx*]", value):
            continue
        digits = [int(c) for c in value if c.isdigit()][::-1]
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
        assert (sum(digits[::2]) + sum(doubled)) % 10 == 0, value
        checked += 1
    assert checked > 80


def test_luhn_digit_of_a_known_number() -> None:
    assert synthetic.luhn_digit("7992739871") == "3"


def test_ibans_pass_mod_97_and_have_their_length(rows: list[Example]) -> None:
    for value in values(rows, "IBAN_CODE"):
        iban = value.replace(" ", "").upper()
        number = int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4]))
        assert number % 97 == 1, value
        assert len(iban) == IBAN_LENGTHS.get(iban[:2], len(iban)), value


def test_iban_check_of_a_known_account() -> None:
    assert synthetic.iban_check("GB", "WEST12345698765432") == "82"


def test_template_counts() -> None:
    templates = synthetic.load_templates()
    assert sum(template.labelled for template in templates) >= 260
    assert sum(not template.labelled for template in templates) >= 160
    assert len({template.id for template in templates}) == len(templates)
    assert len({template.parts for template in templates}) == len(templates)
    counts = Counter(
        label
        for template in templates
        for label in {synthetic.label_of(slot) for slot in template.parts[1::2]} - {None}
    )
    for label in PII.labels:
        assert counts[label] >= (15 if label in RARE else 20), label


def test_negatives_are_named_so() -> None:
    for template in synthetic.load_templates():
        assert template.id.startswith("neg_") is not template.labelled, template.id


def test_every_slot_of_the_grammar_is_known() -> None:
    rules = synthetic.grammar()
    for name, (drawn, weights) in rules.items():
        assert len(drawn) == len(weights) and all(drawn), name
        for value in drawn:
            raw = {"id": name, "register": "slot", "text": value}
            synthetic.parse_template(raw)


def test_patterns_are_filled() -> None:
    filled = synthetic.fill_pattern("#~?^ x", random.Random(0))
    assert re.fullmatch(r"\d[1-9][A-Z][0-9a-f] x", filled)


def test_an_unknown_slot_is_an_error() -> None:
    with pytest.raises(ConfigError, match="chat_999") as caught:
        synthetic.parse_template(
            {"id": "chat_999", "register": "chat", "text": "Hi {PERSN}, see {LINE}"}
        )
    assert caught.value.got == "{PERSN}"
    assert "'PERSON'" in str(caught.value.fix)


def test_braces_of_code_are_no_slots() -> None:
    raw = {"id": "code_999", "register": "code", "text": '{"a": {"b": "{EMAIL_ADDRESS}"}}'}
    assert synthetic.parse_template(raw).parts[1::2] == ("EMAIL_ADDRESS",)


def test_without_faker_the_call_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.split(".")[0] == "faker":
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="pip install pointsman"):
        synthetic.generate_pii(1, seed=0)


def test_rows_do_not_hang_on_the_hash_seed():
    code = (
        "from pointsman.data.synthetic import generate_pii\n"
        "print([example.text for example in generate_pii(1500, seed=13)])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in (1, 2)
    ]  # fmt: skip
    assert said[0] == said[1]
