"""Local files: every format, and every way in which one can be broken."""

from __future__ import annotations

import json

import pytest

from pointsman.core.errors import ConfigError, DataError, RowError, SourceError
from pointsman.data.local_files import column_names, count_rows, read_records, stream_records
from pointsman.data.request import SourceRequest
from pointsman.data.sources import load_source
from pointsman.tasks.catalogue import TASKS

CATEGORY, PII, JAILBREAK = TASKS["category"], TASKS["pii"], TASKS["jailbreak"]
GOOD = [{"text": "a contract", "label": "law"}, {"text": "a sum", "label": "math"}]


def load(spec=CATEGORY, on_bad_row="stop", **request):
    return load_source(SourceRequest.parse(request, where="test"), spec, on_bad_row=on_bad_row)


def labels(loaded):
    return [example.label for example in loaded.examples]


def test_jsonl_with_its_provenance(jsonl):
    path = jsonl(GOOD)
    loaded = load(path=str(path), licence="CC0-1.0")
    assert labels(loaded) == ["law", "math"]
    assert loaded.places == ["rows.jsonl: row 1", "rows.jsonl: row 2"]
    assert {example.source for example in loaded.examples} == {"rows"}
    assert loaded.provenance["licence"] == "CC0-1.0"
    assert len(loaded.provenance["files"][path.name]) == 64
    assert loaded.provenance["name"] == path.name  # where it lies is nobody's business


