"""Personal data that nobody has: our templates, filled by Faker and by a grammar.

The boundaries of the spans are those of the public Presidio data, so that what is learnt here
carries over: TITLE ("Dr.") stands beside PERSON, AGE is the number alone, DOMAIN_NAME holds the
scheme, and a whole address is one STREET_ADDRESS while an address in lines is street, GPE and code.

A slot is `{TYPE}`, `{TYPE:variant}` or `{LOOKALIKE}`; only the first two are labelled. Most are
filled by the grammar, which are the rows of the register "slot" beside the templates, the others
by a function or by Faker.
"""

from __future__ import annotations

import ipaddress
import json
import random
import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import resources
from typing import Any

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError
from pointsman.core.types import Example, Span
from pointsman.data.fakers import faker_factory
from pointsman.tasks.pii import PII

ROUGH = 0.2  # share of the texts outside code and logs that are roughened: case, typos, line ends
_TRIES = 4
_AMERICAN = {"US_SSN", "US_DRIVER_LICENSE", "GPE:abbr", "GPE:state"}
_SLOT = re.compile(r"\{([A-Z][A-Z0-9_]*(?::[a-z0-9]+)?)\}")
_ARTICLE = re.compile(r"\b[Aa] $")

_SIGNS = {"#": "0123456789", "~": "123456789", "?": string.ascii_uppercase, "^": "0123456789abcdef"}
_CARD_GROUPS = {14: r"(.{4})(.{6})(.{4})", 15: r"(.{4})(.{6})(.{5})", 16: r"(.{4})" * 4}

Piece = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Template:
    """A text with slots.

    Attributes:
        id: Its name, and the group of its rows.
        register: chat, mail, ticket, form, log, code, prose or letter.
        parts: Literal text and slots in turn, beginning and ending with literal text.
    """

    id: str
    register: str
    parts: tuple[str, ...]

    @property
    def labelled(self) -> bool:
        """Whether its rows hold spans."""
        return any(label_of(slot) for slot in self.parts[1::2])


@dataclass(slots=True)
class Row:
    """What the slots of one text share, so that name, address and number fit together."""

    rng: random.Random
    fake: Any
    locale: str
    register: str
    names: list[str] = field(default_factory=list)

    def draw(self, name: str) -> str:
        """Fill one slot."""
        return slots()[name](self)

    def chance(self, share: float) -> bool:
        """Return True in that share of the calls."""
        return self.rng.random() < share


def generate_pii(rows: int, *, seed: int) -> Iterator[Example]:
    """Yield texts with labelled personal data, two in five without any.

    Args:
        rows: How many.
        seed: The same seed gives the same rows, with the same release of Faker.

    Raises:
        ConfigError: If Faker is not installed, or a template has a slot that is not known.
    """
    create, templates = faker_factory(), load_templates()  # here, so that errors come at the call
    return _generate(rows, random.Random(seed), create, templates)


def load_templates() -> list[Template]:
    """Return the templates that come with the package.

    Raises:
        ConfigError: If a template has a slot that is not known.
    """
    return [parse_template(row) for row in _starter_rows() if row["register"] != "slot"]


def parse_template(raw: dict[str, str]) -> Template:
    """Split one template at its slots.

    Raises:
        ConfigError: If a slot is not known.
    """
    parts = tuple(_SLOT.split(raw["text"]))
    for slot in parts[1::2]:
        if slot not in slots():
            needed = f"template {raw['id']}: slots that Pointsman can fill"
            raise ConfigError(needed, got="{" + slot + "}", fix=suggest(slot, slots()))
    return Template(raw["id"], raw["register"], parts)


def label_of(slot: str) -> str | None:
    """Return the entity type of a slot, or None for a look-alike."""
    label = slot.partition(":")[0]
    return label if label in PII.labels else None


@cache
def slots() -> dict[str, Callable[[Row], str]]:
    """Return how every slot is filled; built on the first call."""
    return {name: partial(_expand, name) for name in grammar()} | _functions()


@cache
def grammar() -> dict[str, tuple[list[str], list[int]]]:
    """Return the values of every slot of the grammar, with their weights.

    A rule's text is `value|value@weight`. A value may hold further slots, and four signs: # is a
    digit, ~ a digit but 0, ? a capital letter and ^ a hexadecimal digit.
    """
    rules = {}
    for row in _starter_rows():
        if row["register"] == "slot":
            pairs = [_weighted(value) for value in row["text"].split("|")]
            rules[row["id"].removeprefix("slot:")] = ([v for v, _ in pairs], [w for _, w in pairs])
    return rules


def _weighted(value: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.+)@(\d+)", value)
    return (found[1], int(found[2])) if found else (value, 1)


@cache
def _starter_rows() -> tuple[dict[str, str], ...]:
    file = resources.files("pointsman.data") / "starter" / "pii_templates.jsonl"
    return tuple(json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())


