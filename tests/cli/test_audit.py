"""`pointsman data audit` and `data suspects`, as a user types them."""

from __future__ import annotations

import json

import pytest

from tests.runs import jailbreak_rows, pii_rows, write_rows

SPLIT = ("--task", "jailbreak", "--column", "split=split")
LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


@pytest.fixture
def leaking(tmp_path):
    rows = jailbreak_rows(60)
    for number, row in enumerate(rows):
        row["split"] = "test" if number % 4 == 0 else "train"
    rows.append({"text": LONG, "kind": "benign", "split": "train"})
    rows.append({"text": f"{LONG} me@example.org", "kind": "benign", "split": "test"})
    return write_rows(tmp_path / "rows.jsonl", rows)


def test_audit_of_prepared_data(pointsman, own_demo):
    data = own_demo / "run" / "jailbreak" / "data"
    result = pointsman("data", "audit", data)
    assert result.code == 0, result.err
    found = json.loads((data / "audit.json").read_text())
    assert found["task"] == "jailbreak" and found["leakage"]["rows"] == 0
    assert "severity" in result.out and "findings in" in result.out
    both = (data, own_demo / "run" / "pii" / "data")
    assert pointsman("data", "audit", *both).code == 0
    assert json.loads((both[1] / "audit.json").read_text())["task"] == "pii"
    result = pointsman("data", "audit", *both, "-o", "one.json")
    assert result.code == 2 and "one data set" in result.err


def test_prepared_data_with_an_audit_in_it_may_be_prepared_again(pointsman, own_demo, tmp_path):
    source = write_rows(tmp_path / "rows.jsonl", jailbreak_rows(60))
    command = ("data", "prepare", "jailbreak", "--source", source, "-o", tmp_path / "data")
    for _ in range(2):
        assert pointsman(*command, "--set", "near_duplicate_threshold=null").code == 0
        assert pointsman("data", "audit", tmp_path / "data").code == 0


def test_leakage_ends_with_an_exit_code_after_the_account_is_written(pointsman, leaking, tmp_path):
    result = pointsman("data", "audit", leaking, *SPLIT)
    assert result.code == 4 and "--allow-leakage" in result.err and "error" in result.out
    text = (tmp_path / "audit.json").read_text()
    found = json.loads(text)
    assert found["leakage"]["pairs"] == {"test~train": 1}
    assert "me@example.org" not in text + result.out + result.err and "[...]" in text
    out = tmp_path / "there.json"
    again = pointsman("data", "audit", leaking, *SPLIT, "--allow-leakage", "-o", out)
    assert again.code == 0 and json.loads(out.read_text()) == found
    shown = pointsman("data", "audit", leaking, *SPLIT, "--reveal", "-o", out)
    assert shown.code == 4 and "me@example.org" in out.read_text()


def test_a_directory_of_sources_is_one_data_set(pointsman, leaking, tmp_path):
    (tmp_path / "many").mkdir()
    lines = leaking.read_text().splitlines(keepends=True)
    (tmp_path / "many" / "a.jsonl").write_text("".join(lines[:-1]))
    (tmp_path / "many" / "b.jsonl").write_text(lines[-1])
    result = pointsman("data", "audit", tmp_path / "many", *SPLIT)
    assert result.code == 4 and (tmp_path / "many" / "audit.json").is_file()


def test_a_directory_is_audited_again_without_its_own_audit(pointsman, leaking):
    audit = ("data", "audit", leaking.parent, *SPLIT, "--allow-leakage")
    assert pointsman(*audit).code == 0
    first = (leaking.parent / "audit.json").read_text()
    assert pointsman(*audit).code == 0
    assert (leaking.parent / "audit.json").read_text() == first


def write_csv(path, rows, header):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *(f'"{text}",{kind}' for text, kind in rows)]
    path.write_text("\n".join(lines) + "\n")


