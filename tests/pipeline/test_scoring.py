"""A file through predictors: the answers of `predict`, in order, whole after any stop."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import ConfigError, RowError
from pointsman.data.encode import TextEncoder
from pointsman.pipeline import scoring
from pointsman.pipeline.scoring import ScoreRequest, count_rows, score_file
from pointsman.runtime.predictor import Predictor
from pointsman.tasks.jailbreak import JAILBREAK
from tests.cli.conftest import pointsman  # noqa: F401
from tests.conftest import make_tokenizer
from tests.runs import write_rows


class Counter:
    """A backend that answers by length, and may be told to fail."""

    name = "counter fp32"
    heads = ("jailbreak",)

    def __init__(self):
        self.rows, self.fail_at, self.largest = 0, None, 0

    def run(self, batch, heads):
        import numpy as np

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
    assert score_file(ScoreRequest(source, out), [predictor], progress=seen.append) == 47
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


@pytest.mark.parametrize("torn", [b"", b'{"row": 31, "answ'])
def test_a_stopped_score_goes_on_and_loses_nothing(predictor, source, tmp_path, torn):
    request = ScoreRequest(source, tmp_path / "o.jsonl")
    predictor._backend.fail_at = 35
    with pytest.raises(KeyboardInterrupt):
        score_file(request, [predictor])
    assert len(read(request.out)) == 30 and request.sidecar.is_file()
    with request.out.open("ab") as file:
        file.write(torn)  # what was being written when the power went
    predictor._backend.fail_at, predictor._backend.rows = None, 0
    seen = []
    assert score_file(request, [predictor], progress=seen.append) == 47
    assert predictor._backend.rows == 17 and seen[0] == 30
    assert read(request.out) == expected(predictor)
    assert not request.sidecar.exists()


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
    request.sidecar.unlink()
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
    ('{"id": 1}', "'text' or 'messages'"),
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
    assert score_file(skipping, [predictor]) == 3
    first, bad, last = read(skipping.out)
    assert first["answers"] == last["answers"] and last["row"] == 4
    assert set(bad) == {"row", "error"} and bad["row"] == 3 and "secret" not in bad["error"]


def test_files_and_columns_that_cannot_be(predictor, source, tmp_path):
    (tmp_path / "rows.csv").write_text("text\nx\n")
    for request, words in (
        (ScoreRequest(tmp_path / "rows.csv", tmp_path / "o.jsonl"), "JSONL or Parquet"),
        (ScoreRequest(source, tmp_path / "o.parquet"), "a .jsonl file"),
        (ScoreRequest(source, tmp_path / "o.jsonl", {"txet": "a"}), "known: text, messages"),
    ):
        with pytest.raises(ConfigError, match=words):
            score_file(request, [predictor])


def test_the_command(pointsman, demo, tmp_path):  # noqa: F811
    source, out = write_rows(tmp_path / "rows.jsonl", ROWS[:5]), tmp_path / "o.jsonl"
    bundles = [o for n in ("jailbreak", "pii") for o in ("--bundle", demo / "run" / n)]
    result = pointsman("score", source, *bundles, "--out", out, "--keep", "id")
    assert result.code == 0, result.err
    assert "computing with torch fp32" in result.err and "5 rows" in result.err
    lines = read(out)
    assert [line["id"] for line in lines] == [0, 1, 2, 3, 4]
    assert [answer["task"] for answer in lines[0]["answers"]] == ["jailbreak", "pii"]
    assert pointsman("score", source, *bundles, "--out", out).code == 2
    assert pointsman("score", tmp_path / "no.jsonl", *bundles, "--out", out).code == 3