def test_csv_keeps_every_cell_as_text(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('\ufefftext,label,group\n"two\nlines, quoted",law,007\n12,math,8\n')
    loaded = load(path=str(path))
    assert [e.text for e in loaded.examples] == ["two\nlines, quoted", "12"]
    assert loaded.examples[0].group == "007"


def test_a_cell_longer_than_a_block(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('text,label\n"' + "word\n" * 500_000 + '",law\n')
    (record,) = read_records(path)
    assert len(record[1]["text"]) == 2_500_000


def test_parquet_tsv_and_json(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(GOOD), tmp_path / "x.parquet")
    (tmp_path / "x.tsv").write_text("text\tlabel\na contract\tlaw\na sum\tmath\n")
    (tmp_path / "x.json").write_text(json.dumps(GOOD))
    for name in ("x.parquet", "x.tsv", "x.json"):
        assert labels(load(path=str(tmp_path / name))) == ["law", "math"]


def write_parquet(path, groups, rows):
    """Row groups of texts that do not compress."""
    import random

    import pyarrow as pa
    from pyarrow import parquet

    draw = random.Random(0)
    table = pa.table(
        {n: [draw.randbytes(1000).hex() for _ in range(rows)] for n in ("text", "more")}
    )
    with parquet.ParquetWriter(path, table.schema) as writer:
        for _ in range(groups):
            writer.write_table(table)
    return path


def test_parquet_is_read_in_memory_that_does_not_grow_with_it(tmp_path):
    import pyarrow as pa

    pool, most = pa.default_memory_pool(), []
    for groups in (10, 60):
        path = write_parquet(tmp_path / f"{groups}.parquet", groups, 100)
        before, seen = pool.bytes_allocated(), 0
        for number, _ in enumerate(stream_records(path)):
            if number % 50 == 0:
                seen = max(seen, pool.bytes_allocated() - before)
        assert number + 1 == count_rows(path) == groups * 100
        most.append(seen)
    assert most[1] < 1.5 * most[0] and most[1] < path.stat().st_size / 4


def test_of_parquet_only_the_columns_that_are_needed_are_read(tmp_path):
    path = write_parquet(tmp_path / "x.parquet", 2, 3)
    rows = [row for _, row in stream_records(path, columns=("text", "absent"))]
    assert len(rows) == 6 and all(list(row) == ["text"] for row in rows)
    assert column_names(path) == ["text", "more"]


def test_one_odd_row_of_parquet_loses_no_other(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    texts = pa.array([b"one", b"secret \xff", b"three"]).view(pa.string())
    parquet.write_table(pa.table({"id": [1, 2, 3], "text": texts}), tmp_path / "x.parquet")
    (_, first), (where, bad), (_, last) = read_records(tmp_path / "x.parquet")
    assert (first["text"], last) == ("one", {"id": 3, "text": "three"})
    assert isinstance(bad, RowError) and where.endswith("row 2")
    assert "column 'text'" in str(bad) and "secret" not in str(bad)


@pytest.mark.parametrize("content", [b"", b"text", b"PAR1" + b"\x00" * 100 + b"PAR1"])
@pytest.mark.parametrize("ask", [count_rows, column_names, read_records])
def test_what_is_asked_of_a_damaged_parquet_file(tmp_path, content, ask):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises((DataError, SourceError), match="x.parquet"):
        ask(path)


def test_presidio_json_is_recognised(fake_mirror):
    path = fake_mirror / "microsoft/presidio-research/data/synth_dataset_v2.json"
    loaded = load(PII, path=str(path))
    assert [len(example.spans) for example in loaded.examples] == [1, 0]
    assert [example.group for example in loaded.examples] == ["7", "8"]


def test_spans_in_a_csv_cell_and_their_map(tmp_path):
    path = tmp_path / "x.csv"
    spans = json.dumps(
        [{"start": 0, "end": 3, "label": "PER"}, {"start": 7, "end": 11, "label": "USER"}]
    )
    path.write_text("text,spans\nAnn in Rome,{}\n".format('"' + spans.replace('"', '""') + '"'))
    loaded = load(PII, path=str(path), label_map={"PER": "PERSON", "USER": None})
    assert [span.label for span in loaded.examples[0].spans] == ["PERSON"]
    assert loaded.counts["left_out"] == {"span label": {"USER": 1}}


def test_columns_of_other_names(jsonl):
    path = jsonl([{"prompt": "hi", "type": 1, "id": 9, "why": "x"}])
    loaded = load(
        JAILBREAK,
        path=str(path),
        columns={"text": "prompt", "label": "type", "group": "id", "meta.reason": "why"},
        label_map={"1": "jailbreak"},
    )
    (row,) = loaded.examples
    assert (row.text, row.label, row.group) == ("hi", "jailbreak", "9")
    assert row.meta == {"reason": "x"}


def test_an_unknown_column_is_named_with_the_nearest(jsonl):
    with pytest.raises(ConfigError, match="no column 'promt'") as caught:
        load(path=str(jsonl([{"prompt": "hi", "label": "law"}])), columns={"text": "promt"})
    assert "did you mean 'prompt'" in caught.value.fix
    with pytest.raises(ConfigError, match="no column 'lang'"):
        load(path=str(jsonl(GOOD)), where={"lang": ["en"]})


def test_split_field_and_map(jsonl):
    hints = ("train", "dev", "ood", "junk", "")
    path = jsonl([{"text": hint or "none", "label": "law", "hint": hint} for hint in hints])
    request = {"path": str(path), "split_field": "hint"}
    split_map = {"dev": "validation", "ood": "slice:far", "junk": "drop"}
    loaded = load(**request, split_map=split_map)
    assert [e.split for e in loaded.examples] == ["train", "validation", "slice:far", None]
    with pytest.raises(RowError, match="row 2: a split"):
        load(**request)


def test_a_split_column_counts_without_being_named(jsonl):
    path = jsonl([{"text": s or "none", "label": "law", "split": s} for s in ("test", "")])
    assert [e.split for e in load(path=str(path)).examples] == ["test", None]
    strange = jsonl([{"text": "hi", "label": "law", "split": "nonsense"}])
    with pytest.raises(RowError, match="row 1: a split"):  # ignored, it would leak
        load(path=str(strange))


def test_a_directory_and_files_by_split(jsonl, tmp_path):
    for split in ("train", "test"):
        jsonl([{"text": split, "label": "law"}], f"mine/{split}.jsonl")
    loaded = load(path=str(tmp_path / "mine"))
    assert [e.split for e in loaded.examples] == ["train", "test"]
    assert {e.source for e in loaded.examples} == {"mine"}
    files = {"slice:far": str(tmp_path / "mine/test.jsonl")}
    assert load(files=files).examples[0].split == "slice:far"


def test_where_filters_rows(jsonl):
    path = jsonl([{"text": "a", "label": "law", "n": 1}, {"text": "b", "label": "math", "n": 2}])
    assert labels(load(path=str(path), where={"n": [2]})) == ["math"]


def test_null_in_the_label_map_leaves_rows_out(jsonl):
    loaded = load(path=str(jsonl(GOOD)), label_map={"math": None})
    assert labels(loaded) == ["law"]
    assert loaded.counts["left_out"] == {"label": {"math": 1}}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"secret", "one JSON object"),
        (b'["secret"]', "a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (
            b'{"text": "secret", "label": "law", "n": ' + b"7" * 5000 + b"}",
            "numbers that can be read",
        ),
        (b'{"text": "secret \xff", "label": "law"}', "valid UTF-8"),
        (b'{"text": "secret\\u0000", "label": "law"}', "without NUL"),
        (b'{"text": "secret \\ud800", "label": "law"}', "valid Unicode"),
        (b'{"text": "", "label": "law"}', "more than blanks"),
        (b'{"text": "secret", "label": "lore"}', "a label that the task knows"),
        (b'{"label": "law"}', "`text` to be a string"),
    ],
)
def test_a_bad_line_stops_with_its_place_or_is_skipped_and_listed(jsonl, line, problem):
    good = b'{"text": "a contract", "label": "law"}\n'
    path = jsonl(good + b"\n" + line + b"\n" + good.replace(b"contract", b"treaty"))
    with pytest.raises(RowError, match="row 3") as caught:
        load(path=str(path))
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)
    loaded = load(path=str(path), on_bad_row="skip")
    assert loaded.places == ["rows.jsonl: row 1", "rows.jsonl: row 4"]
    assert loaded.skipped == [str(caught.value)]
    assert loaded.counts["skipped"] == 1


