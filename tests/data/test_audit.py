"""The audit: every check on rows that were made to fail it, and on the traps of real data."""

from __future__ import annotations

import json
import random

import pytest

from pointsman.core.errors import DataError
from pointsman.core.types import Example, Span
from pointsman.data.audit import AuditedData, audit, banded, summarise
from pointsman.data.dedupe import group_rows, template_of
from pointsman.data.languages import NOT_TOLD, count_languages, language_of
from pointsman.data.leakage import count_leakage, find_links, repair_splits, split_by_rows
from pointsman.data.licences import licence_standing, sources_to_allow
from pointsman.data.prepare import PrepareOptions, SourceRequest, load_prepared, prepare
from pointsman.data.sampling import row_hash
from pointsman.data.shortcuts import (
    find_shortcuts,
    length_alone,
    owned_labels,
    source_alone,
    telling_prefixes,
)
from pointsman.data.sources import load_source
from pointsman.tasks.catalogue import TASKS

SPEC = TASKS["category"].adapt(labels=("law", "math"))
PII, JAILBREAK = TASKS["pii"], TASKS["jailbreak"]
LONG = "the quick brown fox jumps over the lazy dog while the old farmer sleeps under a tall tree"
OPEN = [{"name": "own", "licence": "MIT"}]


def rows(count, label="law", *, seed=0, words=20, **fields):
    """Rows that resemble each other in nothing."""
    draw = random.Random(f"{label}{seed}")
    return [
        Example(" ".join(f"w{draw.randrange(10**6)}" for _ in range(words)), label=label, **fields)
        for _ in range(count)
    ]


def found_in(parts, *, spec=SPEC, sources=OPEN, **more):
    """Audit rows by split; texts are shown by their first word."""
    data = AuditedData(spec, parts, sources)
    return audit(data, shown=lambda example: example.text.split()[0], **more)


def checks(found, severity=None):
    return {f["check"] for f in found["findings"] if severity in (None, f["severity"])}


def healthy():
    return {
        "train": rows(60, seed=1) + rows(60, "math", seed=1),
        "validation": rows(10, seed=2) + rows(10, "math", seed=2),
        "test": rows(10, seed=3) + rows(10, "math", seed=3),
    }


def test_rows_without_fault_have_no_errors_and_no_warnings():
    found = found_in(healthy())
    assert checks(found, "error") == checks(found, "warning") == set()
    assert found["rows"] == {"train": 120, "validation": 20, "test": 20}
    assert found["leakage"]["rows"] == 0
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("means", ["copies", "near-duplicates", "groups"])
def test_leakage_by_each_means(means):
    parts = healthy()
    train, test = {
        "copies": ({"text": LONG.upper()}, {"text": LONG}),
        "near-duplicates": ({"text": LONG + " indeed"}, {"text": LONG}),
        "groups": ({"text": "alone", "group": "g"}, {"text": LONG, "group": "g"}),
    }[means]
    parts["train"].append(Example(label="law", **train))
    parts["test"].append(Example(label="law", **test))
    found = found_in(parts)
    assert found["leakage"]["pairs"] == {"test~train": 1}
    assert found["leakage"]["by"][means] == {"rows": 1, "groups": 1}
    (finding,) = (f for f in found["findings"] if f["severity"] == "error")
    assert finding["check"] == "leakage" and means in finding["text"]
    (example,) = finding["examples"]
    first = train["text"].split()[0]
    assert example == f"test: the ~ train: {first}"


def pii(text, name="Ann"):
    start = text.index("NAME")
    return Example(
        text.replace("NAME", name), spans=(Span(start, start + len(name), "PERSON"),)
    )  # fmt: skip


def test_leakage_by_a_template_that_nobody_named():
    """The names make the texts differ too much for near-duplicates."""
    names = ("Ann", "Bartholomew Featherstonehaugh the Younger of Little Snoring")
    train, test = (pii("I am NAME, your cook", name) for name in names)
    assert template_of(train) == template_of(test) == "i am [person] , your cook"
    found = found_in({"train": [train], "test": [test]}, spec=PII)
    assert found["leakage"]["by"]["templates"] == {"rows": 1, "groups": 1}
    assert found["leakage"]["by"]["near-duplicates"]["rows"] == 0
    groups, _ = group_rows([train, test])  # and preparing keeps it on one side
    assert groups[0] == groups[1]


