"""What a structured value looks like: formats and checksums of e-mails, cards, IBANs, numbers.

Three questions are asked of a piece of text, from the mildest to the strictest: could it be a value
of this type at all (`accepts`), is it one beyond doubt (`Value.sure`: a checksum or a form that
nothing else has), and where in the text does the whole value stand (`find_values`).

A wrong checksum proves nothing: people mistype, and documents are full of example numbers. So a
checksum can confirm or correct a type; only a form that no value of the type has can refute it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass

from pointsman.data.encode import ESCAPES

_WORD = r"[^\W_]"  # a letter or digit of any script
_HOST = rf"(?:{_WORD}(?:[\w-]{{0,61}}{_WORD})?\.)+[^\W\d_]{{2,24}}"
# `%40` is the at sign in a link. The look-behind lets a run of letters be tried once and not from
# each of its characters, so that no text takes quadratic time.
_EMAIL = re.compile(rf"(?<![\w.%+-])[\w%+-]+(?:\.[\w%+-]+){{0,8}}(?:@|(?<=\w)%40){_HOST}(?![\w-])")
_URL = re.compile(rf"(?<!\w)(?:https?://(?:www\.)?|www\.){_HOST}/?(?![\w/?#:@%-])", re.IGNORECASE)
_DOMAIN = re.compile(rf"(?:[a-z]+://)?{_HOST}(?:[:/].*)?", re.IGNORECASE | re.DOTALL)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[A-Z0-9]{10,30}|(?: [A-Z0-9]{4}){2,7}(?: \w{1,3})?)\b")
_CARD = re.compile(r"(?<![\w+-])\d(?:[ -]?\d){11,18}(?![\w-])")
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_NINE = re.compile(r"\d{3}([ -]?)\d{2}\1\d{4}")
_IP = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,40})(?!\w)"
)
_PLUS = re.compile(r"(?<![\w+])\+(?:[ \xa0()./-]{0,2}\d){7,15}(?![\w-])")
_PHONE = re.compile(r"(?:\+|00)?[(\d][\d ()./\xa0-]{4,24}\d(?: ?(?:x|ext\.? ?)\d{1,6})?")
_ESCAPE = re.compile(ESCAPES)  # a line break as exports hold it, which is no letter of a value
_HAS_DIGIT = re.compile(r".*\d", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Value:
    """A structured value in a text.

    Attributes:
        start: First code point.
        end: One past the last code point.
        label: Its type.
        sure: Whether its checksum holds, or its form is that of nothing else.
    """

    start: int
    end: int
    label: str
    sure: bool


def _luhn(text: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(re.sub(r"[ -]", "", text)))


def _iban(text: str) -> bool:
    from stdnum import iban

    # The country's own check digits are left aside: fewer libraries make them than print IBANs.
    return bool(iban.is_valid(text, check_country=False))


def _ssn(text: str) -> bool:
    from stdnum.us import ssn

    return bool(ssn.is_valid(text))


def _ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _international(text: str) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return False
    # A number with a plus is dialled from anywhere: a length that only does within an area is none.
    possible = phonenumbers.ValidationResult.IS_POSSIBLE
    return bool(phonenumbers.is_possible_number_with_reason(number) == possible)


def _whole(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


def _phone(text: str) -> bool:
    """Accept 6 to 15 digits as people group them, and no number that is something else."""
    number = re.split("[xe]", text)[0]
    digits = sum(c.isdigit() for c in number)
    balanced = number.count("(") == number.count(")")
    other = _SSN.fullmatch(text) or _ip(text)
    return _PHONE.fullmatch(text) is not None and 6 <= digits <= 15 and balanced and not other


# The mildest question, by type: could it be one at all?
_ACCEPTS: dict[str, Callable[[str], bool]] = {
    "EMAIL_ADDRESS": _whole(_EMAIL),
    "DOMAIN_NAME": _whole(_DOMAIN),
    "IP_ADDRESS": _ip,
    "IBAN_CODE": _whole(_IBAN),
    "CREDIT_CARD": _whole(_CARD),
    "US_SSN": _whole(_NINE),
    "PHONE_NUMBER": _phone,
    "ZIP_CODE": _whole(_HAS_DIGIT),
    "US_DRIVER_LICENSE": _whole(_HAS_DIGIT),
}
STRUCTURED = frozenset(_ACCEPTS)
# What is refuted by its look alone. Masked, obfuscated and mistyped values are still personal:
# "XXX-XX-6789", "ann at x dot org", "10.0.x.x" and a MAC address pass.
_POSSIBLE = {
    "EMAIL_ADDRESS": re.compile(r".*(@|%40|\bat\b|\bdot\b).*", re.DOTALL | re.IGNORECASE),
    "DOMAIN_NAME": re.compile(r".*(\w[.]\w|//|\bdot\b).*", re.DOTALL | re.IGNORECASE),
    "IP_ADDRESS": re.compile(r"(?=.*[.:].*[.:])[\dA-Fa-fxX.:*/%\[\]-]+", re.DOTALL),
    "IBAN_CODE": re.compile(r"(?=.*[^\W\d_])(?=.*\d)(?:[\W_]*[^\W_]){8,}[\W_]*", re.DOTALL),
    "CREDIT_CARD": re.compile(r"(?=(?:.*\d){4}).{12,}", re.DOTALL),
    "US_SSN": re.compile(r"(?=(?:.*\d){4}).{4,13}", re.DOTALL),
    "PHONE_NUMBER": re.compile(r"(?=(?:.*\d){3})(?:[\W_]*[^\W_]){6,}[\W_]*", re.DOTALL),
    "ZIP_CODE": re.compile(r"(?=.*\d)(?:[\W_]*[^\W_]){3,}[\W_]*", re.DOTALL),
    "US_DRIVER_LICENSE": re.compile(r"(?=(?:.*\d){2})(?:[\W_]*[^\W_]){4,}[\W_]*", re.DOTALL),
}
# Where values stand, in the order in which they claim their place; None: the form alone is enough.
_FINDERS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool] | None], ...] = (
    ("EMAIL_ADDRESS", _EMAIL, None),
    ("IBAN_CODE", _IBAN, _iban),
    ("PHONE_NUMBER", _PLUS, _international),
    ("CREDIT_CARD", _CARD, _luhn),
    ("IP_ADDRESS", _IP, _ip),
    ("US_SSN", _SSN, _ssn),
    ("DOMAIN_NAME", _URL, None),
)


def accepts(label: str, text: str) -> bool:
    """Say whether a text could be a value of a type, whatever its checksum; unknown types do."""
    check = _ACCEPTS.get(label)
    return check is None or check(text)


def possible(label: str, text: str) -> bool:
    """Say whether a text may stand for a value of a type, masked or mistyped; unknown types may."""
    pattern = _POSSIBLE.get(label)
    return pattern is None or pattern.fullmatch(text) is not None


def find_values(text: str, labels: Set[str]) -> list[Value]:
    """Return the structured values of a text, sorted and disjoint.

    Args:
        text: Any text.
        labels: The types to look for.
    """
    found: list[Value] = []
    taken = bytearray(len(text))
    shown = _ESCAPE.sub("\n\n", text)  # as long as the text: bounds hold in both
    for label, pattern, check in _FINDERS:
        if label not in labels:
            continue
        for start, end in _matches(pattern, shown):
            piece = text[start:end]
            if any(taken[start:end]) or not accepts(label, piece):
                continue
            found.append(Value(start, end, label, check is None or check(piece)))
            taken[start:end] = b"\1" * (end - start)
    return sorted(found, key=lambda value: value.start)


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(text):
        # a sentence's full stop or a colon before the next word is no part of an address
        end = match.end() - (len(match[0]) - len(match[0].rstrip(".:")))
        if end > match.start():
            yield match.start(), end