def test_bad_csv_rows_keep_the_count_of_the_others(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"text,label\na,law\nb,law,c\nd,law\ne\nf\xff,law\ng,law\n")
    loaded = load(path=str(path), on_bad_row="skip")
    assert loaded.places == ["x.csv: row 1", "x.csv: row 3", "x.csv: row 6"]
    assert [text.split(": ")[1] for text in loaded.skipped] == ["row 2", "row 4", "row 5"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.csv", b"", "an empty file"),
        ("x.csv", b"text,text\na,b\n", "twice: text"),
        ("x.csv", b"t\xe9xt,label\na,law\n", "header in valid UTF-8"),
        ("x.json", b'{"text": "a"}\n{"text": "b"}\n', "Extra data"),
        ("x.json", b'{"text": "a"}', "a JSON list"),
        ("x.json", b"[\xff]", "valid UTF-8"),
        ("x.json", b"[" * 100_000, "nested too deeply"),
        ("x.json", b"[" + b"7" * 5000 + b"]", "too many digits"),
        ("x.parquet", b"text", "a Parquet file"),
    ],
)
def test_files_that_are_not_of_their_format(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=problem):
        load(path=str(tmp_path / name))


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_a_file_without_rows(jsonl, content):
    with pytest.raises(SourceError, match="at least one row") as caught:
        load(path=str(jsonl(content)))
    assert "rows.jsonl" in str(caught.value)


def test_paths_that_lead_nowhere(tmp_path):
    with pytest.raises(SourceError, match="nothing there"):
        load(path=str(tmp_path / "none.jsonl"))
    with pytest.raises(SourceError, match="nothing there"):
        load(files={"train": str(tmp_path / "none.jsonl")})
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(SourceError, match="train, validation or test") as caught:
        load(path=str(tmp_path))
    assert "notes.md" in str(caught.value)
    with pytest.raises(ConfigError, match="a `format`"):
        load(path=str(tmp_path / "notes.md"))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "exactly one of"),
        ({"name": "x", "path": "y"}, "exactly one of"),
        ({"name": "x", "columns": {"text": "y"}}, "`columns` does not go with"),
        ({"path": "x", "official_splits": True}, "`official_splits` does not go with"),
        ({"path": "x", "columns": {"txt": "y"}}, "unknown field 'txt'"),
        ({"path": "x", "split_map": {"a": "dev"}}, "'dev' is no split"),
        ({"files": {"slice:../../etc": "x"}}, "is no split"),
        ({"path": "x", "splitfield": "y"}, "unknown key 'splitfield'"),
        ({"path": "x", "format": "xml"}, "format"),
        ({"path": "x", "limit": 0}, "limit"),
    ],
)
def test_requests_that_make_no_sense(values, problem):
    with pytest.raises(ConfigError, match=problem.replace("(", r"\(")):
        SourceRequest.parse(values, where="recipe")


def test_a_label_map_to_nowhere(jsonl):
    with pytest.raises(ConfigError, match="label_map") as caught:
        load(path=str(jsonl(GOOD)), label_map={"law": "laws"})
    assert "did you mean 'law'" in caught.value.fix