def fill_pattern(pattern: str, rng: random.Random) -> str:
    """Replace the four signs of a pattern (see `grammar`) and keep the rest."""
    return "".join(rng.choice(_SIGNS[c]) if c in _SIGNS else c for c in pattern)


def luhn_digit(digits: str) -> str:
    """Return the check digit of a card number (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return str(-sum(sum(divmod(number, 10)) for number in doubled) % 10)


def iban_check(country: str, account: str) -> str:
    """Return the two check digits of an IBAN (ISO 13616: mod 97, letters count from A = 10)."""
    number = "".join(str(int(c, 36)) for c in account + country + "00")
    return f"{98 - int(number) % 97:02d}"


# The generator: which template, which locale, then text and spans together.


def _generate(
    rows: int, rng: random.Random, create: Callable[..., Any], templates: list[Template]
) -> Iterator[Example]:
    fakes: dict[str, Any] = {}
    with_spans = _endless([t for t in templates if t.labelled], rng)
    without = _endless([t for t in templates if not t.labelled], rng)
    seen: set[str] = set()
    for number in range(rows):
        pool = without if number % 5 in (0, 2) else with_spans  # never less than 40% without
        for _ in range(_TRIES):  # a short template soon repeats itself: take another one then
            template = next(pool)
            locale = _locale(template, rng)
            if locale not in fakes:
                fakes[locale] = create(locale)
                fakes[locale].random = rng
            example = _fill(template, Row(rng, fakes[locale], locale, template.register))
            if example.text not in seen:
                break
        seen.add(example.text)
        yield example


def _endless(templates: list[Template], rng: random.Random) -> Iterator[Template]:
    while True:
        yield from rng.sample(templates, len(templates))


def _locale(template: Template, rng: random.Random) -> str:
    if rng.random() < 0.6 and not _AMERICAN.isdisjoint(template.parts):
        return "en_US"
    return rng.choices(*grammar()["LOCALE"])[0]


def _fill(template: Template, row: Row) -> Example:
    pieces: list[Piece] = []
    for place, part in enumerate(template.parts):
        if place % 2 == 0:
            pieces.append((part, None))
            continue
        value = slots()[part](row)
        before = pieces[-1][0]
        if _ARTICLE.search(before) and re.match(r"[AEIOUaeiou]|8|11\b|18\b", value):
            pieces[-1] = (before[:-1] + "n ", None)
        pieces.append((value, label_of(part)))
    return _join(_roughen(pieces, row), template, row.locale)


def _join(pieces: list[Piece], template: Template, locale: str) -> Example:
    spans, text = [], ""
    for piece, label in pieces:
        if label:
            spans.append(Span(len(text), len(text) + len(piece), label))
        text += piece
    meta = {"register": template.register, "locale": locale}
    return Example(text=text, spans=tuple(spans), source="starter", group=template.id, meta=meta)


# Roughening works on the pieces, before offsets exist, so it cannot break them.


def _roughen(pieces: list[Piece], row: Row) -> list[Piece]:
    if row.register in ("code", "log") or row.rng.random() >= ROUGH:
        return pieces
    ways = [_lowered, _lowered, _typed, _typed, _unstopped, _shouted]
    if any("\n" in text for text, _ in pieces):
        ways += [_on_one_line, _on_one_line, _escaped, _escaped]
    return row.rng.choice(ways)(pieces, row.rng)


def _lowered(pieces: list[Piece], rng: random.Random) -> list[Piece]:
    everything = rng.random() < 0.6
    return [(t.lower() if everything or not label else t, label) for t, label in pieces]


def _typed(pieces: list[Piece], rng: random.Random) -> list[Piece]:
    """Misspell about one long word in six, never inside a value."""

    def misspell(match: re.Match[str]) -> str:
        word, at = match[0], rng.randrange(1, len(match[0]) - 1)
        if rng.random() >= 0.17:
            return word
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return rng.choice([swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]])

    return [(t if label else re.sub(r"[A-Za-z]{4,}", misspell, t), label) for t, label in pieces]


def _unstopped(pieces: list[Piece], rng: random.Random) -> list[Piece]:
    text, label = pieces[-1]  # always literal: templates are split at their slots
    return [*pieces[:-1], (text.rstrip(".!?"), label)]


def _every(change: Callable[[str], str]) -> Callable[[list[Piece], random.Random], list[Piece]]:
    return lambda pieces, rng: [(change(text), label) for text, label in pieces]


_shouted = _every(str.upper)
_escaped = _every(lambda text: text.replace("\n", "\\n"))
_on_one_line = _every(
    lambda text: re.sub(r"([,:;.?!]?)[ ]*\n\s*", lambda end: (end[1] or ",") + " ", text)
)


# How slots are filled: `_expand` for the grammar's, and a function for each of the others.


def _expand(name: str, row: Row) -> str:
    values, weights = grammar()[name]
    parts = _SLOT.split(row.rng.choices(values, weights)[0])
    parts[::2] = [fill_pattern(part, row.rng) for part in parts[::2]]
    parts[1::2] = [row.draw(slot) for slot in parts[1::2]]
    return "".join(parts)


def _functions() -> dict[str, Callable[[Row], str]]:
    return {
        "FIRST": partial(_name, "first_name"),
        "LAST": partial(_name, "last_name"),
        "USER_FIRST": partial(_user, 0),
        "USER_LAST": partial(_user, 1),
        "FAKE_COMPANY": partial(_fake, "company"),
        "FAKE_CITY": partial(_fake, "city"),
        "FAKE_STREET": _street,
        "FAKE_ZIP": partial(_fake, "postcode"),
        "FAKE_PHONE": partial(_fake, "phone_number"),
        "PERSON:full": partial(_cased, "FULL_NAME"),
        "GPE:city": partial(_cased, "CITY"),
        "ORGANIZATION": partial(_cased, "COMPANY"),
        "ORGANIZATION:brand": partial(_cased, "BRAND"),
        "STREET_ADDRESS:full": _address,
        "PHONE_NUMBER": _phone,
        "EMAIL_ADDRESS": _email,
        "DOMAIN_NAME:host": lambda row: row.draw("HOST").lower(),
        "CREDIT_CARD": _card,
        "IBAN_CODE": _iban,
        "IP_ADDRESS:v6": _ipv6,
        "AGE": lambda row: str(row.rng.randint(18, 97)),
    }


def _fake(method: str, row: Row) -> str:
    text = re.sub(r"\s*\n\s*", ", ", str(getattr(row.fake, method)()))
    return re.sub(r" {2,}", " ", text).strip(" ,")


def _name(method: str, row: Row) -> str:
    row.names.append(_fake(method, row))
    return row.names[-1]


def _user(place: int, row: Row) -> str:
    """Return the text's last name in plain letters, so that address and signature fit."""
    if len(row.names) < 2:
        row.names[:] = [row.fake.first_name(), row.fake.last_name()]
    plain = unicodedata.normalize("NFKD", row.names[place - 2]).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z]", "", plain) or row.draw("STEM")


