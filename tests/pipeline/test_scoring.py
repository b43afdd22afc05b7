"""A file through predictors: the answers of `predict`, in order, whole after any stop."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import ConfigError, RowError
from pointsman.data.encode import TextEncoder
from pointsman.data.local_files import count_rows
from pointsman.pipeline import scoring
from pointsman.pipeline.score_request import ScoreRequest
from pointsman.pipeline.score_state import sidecar_of
from pointsman.pipeline.scoring import Scored, score_file
from pointsman.runtime.predictor import Predictor
from pointsman.tasks.jailbreak import JAILBREAK
from tests.cli.conftest import pointsman  # noqa: F401
from tests.conftest import make_tokenizer
from tests.runs import write_rows


class Counter:
    """A backend that answers by length, and may be told to fail."""

    name = "counter fp32"
    heads = ("jailbreak",)
    digest = ""

    def __init__(self):
        self.rows, self.fail_at, self.largest, self.before = 0, None, 0, lambda: None

    def run(self, batch, heads):
        import numpy as np

        self.before()
        self.largest = max(self.largest, len(batch))
        self.rows += len(batch)
        if self.fail_at is not None and self.rows > self.fail_at:
            raise KeyboardInterrupt
        out = np.asarray([[1.0, len(row) % 3] for row in batch], dtype=np.float32)
        return dict.fromkeys(heads, out)


@pytest.fixture
def predictor(monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 10)
    meta = BundleMeta(task=JAILBREAK, labels=JAILBREAK.labels, max_length=32)
    return Predictor(meta, TextEncoder(make_tokenizer("bert"), max_length=32), Counter())


TEXTS = [f"help {'me ' * (n % 7)}with card {n}" for n in range(47)]
ROWS = [{"id": n, "text": text} for n, text in enumerate(TEXTS)]


@pytest.fixture
def source(tmp_path):
    return write_rows(tmp_path / "rows.jsonl", ROWS)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def expected(predictor):
    return [
        {"row": n, "answers": [answer.to_dict()]}
        for n, answer in enumerate(predictor.predict(TEXTS), 1)
    ]


def test_every_row_gets_what_predict_says(predictor, source, tmp_path):
    out, seen = tmp_path / "out" / "answers.jsonl", []
    assert score_file(ScoreRequest(source, out), [predictor], progress=seen.append) == Scored(47, 0)
    assert read(out) == expected(predictor)
    assert sum(seen) == 47 and max(seen) == 10 and predictor._backend.largest <= 47
    assert [path.name for path in out.parent.iterdir()] == ["answers.jsonl"]


def test_parquet_and_several_bundles(predictor, tmp_path):
    path = tmp_path / "rows.parquet"
    table = pa.table({"id": list(range(47)), "prompt": TEXTS})
    parquet.write_table(table, path, row_group_size=5)
    request = ScoreRequest(path, tmp_path / "o.jsonl", {"text": "prompt"}, ("id",))
    score_file(request, [predictor, predictor])
    lines = read(request.out)
    assert [line["id"] for line in lines] == list(range(47)) and count_rows(path) == 47
    for line, one in zip(lines, expected(predictor), strict=True):
        assert line["answers"] == one["answers"] * 2 and line["row"] == one["row"]


def test_of_parquet_no_column_is_read_that_is_not_needed(predictor, tmp_path):
    odd = pa.array([b"\xff", b"fine"]).view(pa.string())
    parquet.write_table(pa.table({"odd": odd, "text": TEXTS[:2]}), tmp_path / "rows.parquet")
    request = asked(tmp_path / "rows.parquet", tmp_path)
    assert score_file(request, [predictor]) == Scored(2, 0)
    keeping = ScoreRequest(request.source, tmp_path / "k.jsonl", {}, ("odd",), on_bad_row="skip")
    assert score_file(keeping, [predictor]) == Scored(2, 1)
    assert "column 'odd'" in read(keeping.out)[0]["error"]["got"]


@pytest.mark.parametrize("torn", [b"", b'{"row": 31, "answ'])
def test_a_stopped_score_goes_on_and_loses_nothing(predictor, source, tmp_path, torn):
    request = ScoreRequest(source, tmp_path / "o.jsonl")
    predictor._backend.fail_at = 35
    with pytest.raises(KeyboardInterrupt):
        score_file(request, [predictor])
    assert len(read(request.out)) == 30 and sidecar_of(request.out).is_file()
    with request.out.open("ab") as file:
        file.write(torn)  # what was being written when the power went
    predictor._backend.fail_at, predictor._backend.rows = None, 0
    seen = []
    assert score_file(request, [predictor], progress=seen.append) == Scored(47, 0)
    assert predictor._backend.rows == 17 and seen[0] == 30
    assert read(request.out) == expected(predictor)
    assert not sidecar_of(request.out).exists()


def stopped(predictor, source, tmp_path):
    request = ScoreRequest(source, tmp_path / "o.jsonl")
    predictor._backend.fail_at = 25
    with pytest.raises(KeyboardInterrupt):
        score_file(request, [predictor])
    predictor._backend.fail_at = None
    return request


def test_another_job_is_refused(predictor, source, tmp_path):
    request = stopped(predictor, source, tmp_path)
    other = predictor.with_meta(predictor.meta.model_copy(update={"temperature": 2.0}))
    for bundles, changed in (
        ([other], request),
        ([predictor], ScoreRequest(source, request.out, turns="all")),
    ):
        with pytest.raises(ConfigError, match="the beginning of this score"):
            score_file(changed, bundles)
    write_rows(source, [{"text": "x"}, *ROWS[1:]])
    with pytest.raises(ConfigError, match="the beginning of this score"):
        score_file(request, [predictor])


def test_results_that_are_there_are_never_written_over(predictor, source, tmp_path):
    request = stopped(predictor, source, tmp_path)
    before = request.out.read_bytes()
    request.out.write_bytes(before[:100])
    with pytest.raises(ConfigError, match="fewer of them"):
        score_file(request, [predictor])
    sidecar_of(request.out).unlink()
    with pytest.raises(ConfigError, match="a file with results"):
        score_file(request, [predictor])
    assert request.out.read_bytes() == before[:100]


MESSAGES = [{"role": "system", "content": "be kind"}, {"role": "user", "content": TEXTS[0]}]


def test_messages_are_taken_as_classify_takes_them(predictor, tmp_path):
    source = write_rows(tmp_path / "m.jsonl", [{"messages": MESSAGES}, {"text": TEXTS[0]}])
    request = ScoreRequest(source, tmp_path / "o.jsonl")
    score_file(request, [predictor])
    one, two = read(request.out)
    assert one["answers"] == two["answers"] == expected(predictor)[0]["answers"]


BAD = [
    ('{"id": 1}', "columns: id"),
    ('{"text": null}', "null in 'text'"),
    ('{"text": "secret", "n": ' + "7" * 5000 + "}", "too many digits"),
    ('{"text": "secret \\ud800"}', "surrogate"),
    ('{"messages": [{"role": "user", "content": [{"type": "odd", "odd": "secret"}]}]}', "part 1"),
    ('{"text": "  "}', "blank"),
    ('{"text": 7}', "a text"),
    ('{"text": "secret card"', "one JSON object a line"),
    ('{"messages": [{"role": "assistant", "content": "secret"}]}', "user turn"),
]


@pytest.mark.parametrize(("line", "words"), BAD)
def test_a_bad_row_is_named_by_its_number(predictor, tmp_path, line, words):
    source = tmp_path / "rows.jsonl"
    source.write_text('{"text": "fine"}\n\n' + line + '\n{"text": "fine"}\n')
    request = ScoreRequest(source, tmp_path / "o.jsonl")
    with pytest.raises(RowError, match=r"rows.jsonl: row 3") as caught:
        score_file(request, [predictor])
    assert words in str(caught.value) + caught.value.needed and "secret" not in str(caught.value)
    skipping = ScoreRequest(source, tmp_path / "skipped.jsonl", on_bad_row="skip")
    assert score_file(skipping, [predictor]) == Scored(3, 1)
    first, bad, last = read(skipping.out)
    assert first["answers"] == last["answers"] and last["row"] == 4
    assert set(bad) == {"row", "error"} and bad["row"] == 3
    error = bad["error"]
    assert error["needed"] and words in str(error) and "secret" not in str(error)
    stopping = [caught.value.needed, caught.value.got, caught.value.fix]
    assert stopping[0] == f"rows.jsonl: row 3: {error['needed']}"
    assert stopping[1:] == [error.get("got"), error.get("fix")]


def test_files_and_columns_that_cannot_be(predictor, source, tmp_path):
    (tmp_path / "rows.csv").write_text("text\nx\n")
    for request, words in (
        (ScoreRequest(tmp_path / "rows.csv", tmp_path / "o.jsonl"), "JSONL or Parquet"),
        (ScoreRequest(source, tmp_path / "o.parquet"), "a .jsonl file"),
        (ScoreRequest(source, tmp_path / "o.jsonl", {"txet": "a"}), "known: text, messages"),
        (asked(source, tmp_path, turns="last_user"), "did you mean 'last-user'"),
        (asked(source, tmp_path, keep=("idd",)), "did you mean 'id'"),
        (asked(source, tmp_path, columns={"text": "txet"}), "did you mean 'text'"),
        (asked(source, tmp_path, columns={"messages": "chat"}), "no column 'chat'"),
        *((asked(source, tmp_path, keep=(n,)), "one of ours") for n in ("row", "answers", "error")),
    ):
        with pytest.raises(ConfigError, match=words):
            score_file(request, [predictor])
    assert not (tmp_path / "o.jsonl").exists() and predictor._backend.rows == 0


def asked(source, tmp_path, **options):
    return ScoreRequest(source, tmp_path / "o.jsonl", on_bad_row="skip", **options)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_file_without_a_column_to_judge(predictor, tmp_path, suffix):
    path = tmp_path / f"rows.{suffix}"
    rows = [{"id": n, "prompt": "x"} for n in range(3)]
    if suffix == "jsonl":
        write_rows(path, rows)
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(ConfigError, match="columns id, prompt"):
        score_file(asked(path, tmp_path), [predictor])
    assert score_file(asked(path, tmp_path, columns={"text": "prompt"}), [predictor]).bad == 0


def test_columns_are_looked_for_in_more_than_the_first_row(predictor, tmp_path):
    source = write_rows(tmp_path / "rows.jsonl", [{"id": 1}, {"text": "x", "lang": "en"}])
    request = asked(source, tmp_path, keep=("lang",))
    assert score_file(request, [predictor]) == Scored(2, 1)
    assert [line["lang"] for line in read(request.out)] == [None, "en"]


def test_where_a_column_is_named_no_other_answers(predictor, tmp_path):
    other = [{"role": "user", "content": TEXTS[1]}]
    rows = [{"text": "hi", "prompt": TEXTS[0], "messages": other, "conversation": MESSAGES}]
    rows += [{**rows[0], "prompt": None}]
    source = write_rows(tmp_path / "rows.jsonl", rows)
    first = expected(predictor)[0]["answers"]
    request = asked(source, tmp_path, columns={"messages": "conversation"})
    score_file(request, [predictor])
    assert [line["answers"] for line in read(request.out)] == [first, first]
    request.out.unlink()
    request = asked(source, tmp_path, columns={"text": "prompt"})
    assert score_file(request, [predictor]) == Scored(2, 1)
    one, two = read(request.out)
    assert one["answers"] == first and two["error"]["got"] == "null in 'prompt'"
    request.out.unlink()
    request = asked(source, tmp_path, columns={"text": "prompt", "messages": "conversation"})
    assert score_file(request, [predictor]) == Scored(2, 0)  # both are named, so the second counts


ODD = """\
{"text": "fine", "keep": "\\ud800 lone"}
{"text": "fine", "keep": [1, NaN, {"x": -Infinity, "\\udc00": 1.5}]}
{"text": "fine", "keep": %s}
{"text": "fine", "keep": "last"}
"""


def test_odd_values_that_are_kept_are_json_all_the_same(predictor, tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text(ODD % ("[" * 960 + "NaN" + "]" * 960))
    request = asked(source, tmp_path, keep=("keep",))
    assert score_file(request, [predictor]) == Scored(4, 1)
    text = request.out.read_bytes().decode("utf-8")
    assert "NaN" not in text and "Infinity" not in text
    one, two, deep, last = read(request.out)
    assert one["keep"] == "\ud800 lone" and two["keep"] == [1, None, {"x": None, "\udc00": 1.5}]
    assert "nested too deeply" in deep["error"]["got"] and "keep" not in deep
    assert last["keep"] == "last" and last["row"] == 4


def test_a_chunk_ends_by_characters_too(predictor, source, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "CHARACTERS", 100)
    request, seen = ScoreRequest(source, tmp_path / "o.jsonl", keep=("text",)), []
    predictor._backend.fail_at = 20
    with pytest.raises(KeyboardInterrupt):
        score_file(request, [predictor], progress=seen.append)
    done = len(read(request.out))
    assert 1 <= max(seen) <= 3 and done == sum(seen)
    predictor._backend.fail_at = None
    assert score_file(request, [predictor], progress=seen.append) == Scored(47, 0)
    assert [line | {"text": 0} for line in read(request.out)] == [
        line | {"text": 0} for line in expected(predictor)
    ]


def test_bad_rows_are_counted_over_a_stop(predictor, tmp_path):
    rows = [{"text": "" if n % 4 == 0 else "fine"} for n in range(40)]
    source = write_rows(tmp_path / "rows.jsonl", rows)
    request = asked(source, tmp_path)
    predictor._backend.fail_at = 20
    with pytest.raises(KeyboardInterrupt):
        score_file(request, [predictor])
    predictor._backend.fail_at = None
    assert score_file(request, [predictor]) == Scored(40, 10)


def test_one_process_writes_at_a_time(predictor, source, tmp_path):
    request, said = ScoreRequest(source, tmp_path / "o.jsonl"), []

    def second():
        predictor._backend.before = lambda: None
        with pytest.raises(ConfigError, match="no other process") as caught:
            score_file(request, [predictor])
        said.append(str(caught.value))

    predictor._backend.before = second
    score_file(request, [predictor])
    assert f"process {os.getpid()} on" in said[0]
    assert read(request.out) == expected(predictor)


def test_a_process_that_was_killed_keeps_nobody_out(predictor, source, tmp_path):
    request = stopped(predictor, source, tmp_path)
    state = json.loads(sidecar_of(request.out).read_text())
    sidecar_of(request.out).write_text(json.dumps(state | {"writer": "process 1 on elsewhere"}))
    script = (
        "import os, sys; from pointsman.core.files import lock_file\n"
        "held = open(sys.argv[1], 'r+b'); assert lock_file(held); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, request.out])
    assert killed.returncode == -9
    assert score_file(request, [predictor]) == Scored(47, 0)


def test_another_export_is_another_job(predictor, source, tmp_path):
    request = stopped(predictor, source, tmp_path)
    predictor._backend.digest = "of another export"
    with pytest.raises(ConfigError, match="the beginning of this score"):
        score_file(request, [predictor])


def test_the_command(pointsman, demo, tmp_path):  # noqa: F811
    source, out = write_rows(tmp_path / "rows.jsonl", ROWS[:5]), tmp_path / "o.jsonl"
    bundles = [o for n in ("jailbreak", "pii") for o in ("--bundle", demo / "run" / n)]
    result = pointsman("score", source, *bundles, "--out", out, "--keep", "id")
    assert result.code == 0, result.err
    assert "computing with torch fp32" in result.err and "5 rows; answers in" in result.err
    lines = read(out)
    assert [line["id"] for line in lines] == [0, 1, 2, 3, 4]
    assert [answer["task"] for answer in lines[0]["answers"]] == ["jailbreak", "pii"]
    assert pointsman("score", source, *bundles, "--out", out).code == 2
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more PAR1")
    assert pointsman("score", broken, *bundles, "--out", tmp_path / "p.jsonl").code == 4
    mixed = write_rows(tmp_path / "mixed.jsonl", [*ROWS[:2], {"id": 7, "text": ""}])
    options = ("--out", tmp_path / "m.jsonl", "--on-bad-row", "skip")
    result = pointsman("score", mixed, *bundles, *options)
    assert result.code == 0 and "3 rows, 1 of them bad" in result.err
    assert pointsman("score", tmp_path / "no.jsonl", *bundles, "--out", out).code == 3