def test_two_words_are_no_template_and_neither_is_a_text_without_spans():
    assert template_of(pii("Dear NAME")) is None
    assert template_of(Example("I am your cook tonight")) is None


def test_validation_leaks_to_train_and_test_to_validation():
    parts = healthy()
    for split in parts:
        parts[split].append(Example(LONG, label="law"))
    pairs = found_in(parts)["leakage"]["pairs"]
    assert pairs == {"validation~train": 1, "test~train": 1, "test~validation": 1}


def test_groups_join_through_a_third_row():
    texts = [LONG, LONG + " again", "far away"]
    examples = [
        Example(texts[0], split="train"),
        Example(texts[1], group="g"),
        Example(texts[2], split="test", group="g"),
    ]
    links = find_links(examples)
    counted = count_leakage(links, ["train", None, "test"])
    assert counted["rows"] == 1 and counted["leaking"] == [(2, 0)]
    assert all(entry["rows"] == 0 for entry in counted["by"].values())


def test_what_leaks_is_shown_with_its_nearest_relative_and_once_a_group():
    examples = [
        Example("one of a group", group="g"),
        Example(LONG, group="g"),
        Example("another of the group", group="h"),
        Example(LONG, group="g"),
        Example("a third of the group", group="h"),
        Example("and a fourth one", group="h"),
    ]
    sides = ["train", "train", "train", "test", "test", "validation"]
    counted = count_leakage(find_links(examples), sides)
    assert counted["rows"] == 3
    assert counted["leaking"] == [(3, 1), (4, 2)]  # the copy is nearer than the row of its group


def test_a_slice_near_train_is_told_apart_from_leakage():
    parts = healthy()
    parts["train"].append(Example(LONG, label="law"))
    parts["slices/far"] = [Example(LONG + " indeed", label="law"), *rows(3, seed=9)]
    found = found_in(parts)
    assert found["leakage"]["rows"] == 0
    assert found["leakage"]["slices_near_train"] == {"far": 1}
    assert "slices" in checks(found, "warning")


def test_duplicates_within_a_split_are_no_leakage():
    parts = healthy()
    parts["train"] += [Example(LONG, label="law"), Example(LONG + "  ", label="law")]
    parts["train"] += [Example(LONG + " indeed", label="law")]
    found = found_in(parts)
    assert found["leakage"]["rows"] == 0
    assert found["duplicates"]["copies"] == 1
    assert (found["duplicates"]["near_duplicates"], found["duplicates"]["largest_group"]) == (2, 2)


def test_one_text_under_two_labels():
    parts = healthy()
    parts["train"] += [Example(LONG, label="law"), Example(LONG.upper(), label="math")]
    found = found_in(parts)
    assert found["duplicates"]["texts_under_two_labels"] == 1
    (finding,) = (f for f in found["findings"] if f["check"] == "contradictions")
    assert finding["examples"] == ["law / math: the"]
    assert found["duplicates"]["near_duplicates_under_two_labels"] == 0  # counted once


def test_near_duplicates_under_two_labels():
    parts = healthy()
    parts["train"] += [Example(LONG, label="law"), Example(LONG + " indeed", label="math")]
    found = found_in(parts)
    (finding,) = (f for f in found["findings"] if f["check"] == "contradictions")
    assert finding["examples"] == ["law: the ~ math: the"]
    duplicates = found["duplicates"]
    assert duplicates["near_duplicates_under_two_labels"] == 1
    assert duplicates["texts_under_two_labels"] == 0


def test_a_label_that_one_source_owns():
    sources = ["a"] * 95 + ["b"] * 105
    labels = [["law"]] * 95 + [["law"]] * 5 + [["math"]] * 100
    (law, maths) = owned_labels(sources, labels)
    assert (law["label"], law["source"], law["share"]) == ("law", "a", 0.95)
    assert (maths["label"], maths["source"], maths["share"]) == ("math", "b", 1.0)
    assert owned_labels(["a"] * 200, labels) == []  # of one source alone nothing is owned
    assert owned_labels(sources[:9], labels[:9]) == []
    half = ["a", "b"] * 100
    assert owned_labels(half, labels) == []


def test_a_classifier_that_sees_the_source_alone():
    names = [["law"]] * 80 + [["math"]] * 20
    told = source_alone(["a"] * 80 + ["b"] * 20, names)
    assert told == {"sources": 2, "accuracy": 1.0, "majority": 0.8, "gain": 1.0}
    assert source_alone(["a", "b"] * 50, names)["gain"] == 0.0