def _cased(name: str, row: Row) -> str:
    text, draw = row.draw(name), row.rng.random()
    return text.lower() if draw < 0.03 else text.upper() if draw > 0.94 else text


def _street(row: Row) -> str:
    english = row.locale.startswith("en_") and row.chance(0.75)  # Faker invents their suffixes
    return row.draw("EN_STREET") if english else _fake("street_address", row)


def _address(row: Row) -> str:
    """Draw a whole address, one span whatever its lines: as the register can hold them."""
    address = row.draw("ADDRESS_US" if row.locale == "en_US" else "ADDRESS")
    share = {"code": 0.0, "log": 0.0, "chat": 0.35, "prose": 0.25}.get(row.register, 0.6)
    breaks = ("\n", "\n", "\n ") if row.chance(share) else (", ", ", ", " ")
    return address.replace("¶", row.rng.choice(breaks))


def _phone(row: Row) -> str:
    if row.locale in ("en_US", "en_CA"):
        return row.draw("PHONE_US")
    number = row.draw("PHONE")
    return number if row.chance(0.8) else number.replace(" ", row.rng.choice(".-"))


def _email(row: Row) -> str:
    local, _, host = row.draw("EMAIL").rpartition("@")
    return (local if row.chance(0.35) else local.lower()) + "@" + host.lower()


def _card(row: Row) -> str:
    number = row.draw("CARD_PREFIX")
    number += luhn_digit(number)
    if row.chance(0.04):
        return row.rng.choice(["**** **** **** ", "XXXX-XXXX-XXXX-", "************"]) + number[-4:]
    sign, groups = row.rng.choices(["", " ", "-"], [55, 27, 18])[0], _CARD_GROUPS.get(len(number))
    return re.sub(groups, lambda found: sign.join(found.groups()), number) if groups else number


def _iban(row: Row) -> str:
    accounts, _ = grammar()["IBAN_ACCOUNT"]
    own = [account for account in accounts if account.startswith(row.locale[-2:])] or accounts
    draft = row.rng.choice(row.rng.choices([own, accounts[:1], accounts], [4, 3, 3])[0])
    country, account = draft[:2], fill_pattern(draft[2:], row.rng)
    iban = country + iban_check(country, account) + account
    grouped = " ".join(re.findall(r".{1,4}", iban))
    return row.rng.choices([iban, grouped, iban.lower()], [55, 40, 5])[0]


def _ipv6(row: Row) -> str:
    bits = 0x2001 << 112 | row.rng.getrandbits(110)
    if row.chance(0.5):
        bits &= ~(((1 << 80) - 1) << 16)  # zeros in the middle, for the short form
    address = ipaddress.IPv6Address(bits)
    return str(address) if row.chance(0.8) else address.exploded
