"""From sources to a directory and back, and everything that must stop on the way."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from pointsman.core.errors import (
    ConfigError,
    DataError,
    RowError,
    SourceError,
    StorageError,
)
from pointsman.data.prepare import PrepareOptions, SourceRequest, load_prepared, prepare
from pointsman.data.sampling import split_hash
from pointsman.tasks.catalogue import TASKS

CATEGORY = TASKS["category"]
LAW_AND_MATH = CATEGORY.adapt(labels=("law", "math"))
WORDS = (
    "ash",
    "birch",
    "cedar",
    "elm",
    "fir",
    "gum",
    "hazel",
    "ivy",
    "juniper",
    "kapok",
    "larch",
    "maple",
    "oak",
    "pine",
    "rowan",
    "yew",
)


def rows(label, count, start=0):
    """Rows that resemble each other in nothing."""
    return [
        {"text": f"{WORDS[i % 16]} {label} {i * 7919} {WORDS[(i * 5 + 3) % 16]}", "label": label}
        for i in range(start, start + count)
    ]


@pytest.fixture
def source(jsonl):
    return SourceRequest(path=str(jsonl(rows("law", 40) + rows("math", 20))))


def run(spec, requests, out, **options):
    return prepare(spec, requests, out, options=PrepareOptions(**options))


def parsed(requests):
    return [SourceRequest.parse(request, where="source") for request in requests]


def labels(examples):
    return Counter(example.label for example in examples)


def test_the_whole_way_and_back(source, tmp_path):
    told = []
    manifest = prepare(LAW_AND_MATH, [source], tmp_path / "out", progress=told.append)
    data = load_prepared(tmp_path / "out")
    assert labels(data.train) == {"law": 32, "math": 16}
    assert labels(data.validation) == labels(data.test) == {"law": 4, "math": 2}
    assert data.spec == LAW_AND_MATH
    assert data.manifest == manifest
    assert manifest["counts"]["train"]["labels"] == {"law": 32, "math": 16}
    assert manifest["counts"]["train"]["sources"] == {"rows": 48}
    assert manifest["hashes"]["test"] == split_hash(data.test)
    assert manifest["sources"][0]["licence"] == "unknown"
    assert manifest["seed"] == manifest["options"]["seed"]
    assert any("rows.jsonl" in line for line in told)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "manifest.json", "skipped.jsonl", "test.jsonl", "train.jsonl", "validation.jsonl",
    ]  # fmt: skip


def test_the_same_twice_and_from_any_order_of_rows(jsonl, tmp_path):
    content = rows("law", 40) + rows("math", 20)
    hashes = []
    for name, ordered in (("a", content), ("b", content), ("c", content[::-1])):
        request = SourceRequest(path=str(jsonl(ordered, f"{name}.jsonl")))
        hashes.append(run(LAW_AND_MATH, [request], tmp_path / name)["hashes"])
    assert hashes[0] == hashes[1] == hashes[2]
    other = run(LAW_AND_MATH, [request], tmp_path / "d", seed=14)["hashes"]
    assert other != hashes[0]


def test_duplicates_conflicts_and_near_duplicates_are_accounted_for(jsonl, tmp_path):
    content = rows("law", 20) + rows("math", 20)
    content += [{**content[0], "text": content[0]["text"].upper()}]
    content += [{"text": "both", "label": "law"}, {"text": "both", "label": "math"}]
    long = "one two three four five six seven eight nine ten eleven twelve thirteen"
    content += [{"text": f"{long} {tail}", "label": "law"} for tail in ("a", "b", "c")]
    manifest = run(LAW_AND_MATH, [SourceRequest(path=str(jsonl(content)))], tmp_path / "out")
    assert manifest["duplicates"]["exact_duplicates_dropped"] == 1
    assert manifest["duplicates"]["conflicting_rows_dropped"] == 2
    assert manifest["near_duplicates"]["largest_group"] == 3
    data = load_prepared(tmp_path / "out")
    sides = [split for split in (data.train, data.validation, data.test) for e in split
             if e.text.startswith(long)]  # fmt: skip
    assert all(side is sides[0] for side in sides)
    everything = (*data.train, *data.validation, *data.test)
    assert not [example for example in everything if example.text == "both"]


def test_skipped_rows_are_listed(jsonl, tmp_path):
    content = rows("law", 10) + [{"text": "", "label": "law"}] + rows("math", 10)
    request = SourceRequest(path=str(jsonl(content)))
    with pytest.raises(RowError, match="row 11"):
        run(LAW_AND_MATH, [request], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    manifest = run(LAW_AND_MATH, [request], tmp_path / "out", on_bad_row="skip")
    assert manifest["skipped_rows"] == 1
    (line,) = (tmp_path / "out/skipped.jsonl").read_text().splitlines()
    assert "row 11" in json.loads(line)["problem"]


def test_max_chars(jsonl, tmp_path):
    content = rows("law", 10) + rows("math", 10) + [{"text": "x" * 200, "label": "law"}]
    with pytest.raises(RowError, match="at most 100 characters"):
        run(LAW_AND_MATH, [SourceRequest(path=str(jsonl(content)))], tmp_path / "o", max_chars=100)


def test_labels_that_the_recipe_left_out_are_counted(jsonl, tmp_path):
    content = rows("law", 10) + rows("math", 10) + rows("physics", 5)
    request = SourceRequest(path=str(jsonl(content)))
    manifest = run(LAW_AND_MATH, [request], tmp_path / "out")
    assert manifest["sources"][0]["counts"]["left_out"] == {"label": {"physics": 5}}
    with pytest.raises(RowError):
        run(LAW_AND_MATH, [request], tmp_path / "out", dropped_labels=())


def test_the_document_s_rows_per_label_and_fractions(source, tmp_path):
    options = {
        "rows_per_label": {"law": 20, "math": 500},
        "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2},
    }
    manifest = run(LAW_AND_MATH, [source], tmp_path / "out", **options)
    data = load_prepared(tmp_path / "out")
    assert labels(data.train) == {"law": 12, "math": 12}
    assert manifest["samples"]["rows_per_label"] == {
        "law": {"asked": 20, "got": 20},
        "math": {"asked": 500, "got": 20},
    }


def test_caps_and_balance(source, tmp_path):
    run(LAW_AND_MATH, [source], tmp_path / "a", max_rows=30)
    data = load_prepared(tmp_path / "a")
    assert len(data.train) + len(data.validation) + len(data.test) == 30
    run(LAW_AND_MATH, [source], tmp_path / "b", balance=1, max_rows_per_split={"test": 3})
    data = load_prepared(tmp_path / "b")
    assert labels(data.train) == {"law": 16, "math": 16}
    assert labels(data.test) == {"law": 2, "math": 1}


def test_official_splits_and_slices(jsonl, tmp_path):
    train = jsonl(rows("law", 20) + rows("math", 20), "train.jsonl")
    test = jsonl(rows("law", 3, 100) + rows("math", 3, 100), "held.jsonl")
    far = jsonl(rows("law", 2, 200), "far.jsonl")
    files = {"train": str(train), "test": str(test), "slice:far": str(far)}
    run(LAW_AND_MATH, [SourceRequest(files=files)], tmp_path / "out", max_rows=40)
    data = load_prepared(tmp_path / "out")
    assert len(data.slices["far"]) == 2
    assert {e.text for e in data.test} <= {
        json.loads(x)["text"] for x in test.read_text().splitlines()
    }
    assert len(data.train) + len(data.validation) + len(data.test) == 40
    assert data.validation


def test_a_source_out_of_distribution_is_a_slice_and_nothing_else(jsonl, tmp_path):
    near = jsonl(rows("law", 20) + rows("math", 20), "near.jsonl")
    far = rows("law", 3, 200) + [{**row, "split": "train"} for row in rows("math", 2, 200)]
    far += [{**rows("math", 1, 300)[0], "split": "slice:odd"}, *rows("law", 1)]  # one is in near
    path = str(jsonl(far, "Far Away!.jsonl"))
    request = SourceRequest(path=path, columns={"split": "split"}, ood=True)
    manifest = run(LAW_AND_MATH, [request, SourceRequest(path=str(near))], tmp_path / "out")
    data = load_prepared(tmp_path / "out")
    assert labels(data.slices["ood-far-away-"]) == {"law": 3, "math": 2}
    assert len(data.slices["odd"]) == 1
    inside = [*data.train, *data.validation, *data.test]
    assert len(inside) == 40 and {row.source for row in inside} == {"near"}
    assert [source.get("ood") for source in manifest["sources"]] == [True, None]


def test_rows_labelled_in_part_only_train(jsonl, tmp_path):
    spec = TASKS["pii"]
    whole = [
        {"text": f"Call {name} about lot {i}", "spans": [{"start": 5, "end": 8, "label": "PERSON"}],
         "group": f"g{i}"}
        for i, name in enumerate(["Ann", "Bob", "Eve", "Ida", "Max", "Ned", "Pam", "Tom"] * 4)
    ]  # fmt: skip
    part = [
        {"text": "Ann from Acme wrote again", "spans": [{"start": 0, "end": 3, "label": "PERSON"}]},
        {"text": "so do we", "spans": [], "split": "validation"},
        {"text": "nobody knows", "spans": [], "split": "train"},
    ]
    requests = [
        {"path": str(jsonl(whole, "whole.jsonl"))},
        {"path": str(jsonl(part, "part.jsonl")), "annotates": ["PERSON"]},
    ]
    manifest = run(spec, parsed(requests), tmp_path / "out")
    data = load_prepared(tmp_path / "out")
    assert manifest["labelled_in_part"] == {"train": 2, "left_out": 1}
    taught = {e.text for e in data.train if e.annotated == ("PERSON",)}
    assert taught == {"Ann from Acme wrote again", "nobody knows"}
    assert all(e.annotated is None for e in [*data.validation, *data.test])
    assert data.validation and data.test


def test_rows_labelled_in_part_never_near_test_rows(jsonl, tmp_path):
    text = "Please call Ann about the contract of the harbour crane before Monday noon {}"
    spans = [{"start": 12, "end": 15, "label": "PERSON"}]
    whole = [{"text": text.format("sharp"), "spans": spans, "split": "test"}]
    whole += [
        {"text": f"Line {i}: {chr(97 + i) * 5}", "spans": [], "split": split}
        for i, split in enumerate(["train", "validation"] * 4)
    ]
    requests = [
        {"path": str(jsonl(whole, "whole.jsonl"))},
        {"path": str(jsonl([{"text": text.format("sharpish"), "spans": spans}], "part.jsonl")),
         "annotates": ["PERSON"]},
    ]  # fmt: skip
    manifest = run(TASKS["pii"], parsed(requests), tmp_path / "out")
    assert manifest["labelled_in_part"] == {"train": 0, "left_out": 1}


@pytest.mark.parametrize(
    ("task", "more", "problem"),
    [
        ("pii", {"annotates": ["PERSONS"]}, "unknown type 'PERSONS'"),
        ("category", {"annotates": ["law"]}, "in a token task's source"),
        ("pii", {"annotates": ["PERSON"], "ood": True}, "does not go with `ood`"),
    ],
)
def test_types_that_cannot_be_labelled_in_part(jsonl, tmp_path, task, more, problem):
    row = {"text": "hi", "spans": []} if task == "pii" else {"text": "hi", "label": "law"}
    with pytest.raises(ConfigError, match=problem):
        run(TASKS[task], parsed([{"path": str(jsonl([row])), **more}]), tmp_path / "out")


def test_kinds_kept_out_stay_their_own_slice_in_a_source_out_of_distribution(jsonl, tmp_path):
    def kinds(start, *names):
        words = "alpha bravo delta hotel india lima oscar papa romeo tango".split()
        return [
            {"text": f"{words[(start + n) % 10]} {start + n} {words[n % 10]}", "kind": kind}
            for n, kind in enumerate(names)
        ]

    near = jsonl(kinds(0, *["benign", "jailbreak"] * 10), "near.jsonl")
    far = jsonl(kinds(100, "benign", "jailbreak", "harmful"), "far.jsonl")
    requests = [SourceRequest(path=str(near)), SourceRequest(path=str(far), ood=True)]
    run(TASKS["jailbreak"], requests, tmp_path / "out", near_duplicate_threshold=None)
    slices = load_prepared(tmp_path / "out").slices
    assert {name: len(part) for name, part in slices.items()} == {"ood-far": 2, "harmful": 1}


def test_kinds_that_are_not_chosen_become_slices(fake_mirror, tmp_path):
    names = ("toxic_chat", "salad_data", "jailbreak_classification")
    requests = [SourceRequest(name=name) for name in names]
    manifest = run(TASKS["jailbreak"], requests, tmp_path / "out", mirror=str(fake_mirror),
                   near_duplicate_threshold=None)  # fmt: skip
    data = load_prepared(tmp_path / "out")
    assert {e.kind for e in data.train} == {"benign", "jailbreak"}
    assert {name: {e.kind for e in part} for name, part in data.slices.items()} == {
        "toxic": {"toxic"},
        "harmful": {"harmful"},
    }
    assert manifest["counts"]["slices/toxic"]["rows"] == 2
    assert {x["name"]: x["licence"] for x in manifest["sources"]}["toxic_chat"] == "CC-BY-NC-4.0"


def test_unmapped_functions_are_in_the_manifest(fake_mirror, jsonl, tmp_path):
    own = SourceRequest(path=str(jsonl(rows("calculation", 9) + rows("no_function_needed", 9))))
    spec = TASKS["intent"].adapt(labels=("calculation", "no_function_needed"))
    manifest = run(spec, [SourceRequest(name="glaive"), own], tmp_path / "out",
                   mirror=str(fake_mirror))  # fmt: skip
    left_out = manifest["sources"][0]["counts"]["left_out"]
    assert left_out["unmapped function"] == {"play_music": 1}


def test_prepared_data_is_replaced_and_nothing_else_is(source, tmp_path):
    out = tmp_path / "out"
    run(LAW_AND_MATH, [source], out)
    run(LAW_AND_MATH, [source], out, max_rows=30)
    assert load_prepared(out).manifest["options"]["max_rows"] == 30
    other = tmp_path / "other"
    other.mkdir()
    run(LAW_AND_MATH, [source], other)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match="that holds manifest.json"):
        run(LAW_AND_MATH, [source], precious)
    with pytest.raises(ConfigError, match="a file"):
        run(LAW_AND_MATH, [source], precious / "manifest.json")
    assert (precious / "manifest.json").read_text() == "{}"


def test_what_stands_beside_prepared_data_is_kept(source, tmp_path):
    out = tmp_path / "out"
    run(LAW_AND_MATH, [source], out)
    (out / "bundle").mkdir()
    (out / "bundle" / "model.safetensors").write_text("hours of work")
    with pytest.raises(ConfigError, match="holds bundle"):
        run(LAW_AND_MATH, [source], out)
    assert (out / "bundle" / "model.safetensors").read_text() == "hours of work"


def test_a_damaged_manifest_is_named(source, tmp_path):
    out = tmp_path / "out"
    run(LAW_AND_MATH, [source], out)
    manifest = json.loads((out / "manifest.json").read_text())
    for key in ("hashes", "task"):
        left = {name: value for name, value in manifest.items() if name != key}
        (out / "manifest.json").write_text(json.dumps(left))
        with pytest.raises(DataError, match=key):
            load_prepared(out)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_refuses_leaves_the_old_data(source, tmp_path, monkeypatch, code):
    out = tmp_path / "out"
    run(LAW_AND_MATH, [source], out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def refuse(_handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError) as caught:
        run(LAW_AND_MATH, [source], out, seed=99)
    assert caught.value.fix
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"]


def test_a_changed_or_missing_file_is_named(source, tmp_path):
    out = tmp_path / "out"
    run(LAW_AND_MATH, [source], out)
    train = out / "train.jsonl"
    lines = train.read_text().splitlines(keepends=True)
    train.write_text("".join(reversed(lines)))
    load_prepared(out)  # the order is no part of a split
    for broken in (lines[1:], [*lines[1:], "{}\n"], [*lines[1:], "x\n"]):
        train.write_text("".join(broken))
        with pytest.raises(DataError, match=r"train\.jsonl"):
            load_prepared(out)
    train.unlink()
    with pytest.raises(DataError, match="no such file"):
        load_prepared(out)
    with pytest.raises(ConfigError, match="prepared data"):
        load_prepared(tmp_path)


def test_lines_that_are_not_ends_of_rows(jsonl, tmp_path):
    content = rows("law", 10) + rows("math", 10)
    content.append({"text": "odd \u2028 \u0085 \r\n breaks\x1c", "label": "law"})
    run(LAW_AND_MATH, [SourceRequest(path=str(jsonl(content)))], tmp_path / "out")
    data = load_prepared(tmp_path / "out")
    assert content[-1]["text"] in {e.text for e in (*data.train, *data.validation, *data.test)}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"fractions": {"train": 0.9, "test": 0.2}}, "add up to 1"),
        ({"fractions": {"validation": 0.5, "test": 0.5}}, "train has a share"),
        ({"fractions": {"train": 1.2, "test": -0.2}}, "0 or more"),
        ({"fractions": {"train": 0.9, "dev": 0.1}}, "unknown split 'dev'"),
        ({"max_rows_per_split": {"dev": 3}}, "unknown split 'dev'"),
        ({"balance": 0.5}, "balance"),
        ({"max_row": 3}, "unknown key 'max_row'"),
        ({"near_duplicate_threshold": 0}, "near_duplicate_threshold"),
    ],
)
def test_options_that_make_no_sense(options, problem):
    with pytest.raises(ConfigError, match=problem):
        PrepareOptions.parse(options, where="recipe")


def test_names_that_are_not_known(source, tmp_path):
    with pytest.raises(ConfigError, match="a source"):
        run(LAW_AND_MATH, [], tmp_path / "out")
    with pytest.raises(ConfigError, match="unknown class 'maths'") as caught:
        run(LAW_AND_MATH, [source], tmp_path / "out", rows_per_label={"maths": 3})
    assert "did you mean 'math'" in caught.value.fix


@pytest.mark.parametrize(
    ("content", "kind", "problem"),
    [
        ([], SourceError, "at least one row"),
        (rows("law", 9), DataError, "one only: law"),
        (rows("law", 9) + rows("math", 2), DataError, "math: 2 rows"),
    ],
)
def test_data_that_cannot_be_prepared(jsonl, tmp_path, content, kind, problem):
    with pytest.raises(kind, match=problem):
        run(LAW_AND_MATH, [SourceRequest(path=str(jsonl(content)))], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("task", "names", "adapt"),
    [
        ("category", ["mmlu_pro"], {}),
        ("pii", ["presidio"], {}),
        ("jailbreak", ["jailbreak_classification", "toxic_chat", "salad_data"], {}),
        ("intent", ["glaive"], {"labels": ("calculation", "information_retrieval",
                                           "communication", "no_function_needed")}),
    ],
)  # fmt: skip
def test_every_task_from_the_real_mirror(shared_data, tmp_path, task, names, adapt):
    spec = TASKS[task].adapt(**adapt)
    requests = [SourceRequest(name=name, limit=600) for name in names]
    run(spec, requests, tmp_path / "out", mirror=str(shared_data / "hub"))
    data = load_prepared(tmp_path / "out")
    groups = [{e.group for e in s if e.group} for s in (data.train, data.validation, data.test)]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    if spec.level == "sequence":
        assert set(labels(data.test)) == set(spec.labels)


def test_the_path_may_be_a_string(source, tmp_path):
    prepare(LAW_AND_MATH, [source], str(tmp_path / "out"))
    assert Path(load_prepared(str(tmp_path / "out")).manifest["format"]).name == "1"


def test_groups_that_were_found_are_written_down(jsonl, tmp_path):
    """300 rows of ten templates that nobody named: an interval must know that they are ten."""
    words = ["crane", "ferry", "tower", "boiler", "garden", "stable", "cellar", "bridge", "quarry",
             "lantern"]  # fmt: skip
    content = []
    for i in range(300):
        template = f"please ring NAME about the {words[i % 10]} before it opens"
        name = f"Anna{i}"
        content.append({"text": template.replace("NAME", name),
                     "spans": [{"start": 12, "end": 12 + len(name), "label": "PERSON"}]})  # fmt: skip
    manifest = run(TASKS["pii"], [SourceRequest(path=str(jsonl(content)))], tmp_path / "out")
    data = load_prepared(tmp_path / "out")
    named = [{e.group for e in part} for part in (data.train, data.validation, data.test)]
    assert None not in set.union(*named)
    assert sum(map(len, named)) == len(set.union(*named)) == manifest["near_duplicates"]["groups"]
    assert sum(map(len, named)) <= 10


def test_a_row_alone_gets_no_group_and_a_given_name_stays(jsonl, tmp_path):
    content = rows("law", 20) + rows("math", 20)
    content[0]["group"] = content[1]["group"] = "mine"
    run(LAW_AND_MATH, [SourceRequest(path=str(jsonl(content)))], tmp_path / "out")
    data = load_prepared(tmp_path / "out")
    found = [e.group for part in (data.train, data.validation, data.test) for e in part]
    assert found.count("mine") == 2 and found.count(None) == 38