def test_a_label_readable_from_length():
    names = [["law"]] * 30 + [["math"]] * 30
    assert length_alone([50] * 30 + [5] * 30, names) == {"law": 1.0, "math": 0.0}
    assert length_alone([5, 9] * 30, names)["law"] == pytest.approx(0.5)
    parts = healthy()
    parts["train"] = rows(60, words=80) + rows(60, "math", words=9)
    told = [f for f in found_in(parts)["findings"] if f["check"] == "shortcut: length"]
    assert len(told) == 1 and len(told[0]["examples"]) == 1, "what the one is, the other is not"
    parts["train"] += rows(60, "history", words=9)  # with math, as short
    told = [f for f in found_in(parts)["findings"] if f["check"] == "shortcut: length"]
    assert len(told) == 1, "of three, the one that is told"
    assert find_shortcuts(parts["train"], [], SPEC)["typical"] == {
        "law": 30,
        "math": 90,
        "history": 150,
    }


def test_a_label_readable_from_a_prefix():
    texts = [f"Hypothetical response: yes {word}" for word in range(20)]
    texts += [f"word {word} of none" for word in range(60)]
    names = [["law"]] * 40 + [["math"]] * 40
    (entry,) = telling_prefixes(texts, names)
    assert entry == {"label": "law", "rows": 20, "share": 0.5, "row": 0}
    mixed = [["law"], ["math"]] * 40
    assert telling_prefixes(texts, mixed) == []


def test_a_source_whose_other_rows_are_set_apart_is_one_sided():
    parts = healthy()
    parts["train"] += rows(40, source="game", seed=5)
    parts["slices/harmful"] = rows(30, "math", source="game", seed=6)
    found = found_in(parts)
    assert found["shortcuts"]["one_sided"] == [
        {"source": "game", "label": "law", "rows": 40, "apart": 30, "row": 120}
    ]
    assert "shortcut: one-sided source" in checks(found, "warning")

    parts["test"] += rows(1, "math", source="game", seed=7)  # it has both labels now
    assert found_in(parts)["shortcuts"]["one_sided"] == []
    few = healthy() | {"slices/harmful": rows(19, "math", source="", seed=6)}
    assert found_in(few)["shortcuts"]["one_sided"] == []


def test_shortcuts_of_a_token_task_are_in_whether_there_are_spans():
    with_names = [pii(f"{row.text} NAME") for row in rows(30)]
    without = [Example(row.text, source="clean") for row in rows(30, "math")]
    found = found_in({"train": with_names + without}, spec=PII)
    assert found["shortcuts"]["source"]["accuracy"] == 1.0
    assert any("clean owns (no spans)" in f["text"] for f in found["findings"])


def test_rare_and_empty_labels_and_labels_missing_on_a_side():
    parts = healthy()
    parts["test"] = rows(10, seed=3)
    parts["train"] = rows(60) + rows(5, "math")
    spec = TASKS["category"].adapt(labels=("law", "math", "physics"))
    texts = [f["text"] for f in found_in(parts, spec=spec)["findings"] if f["check"] == "labels"]
    assert texts == [
        "no row of: physics", "fewer than 30 rows of: math (15)", "no row of math in test",
    ]  # fmt: skip


def test_languages_are_named():
    german = "Der Vertrag wurde gestern unterschrieben und tritt morgen in Kraft"
    english = "The contract was signed yesterday and comes into force tomorrow morning"
    counts = count_languages([Example(german)] * 3 + [Example(english)] * 5 + [Example("ok")])
    assert counts == {"rows": 9, "not_told": 1, "languages": {"en": 5, "de": 3}}
    many = [Example(f"{english} {n}") for n in range(40)]
    assert count_languages(many, sample=10)["rows"] == 10
    assert count_languages(many, sample=10) == count_languages(many[::-1], sample=10)


def test_a_language_is_read_around_the_spans_and_not_guessed():
    text = "Dear NAME and NAME and NAME, the contract was signed yesterday by all of us"
    name, start = "Krzysztof Wojciechowski ze Szczebrzeszyna", 0
    row = Example(text)
    while "NAME" in row.text:
        start = row.text.index("NAME")
        named = row.text.replace("NAME", name, 1)
        row = Example(named, spans=(*row.spans, Span(start, start + len(name), "PERSON")))
    assert language_of(row) == "en" != language_of(Example(row.text))
    assert (
        language_of(Example("Meyer Schmidt Rossi Kowalski Berlin")) == NOT_TOLD
    )  # long, and unsure
    assert language_of(Example("we are here")) == NOT_TOLD
    assert language_of(Example("we are here", meta={"lang": "de"})) == "de"


