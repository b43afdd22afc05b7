"""Formats and checksums: what may be a value, what is one beyond doubt, and where it stands."""

import time

import pytest

from pointsman.runtime.validators import STRUCTURED, accepts, find_values, possible


def values(text, labels=STRUCTURED):
    return [(text[v.start : v.end], v.label, v.sure) for v in find_values(text, labels)]


@pytest.mark.parametrize(
    ("text", "piece", "label", "sure"),
    [
        (
            "mail ann.lee+x@mail.example.org. CC",
            "ann.lee+x@mail.example.org",
            "EMAIL_ADDRESS",
            True,
        ),
        ("?email=ann%40example.org&x=1", "ann%40example.org", "EMAIL_ADDRESS", True),
        ("Zoë: josé.garcía@correo.es", "josé.garcía@correo.es", "EMAIL_ADDRESS", True),
        (r"\nann@example.org\nWebsite", "ann@example.org", "EMAIL_ADDRESS", True),
        (
            "IBAN GB82 WEST 1234 5698 7654 32 thanks",
            "GB82 WEST 1234 5698 7654 32",
            "IBAN_CODE",
            True,
        ),
        ("IBAN GB82WEST12345698765433", "GB82WEST12345698765433", "IBAN_CODE", False),
        ("card 4111-1111-1111-1111.", "4111-1111-1111-1111", "CREDIT_CARD", True),
        ("card 4111 1111 1111 1112", "4111 1111 1111 1112", "CREDIT_CARD", False),
        ("from 10.0.0.1.", "10.0.0.1", "IP_ADDRESS", True),
        ("from fe80::1: refused", "fe80::1", "IP_ADDRESS", True),
        ("ssn=536-22-8758&x", "536-22-8758", "US_SSN", True),
        ("SSN 925-22-8758", "925-22-8758", "US_SSN", False),  # no such area is given out
        ("at +44 20 7946 0958, please", "+44 20 7946 0958", "PHONE_NUMBER", True),
        ("at +1 (311) 981-7519.", "+1 (311) 981-7519", "PHONE_NUMBER", True),
        ("see https://www.example.co.uk/.", "https://www.example.co.uk/", "DOMAIN_NAME", True),
    ],
)
def test_values_are_found_whole(text, piece, label, sure):
    assert values(text) == [(piece, label, sure)]


@pytest.mark.parametrize(
    "text",
    [
        "a@b", "@example.org", "1.2.3", "300.1.1.1", "12:30:45", "41111", "12-34-5678", "+12",
        "https://example.org/path?x=1", "the end", "X1234-5678-9012-3456",
    ],
)  # fmt: skip
def test_what_is_no_value_is_left_alone(text):
    assert values(text) == []


def test_only_the_types_asked_for_are_looked_for():
    text = "ann@example.org 4111111111111111"
    assert values(text, {"CREDIT_CARD"}) == [("4111111111111111", "CREDIT_CARD", True)]


def test_an_iban_is_no_card_and_a_phone_no_card():
    assert [label for _, label, _ in values("GB82 WEST 1234 5698 7654 32")] == ["IBAN_CODE"]
    assert [label for _, label, _ in values("+49 4111 1111 1111")] == ["PHONE_NUMBER"]


@pytest.mark.parametrize(
    ("label", "text", "may"),
    [
        ("PHONE_NUMBER", "031-103-543", True),
        ("PHONE_NUMBER", "(08) 9098 6465", True),
        ("PHONE_NUMBER", "4000-0000-0106-1234", False),
        ("PHONE_NUMBER", "+1 (914) 247-", False),
        ("PHONE_NUMBER", "536-22-8758", False),
        ("IP_ADDRESS", "MRN-5197167", False),
        ("IBAN_CODE", "4496685027399", False),
        ("DOMAIN_NAME", "Website", False),
        ("PERSON", "anything", True),
    ],
)
def test_shapes(label, text, may):
    assert accepts(label, text) is may


@pytest.mark.parametrize(
    ("label", "text", "may"),
    [
        ("US_SSN", "XXX-XX-6789", True),
        ("US_SSN", ".", False),
        ("EMAIL_ADDRESS", "ann at example dot org", True),
        ("EMAIL_ADDRESS", "愛子 田中", False),
        ("IP_ADDRESS", "10.0.x.x", True),
        ("IP_ADDRESS", "00:1a:2b:3c:4d:5e", True),
        ("IP_ADDRESS", "MRN", False),
        ("CREDIT_CARD", "****", False),
        ("CREDIT_CARD", "XXXX-XXXX-XXXX-1111", True),
        ("IBAN_CODE", "6094901838", False),
        ("PHONE_NUMBER", "1-800-FLOWERS", True),
        ("PHONE_NUMBER", "99215", False),
        ("ZIP_CODE", "INS", False),
        ("ZIP_CODE", "K8N 4Z5", True),
        ("DOMAIN_NAME", ".com", False),
        ("PERSON", ".", True),
    ],
)
def test_only_what_cannot_be_is_refuted(label, text, may):
    assert possible(label, text) is may


@pytest.mark.parametrize(
    "text",
    ["a" * 400_000, "a." * 200_000, "1 " * 200_000, "+1" * 200_000, "a@" * 200_000, ":1" * 200_000,
     "GB82" * 100_000, "www." * 100_000, "%40" * 130_000, "1-" * 200_000],
)  # fmt: skip
def test_no_text_takes_long(text):
    begun = time.perf_counter()
    find_values(text, STRUCTURED)
    possible("PHONE_NUMBER", text)
    possible("EMAIL_ADDRESS", text)
    assert time.perf_counter() - begun < 10