def test_the_directory_of_a_public_source_in_a_mirror(pointsman, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "hub" / "jackhhao" / "jailbreak-classification"
    for split in ("train", "test"):
        rows = [(f"{LONG} {split}", "jailbreak"), (f"{split} how are you", "benign")]
        file = home / "balanced" / f"jailbreak_dataset_{split}_balanced.csv"
        write_csv(file, rows, "prompt,type")
    result = pointsman("data", "audit", home)
    assert result.code == 4 and "1 held-out rows" in result.err, result.err
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["task"] == "jailbreak" and found["rows"] == {"train": 2, "test": 2}
    assert found["leakage"]["pairs"] == {"test~train": 1}
    assert found["licences"]["jailbreak_classification"]["licence"] == "Apache-2.0"
    assert sorted(path.name for path in home.iterdir()) == ["balanced"]  # left as it was


def test_files_that_are_named_after_their_splits(pointsman, tmp_path):
    for split in ("train", "dev"):
        rows = [(f"{LONG} {split}", "malicious"), (f"{split} how are you", "benign")]
        write_csv(tmp_path / "mine" / f"rows-{split}_v2.csv", rows, "prompt,type")
    columns = ("--column", "text=prompt", "--column", "kind=type")
    audit = ("data", "audit", tmp_path / "mine", "--task", "jailbreak", *columns)
    assert pointsman(*audit).code == 4  # a kind that nobody knows
    result = pointsman(*audit, "--label-map", "malicious=jailbreak")
    assert result.code == 4 and "rows-dev_v2.csv: validation, by its name" in result.err
    found = json.loads((tmp_path / "mine" / "audit.json").read_text())
    assert found["leakage"]["pairs"] == {"validation~train": 1}
    (tmp_path / "mine" / "rows-train_v2.csv").unlink()  # one name alone tells nothing
    assert pointsman(*audit, "--label-map", "malicious=jailbreak").code == 0
    found = json.loads((tmp_path / "mine" / "audit.json").read_text())
    assert found["rows"] == {"no split": 2}


def test_the_audit_of_jackhhaos_directory_finds_its_leak(pointsman, shared_data, tmp_path):
    home = shared_data / "hub" / "jackhhao" / "jailbreak-classification"
    result = pointsman("data", "audit", home, "-o", tmp_path / "audit.json")
    assert result.code == 4, result.err
    found = json.loads((tmp_path / "audit.json").read_text())
    assert 39 <= found["leakage"]["pairs"]["test~train"] <= 43
    (leak,) = (f for f in found["findings"] if f["check"] == "leakage")
    assert len(leak["examples"]) == 3 and all(" ~ train: " in pair for pair in leak["examples"])
    files = [home / "balanced" / f"jailbreak_dataset_{s}_balanced.csv" for s in ("train", "test")]
    columns = ("--column", "text=prompt", "--column", "kind=type")
    local = ("--task", "jailbreak", *columns, "--label-map", "malicious=jailbreak")
    result = pointsman("data", "audit", *files, *local, "-o", tmp_path / "local.json")
    assert result.code == 4, result.err
    again = json.loads((tmp_path / "local.json").read_text())
    assert again["leakage"]["pairs"] == found["leakage"]["pairs"]


def test_lengths_in_tokens(pointsman, leaking, backbones, tmp_path):
    options = ("--task", "jailbreak", "--backbone", backbones["bert"], "--max-length", "16")
    pointsman("data", "audit", leaking, *options)
    lengths = json.loads((tmp_path / "audit.json").read_text())["lengths"]
    assert lengths["max_length"] == 16 and 0 < lengths["cut"] <= 62
    assert sum(lengths["tokens"].values()) == sum(lengths["words"].values())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("data", "audit", "ROWS"), 2, "--task"),
        (("data", "audit", "gone.jsonl", "--task", "jailbreak"), 2, "gone.jsonl"),
        (("data", "audit", "ROWS", "--task", "jailbrek"), 2, "did you mean 'jailbreak'"),
        (("data", "suspects", "ROWS", "-o", "s.csv"), 2, "--task"),
    ],
)
def test_wrong_arguments_are_said(pointsman, leaking, arguments, code, words):
    result = pointsman(*(leaking if a == "ROWS" else a for a in arguments))
    assert (result.code, words in result.err) == (code, True), result.err


def test_suspects_are_written(pointsman, leaking, tmp_path):
    out = tmp_path / "s.csv"
    result = pointsman("data", "suspects", leaking, "--task", "jailbreak", "-o", out)
    assert result.code == 0 and "of 50 labels are doubted" in result.err, result.err
    assert out.read_text().startswith("rank,split,row,source,label,suggested")


def test_suspects_need_a_sequence_task(pointsman, tmp_path):
    data = write_rows(tmp_path / "pii.jsonl", pii_rows(9))
    result = pointsman("data", "suspects", data, "--task", "pii", "-o", tmp_path / "s.csv")
    assert result.code == 2 and "sequence task" in result.err


def test_training_stops_at_an_unknown_licence_and_goes_on_with_consent(
    pointsman, backbones, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    source = write_rows(tmp_path / "rows.jsonl", jailbreak_rows(60))
    prepare = ("data", "prepare", "jailbreak", "--source", source, "-o", "data")
    assert pointsman(*prepare, "--set", "near_duplicate_threshold=null").code == 0
    train = ("train", "jailbreak", "--data", "data", "--backbone", backbones["bert"], "-o", "out")
    quick = ("--set", "max_steps=2", "--set", "max_length=48", "--set", "report_to=[]")
    result = pointsman(*train, *quick)
    assert result.code == 4 and "rows.jsonl: unknown" in result.err
    done = pointsman(*train, *quick, "--allow-noncommercial")
    assert done.code == 0, done.err