def test_bands_and_rows_that_are_cut():
    assert banded([1, 12, 13, 999], (12, 64)) == {"1-12": 2, "13-64": 1, "over 64": 1}
    found = found_in(
        healthy(), token_lengths=lambda texts: [len(t.split()) * 30 for t in texts], max_length=512
    )
    assert found["lengths"]["tokens"]["over 512"] == found["lengths"]["cut"] == 160
    assert "length" in checks(found, "warning")
    assert "length" not in checks(found_in(healthy()))


@pytest.mark.parametrize(
    ("licence", "standing"),
    [
        ("MIT", "open"),
        ("apache-2.0", "open"),
        ("MIT OR Apache-2.0", "open"),
        ("LicenseRef-Ours", "open"),
        ("CC-BY-NC-4.0", "non-commercial"),
        ("cc-by-nc-sa-4.0", "non-commercial"),
        ("PolyForm-Noncommercial-1.0.0", "non-commercial"),
        ("for non-commercial use", "non-commercial"),
        ("CC-BY-ND-4.0", "open"),
        ("unknown", "unknown"),
        ("see the README", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_what_a_licence_allows(licence, standing):
    assert licence_standing(licence) == standing


def test_licences_are_found_in_the_sources():
    sources = [*OPEN, {"name": "nc", "licence": "CC-BY-NC-4.0"}, {"name": "bare"}]
    found = found_in(healthy(), sources=sources)
    texts = [f["text"] for f in found["findings"] if f["check"] == "licence"]
    assert texts == ["non-commercial: nc (CC-BY-NC-4.0)", "no known licence: bare (unknown)"]
    assert [s["name"] for s in sources_to_allow(sources)] == ["nc", "bare"]
    summary = summarise(found)
    assert summary["non_commercial"] == ["nc"] and summary["unknown_licence"] == ["bare"]
    assert summary["licences"] == {"own": "MIT", "nc": "CC-BY-NC-4.0", "bare": "unknown"}


def test_the_summary_holds_no_example():
    parts = healthy()
    parts["train"].append(Example(LONG, label="law"))
    parts["test"].append(Example(LONG, label="law"))
    found = audit(AuditedData(SPEC, parts, OPEN, repaired=7), shown=lambda example: "TEXT")
    assert "TEXT" in json.dumps(found)
    summary = summarise(found)
    assert "TEXT" not in json.dumps(summary)
    assert (summary["leakage"], summary["repaired"]) == (1, 7)
    assert summary["findings"][0].startswith("error: 1 held-out rows")


def test_what_a_split_by_rows_would_do_is_told_of_rows_without_a_split():
    examples = [Example(f"{row.text}", label="law", group=str(n // 10)) for n, row in enumerate(
        rows(100))]  # fmt: skip
    told = split_by_rows(find_links(examples))
    assert told["groups_of_two_or_more"] == 10 and told["on_both_sides"] == 9
    assert told["held_out_rows_that_leak"] == pytest.approx(1, abs=1e-5)
    alone = split_by_rows(find_links(rows(20)))
    assert alone == {"groups_of_two_or_more": 0, "on_both_sides": 0, "held_out_rows_that_leak": 0}
    data = AuditedData.from_examples(SPEC, examples, OPEN)
    assert "split by rows" in checks(audit(data, shown=str), "warning")
    assert "split_by_rows" not in found_in(healthy())


# repair


def official(split, text, **fields):
    return Example(text, label="law", split=split, **fields)


def test_a_group_moves_to_its_most_protected_split():
    examples = [
        official("train", "a"), official("test", "b"), official("validation", "c"),
        official("train", "d"), official("validation", "e"), official(None, "f"),
        official("train", "g"), official("slice:far", "h"),
    ]  # fmt: skip
    repaired, report = repair_splits(
        examples, [0, 0, 0, 1, 1, 1, 2, 0], on_leakage="repair"
    )  # fmt: skip
    splits = [example.split for example in repaired]
    assert splits == [
        "test", "test", "test", "validation", "validation", None, "train", "slice:far",
    ]  # fmt: skip
    assert report == {
        "on_leakage": "repair", "groups": 2, "rows_moved": 3,
        "moves": {"train to test": 1, "validation to test": 1, "train to validation": 1},
        "examples": [
            {"row": row_hash(examples[0]), "relative": row_hash(examples[1])},
            {"row": row_hash(examples[3]), "relative": row_hash(examples[4])},
        ],
    }  # fmt: skip


def test_leakage_stops_where_it_is_told_to():
    examples = [official("train", "a secret"), official("test", "b")]
    with pytest.raises(DataError, match="1 rows from train to test") as caught:
        repair_splits(examples, [0, 0], on_leakage="stop")
    assert "secret" not in str(caught.value)
    kept, report = repair_splits(examples, [0, 1], on_leakage="stop")
    assert kept == examples and report["rows_moved"] == 0


def leaking_files(jsonl):
    train = [{"text": e.text, "label": e.label} for e in rows(40) + rows(40, "math")]
    test = [{"text": e.text, "label": e.label} for e in rows(9, seed=5) + rows(9, "math", seed=5)]
    train.append({"text": LONG + " indeed", "label": "law"})
    test.append({"text": LONG, "label": "law"})
    files = {"train": str(jsonl(train, "train.jsonl")), "test": str(jsonl(test, "test.jsonl"))}
    return [SourceRequest(files=files, licence="MIT")]


def test_prepare_repairs_official_splits_and_says_so(jsonl, tmp_path):
    told = []
    manifest = prepare(SPEC, leaking_files(jsonl), tmp_path / "out", progress=told.append)
    data = load_prepared(tmp_path / "out")
    assert len(data.test) == 20 and {LONG, LONG + " indeed"} <= {e.text for e in data.test}
    assert manifest["leakage"]["moves"] == {"train to test": 1}
    assert any("1 rows moved" in line for line in told)
    found = audit(AuditedData.from_prepared(data), shown=lambda example: example.text)
    assert found["leakage"]["rows"] == 0 and summarise(found)["repaired"] == 1
    (finding,) = (f for f in found["findings"] if f["check"] == "repaired")
    assert finding["severity"] == "info" and "were moved" in finding["text"]
    assert finding["examples"] == [f"{LONG} indeed ~ {LONG}"]
    assert LONG not in (tmp_path / "out" / "manifest.json").read_text()
    assert not (tmp_path / "out" / "conflicts.jsonl").exists()


def test_the_over_refusal_set_becomes_a_slice_and_no_row_of_it_trains(jsonl, tmp_path):
    made = [{"text": e.text, "kind": "benign"} for e in rows(30)]
    made += [{"text": e.text, "kind": "jailbreak"} for e in rows(30, "math")]
    own = SourceRequest(path=str(jsonl(made)), licence="MIT")
    prepare(JAILBREAK, [own, SourceRequest(name="over_refusal")], tmp_path / "out")
    data = load_prepared(tmp_path / "out")
    assert len(data.train) + len(data.validation) + len(data.test) == 60
    assert {name: len(part) for name, part in data.slices.items()} == {"over_refusal": 60}


def test_texts_that_preparing_left_out_can_be_read_in_the_audit(jsonl, tmp_path):
    made = [{"text": e.text, "label": e.label} for e in rows(40) + rows(40, "math")]
    made += [{"text": LONG, "label": "math"}, {"text": LONG.upper(), "label": "law"}]
    out = tmp_path / "out"
    for _ in range(2):  # what lies there is replaced
        prepare(SPEC, [SourceRequest(path=str(jsonl(made)), licence="MIT")], out)
    found = audit(AuditedData.from_prepared(load_prepared(out)), shown=lambda example: example.text)
    (finding,) = (f for f in found["findings"] if f["check"] == "left out")
    assert finding["severity"] == "info" and "1 texts stood under two labels" in finding["text"]
    assert finding["examples"] == [f"law / math: {LONG}"]
    assert found["duplicates"]["texts_under_two_labels"] == 0
    (out / "conflicts.jsonl").write_text('{"labels": ["law"]}\n')
    with pytest.raises(DataError, match=r"conflicts\.jsonl"):
        load_prepared(out)


def test_prepare_stops_at_leaking_official_splits(jsonl, tmp_path):
    options = PrepareOptions(on_leakage="stop")
    with pytest.raises(DataError, match="on_leakage: repair"):
        prepare(SPEC, leaking_files(jsonl), tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()


# the traps of real data


def test_the_audit_finds_the_leak_of_jackhhaos_official_split(shared_data):
    request = SourceRequest(name="jailbreak_classification", official_splits=True)
    loaded = load_source(request, JAILBREAK, mirror=shared_data / "hub")
    data = AuditedData.from_examples(JAILBREAK, loaded.examples, [loaded.provenance])
    found = audit(data, shown=lambda example: "-")
    assert 39 <= found["leakage"]["pairs"]["test~train"] <= 43
    assert "leakage" in checks(found, "error")


def test_the_audit_finds_that_a_row_split_of_presidio_leaks(shared_data):
    loaded = load_source(SourceRequest(name="presidio"), PII, mirror=shared_data / "hub")
    bare = [Example(e.text, spans=e.spans, source=e.source) for e in loaded.examples]
    for examples in (loaded.examples, bare):  # with template numbers, and without
        draw = random.Random(0)
        parts = {"train": [], "test": []}
        for example in examples:
            parts["test" if draw.random() < 0.2 else "train"].append(example)
        found = found_in(parts, spec=PII)
        assert found["leakage"]["rows"] > 0.9 * len(parts["test"])
    whole = audit(AuditedData.from_examples(PII, loaded.examples, OPEN), shown=str)
    told = whole["split_by_rows"]
    assert told["held_out_rows_that_leak"] > 0.9
    assert 190 <= told["groups_of_two_or_more"] <= 215


def test_the_audit_finds_a_label_that_a_part_of_a_public_source_owns(tmp_path):
    from pyarrow import Table, parquet

    made = [("engineering", "stemez-Optics")] * 24 + [("law", "ori_mmlu-law")] * 20
    made += [("engineering", "ori_mmlu-wiring"), ("law", "stemez-law"), ("law", "scibench-law")]
    texts = [e.text for e in rows(len(made))]
    table = Table.from_pylist(
        [{"question": t, "category": c, "src": s} for t, (c, s) in zip(texts, made, strict=True)]
    )
    folder = tmp_path / "TIGER-Lab/MMLU-Pro/data"
    folder.mkdir(parents=True)
    for split in ("test", "validation"):
        parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    spec = TASKS["category"].adapt(labels=("engineering", "law"))
    loaded = load_source(SourceRequest(name="mmlu_pro"), spec, mirror=tmp_path)
    assert {e.source.split("/")[0] for e in loaded.examples} == {"mmlu_pro"}
    data = AuditedData.from_examples(spec, loaded.examples, [loaded.provenance])
    found = audit(data, shown=lambda example: example.text)
    assert [f["text"] for f in found["findings"] if "owns" in f["text"]] == [
        "mmlu_pro/stemez owns engineering: 96% of its 50 rows, and 53% of all rows",
        "mmlu_pro/ori_mmlu owns law: 91% of its 44 rows, and 45% of all rows",
    ]
    assert found["licences"] == {"mmlu_pro": {"licence": "MIT", "standing": "open"}}


def test_the_audit_finds_that_stemez_owns_engineering(shared_data):
    loaded = load_source(
        SourceRequest(name="mmlu_pro"), TASKS["category"], mirror=shared_data / "hub"
    )
    data = AuditedData.from_examples(TASKS["category"], loaded.examples, [loaded.provenance])
    found = audit(data, shown=str)
    (entry,) = (x for x in found["shortcuts"]["owned"] if x["label"] == "engineering")
    assert entry["source"] == "mmlu_pro/stemez" and entry["share"] == pytest.approx(0.93, abs=0.01)
    assert any("mmlu_pro/stemez owns engineering" in f["text"] for f in found["findings"])


def test_the_audit_finds_that_wildguard_is_benign_without_its_harmful_rows(shared_data):
    request = SourceRequest(
        path=str(shared_data / "jailbreak" / "wildguard_train_sample.jsonl"),
        columns={"kind": "strict"},
    )
    loaded = load_source(request, JAILBREAK).examples
    assert {e.kind for e in loaded} == {"benign", "harmful"}
    parts = {"train": [e for e in loaded if e.kind == "benign"]}
    parts["slices/harmful"] = [e for e in loaded if e.kind == "harmful"]
    (entry,) = found_in(parts, spec=JAILBREAK)["shortcuts"]["one_sided"]
    assert entry["label"] == "benign" and entry["rows"] > 1500 and entry["apart"] > 1500
