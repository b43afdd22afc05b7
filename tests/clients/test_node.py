"""The Node.js client says what Python says: its own tests, over bundles and tokens made here."""

import json
import os
import random
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors

from pointsman.data.encode import TextEncoder
from pointsman.data.golden_texts import golden_texts
from pointsman.export.golden import read_golden
from pointsman.tasks.pii import PII
from scripts import make_node_known
from scripts.make_node_unicode import PLACE, tables
from tests.clients.rough_spans import cases
from tests.conftest import FAMILIES, make_tokenizer

CLIENT = Path(__file__).parents[2] / "clients" / "node"
MARKS = "\u0301\u0323\u0308\u0345\u0334\u0327\u093c\u0651\u064b"
SPECIAL = "[SEP] [MASK] <mask> <s> </s> <pad> |||EMAIL||| É e\u0301 q x a".split(" ") + [
    " ",
    "  ",
    "    ",
    "\n",
]


@pytest.fixture(scope="module")
def node():
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: the Node.js client is not tested")
    if not (CLIENT / "node_modules").is_dir():
        pytest.skip("the Node.js client has no node_modules: run `make node`")
    return CLIENT


def fuzz():
    """Golden texts, and random ones of their letters, of marks, of any character, of added tokens."""
    draw = random.Random(5)
    texts = golden_texts()
    letters = "".join(texts)
    # the Rust library composes by tables of Unicode 12, Node.js by newer ones: old letters only
    old = unicodedata.ucd_3_2_0
    known = [c for c in map(chr, range(1, 0x20000)) if old.category(c) not in ("Cn", "Cs")]
    texts += ["x" + "".join(draw.choices(letters, k=draw.randint(1, 40))) for _ in range(300)]
    composing = "aeAEé\u00c5\u1e69 .'sSΣİ한각\u1112\u1161\u11ab\u11a8가" + MARKS * 2
    texts += ["".join(draw.choices(composing, k=draw.randint(2, 20))) for _ in range(200)]
    texts += ["".join(draw.choices(known, k=draw.randint(1, 25))) for _ in range(500)]
    texts += ["".join(draw.choices(SPECIAL, k=draw.randint(2, 14))) for _ in range(150)]
    return texts


def composing(tokenizer: Tokenizer) -> Tokenizer:
    """As ModernBERT's: composed letters, and added tokens of every kind."""
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens(
        [
            AddedToken("|||EMAIL|||", normalized=False),
            AddedToken("    ", normalized=True),
            AddedToken("É", normalized=True),
        ]
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True)])
    return tokenizer


def prefixing(tokenizer: Tokenizer) -> Tokenizer:
    """As RoBERTa's older ones: a blank is put before the first word."""
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True
    )
    return tokenizer


def compatible(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    return tokenizer


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """A tokenizer a directory, with ids and bounds of many texts as Python has them."""
    root = tmp_path_factory.mktemp("tokens")
    kinds = {family: make_tokenizer(family) for family in FAMILIES}
    kinds |= {"composing": composing(make_tokenizer("modernbert"))}
    kinds |= {"prefixing": prefixing(make_tokenizer("roberta"))}
    kinds |= {"compatible": compatible(make_tokenizer("roberta"))}
    texts = fuzz()
    for name, tokenizer in kinds.items():
        place = root / name
        place.mkdir()
        tokenizer.save(str(place / "tokenizer.json"))
        TextEncoder.from_backbone(place, lines=name == "bert").save(place)
        read = Tokenizer.from_file(str(place / "tokenizer.json"))
        read.encode_special_tokens = True
        encodings = read.encode_batch(texts, add_special_tokens=False)
        rows = (
            {"text": text, "ids": found.ids, "offsets": found.offsets}
            for text, found in zip(texts, encodings, strict=True)
        )
        (place / "expected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="module")
def spans(tmp_path_factory):
    """A file of texts with spans and what Python's post-processing makes of them."""
    rows, changed = cases()
    assert len(rows) > 2000 and changed > 1000
    place = tmp_path_factory.mktemp("spans") / "spans.json"
    place.write_text(json.dumps({"labels": PII.labels, "rows": rows}))
    return place


def test_the_client_passes_its_tests_on_bundles_that_python_made(
    node, golden_bundles, tokens, spans
):
    bundles = next(iter(golden_bundles.values())).parent
    where = {
        "POINTSMAN_BUNDLES": str(bundles),
        "POINTSMAN_TOKENS": str(tokens),
        "POINTSMAN_SPANS": str(spans),
    }
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "test/"],
        cwd=node,
        env={**os.environ, **where},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith("not ok")]
    assert done.returncode == 0 and not failed, done.stdout[-8000:] + done.stderr[-2000:]
    for name in golden_bundles:
        assert f"{name}: golden answers pass" in done.stdout
    assert "# skipped 0" in done.stdout


def test_the_clients_types_hold(node):
    done = subprocess.run(
        ["npx", "--no-install", "tsc", "--project", "."],
        cwd=node,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_command_ends_with_an_error_where_an_answer_differs(node, golden_bundles, tmp_path):
    command = ["node", str(node / "bin" / "verify.js")]
    good = golden_bundles["bert-jailbreak"]
    done = subprocess.run([*command, good], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)["passed"] is True
    damaged = tmp_path / "damaged"
    shutil.copytree(good, damaged)
    (damaged / "golden.jsonl").write_text("{}\n")
    done = subprocess.run([*command, damaged], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "a changed file" in done.stderr


def test_golden_answers_hold_spans_that_post_processing_changed(golden_bundles):
    rows = read_golden(golden_bundles["modernbert-pii"])
    assert sum(row.heads["pii"].spans != row.heads["pii"].unprocessed for row in rows) >= 20


def test_what_post_processing_knows_is_what_python_knows():
    assert make_node_known.PLACE.read_text(encoding="utf-8") == make_node_known.content()


def test_the_lock_file_names_no_registry():
    lock = (CLIENT / "package-lock.json").read_text()
    assert '"resolved"' not in lock


def test_the_tables_of_characters_are_what_the_script_makes():
    """Asked about every 20th character and the ends of every range; all of them take long."""
    written = re.findall(r'export const (\w+) =\n  "([^"]*)"', PLACE.read_text())
    asked = tables()
    assert [name for name, _ in written] == list(asked)
    for name, ranges in written:
        bounds = [[int(b, 16) for b in part.split("-")] for part in ranges.split(" ")]
        inside = {c for part in bounds for c in range(part[0], part[-1] + 1)}
        edges = {c for part in bounds for c in (part[0] - 1, part[0], part[-1], part[-1] + 1)}
        for code in edges | set(range(1, 0x110000, 20)):
            if 0 < code < 0x110000 and not 0xD800 <= code <= 0xDFFF:
                assert asked[name](chr(code)) == (code in inside), f"{name}: {code:x}"
