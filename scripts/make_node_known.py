"""Write `clients/node/src/known.js`: words and forms that post-processing knows, from Python's own.

Company words are those of `runtime/organisations.py`; how a country writes its IBANs is what
python-stdnum says, whose checks the Python package uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from string import ascii_uppercase

from pointsman.runtime.organisations import COMPANY_WORDS, LEGAL_FORMS

PLACE = Path(__file__).parents[1] / "clients" / "node" / "src" / "known.js"
WIDTH = 96


def iban_forms() -> list[str]:
    """Return of each country its code and the form of what follows the check digits, as "BE12n".

    `n` are digits, `a` capital letters and `c` either, after how many of them there are.
    """
    from stdnum import numdb

    registry = numdb.get("iban")
    forms = []
    for letters in product(ascii_uppercase, repeat=2):
        country = "".join(letters)
        known = registry.info(country)[0][1]
        if known:
            forms.append(country + known["bban"].replace("!", ""))
    return forms


def content() -> str:
    """Return the content of the file."""
    lists = {
        "LEGAL_FORMS": ("legal forms of businesses, without dots", sorted(LEGAL_FORMS)),
        "COMPANY_WORDS": ("words that only names of businesses hold", sorted(COMPANY_WORDS)),
        "IBANS": ("of each country what follows the check digits", iban_forms()),
    }  # fmt: skip
    lines = ["/** Made by scripts/make_node_known.py. */"]
    for name, (about, words) in lists.items():
        lines += ["", f"/** {about[0].upper()}{about[1:]}. */", f"export const {name} ="]
        lines.append(" +\n".join(f'  "{line}"' for line in _lines(words)) + ";")
    return "\n".join(lines) + "\n"


def _lines(words: Iterable[str]) -> list[str]:
    """Return words in lines of bounded width, every line but the last with a blank at its end."""
    joined = " ".join(words)
    return [line for line in re.findall(rf".{{1,{WIDTH}}}(?: |$)", joined) if line]


def main() -> None:
    """Write the file."""
    PLACE.write_text(content(), encoding="utf-8")


if __name__ == "__main__":
    main()
