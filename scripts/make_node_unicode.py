"""Write `clients/node/src/tables.js`: characters as the Rust tokenizers see them, by asking them.

Their Unicode tables are of other years than those of Node.js, which also change with its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

PLACE = Path(__file__).parents[1] / "clients" / "node" / "src" / "tables.js"
OFF = {
    "clean_text": False,
    "handle_chinese_chars": False,
    "strip_accents": False,
    "lowercase": False,
}


def characters() -> Iterator[str]:
    """Return every character but NUL and the surrogates."""
    yield from (chr(c) for c in range(1, 0x110000) if not 0xD800 <= c <= 0xDFFF)


def ranges(holds: Callable[[str], bool]) -> str:
    """Return the characters for which something holds, as hexadecimal ranges."""
    found: list[list[int]] = []
    for character in characters():
        if not holds(character):
            continue
        code = ord(character)
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return " ".join(f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in found)


def tables() -> dict[str, Callable[[str], bool]]:
    """Return the name of each table, and what asks whether a character belongs to it."""
    clean = normalizers.BertNormalizer(**{**OFF, "clean_text": True})
    accents = normalizers.BertNormalizer(**{**OFF, "strip_accents": True})
    chinese = normalizers.BertNormalizer(**{**OFF, "handle_chinese_chars": True})
    words = pre_tokenizers.BertPreTokenizer()
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return {
        "CONTROL": lambda c: clean.normalize_str(f"a{c}b") == "ab",
        "MARK": lambda c: accents.normalize_str(f"a{c}b") == "ab",
        "CHINESE": lambda c: chinese.normalize_str(f"a{c}b") != f"a{c}b",
        "PUNCTUATION": lambda c: len(words.pre_tokenize_str(f"a{c}b")) == 3,
        "LETTER": lambda c: len(pieces.pre_tokenize_str(f"x{c}")) == 1,
        "NUMBER": lambda c: len(pieces.pre_tokenize_str(f"1{c}")) == 1,
    }


def main() -> None:
    """Ask about every character and write the file."""
    lines = ["/** Made by scripts/make_node_unicode.py: hexadecimal ranges of code points. */", ""]
    for name, holds in tables().items():
        lines.append(f'export const {name} =\n  "{ranges(holds)}";')
    PLACE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
