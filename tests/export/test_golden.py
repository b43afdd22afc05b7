"""Golden answers: which texts, what is stored of them, and that it stays one with the bundle."""

import json

import numpy as np
import pytest

from pointsman.bundle.layout import read_bundle
from pointsman.core.errors import BundleError
from pointsman.core.texts import find_fault
from pointsman.data.golden_texts import golden_texts
from pointsman.export.golden import (
    GOLDEN,
    TEXTS,
    add_golden,
    differences,
    pack_tokens,
    read_golden,
    stored_labels,
)
from pointsman.runtime.predictor import load
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    path = tmp_path_factory.mktemp("golden") / "pii"
    return path, add_golden(path, make_bundle(path, "bert", "pii"))


def test_the_texts_are_the_same_at_every_call_and_all_can_be_read():
    texts = golden_texts()
    assert texts == golden_texts() and len(set(texts)) == len(texts) >= TEXTS * 1.1
    assert not [text for text in texts if find_fault(text)]


@pytest.mark.parametrize(
    "sample", ["👩🏽‍💻", "e\u0301", "לכולם", "٤٢", "８９", "東京", "\u200b", "ตลาด", "\x1b", "[SEP]", "DROP TABLE", "<script>"],
)  # fmt: skip
def test_every_kind_of_character_and_manner_is_among_those_that_are_stored(sample):
    assert any(sample in text for text in golden_texts()[:TEXTS])


def test_lengths_go_from_one_token_to_two_thousand(finder):
    path, _ = finder
    rows = read_golden(path)
    lengths = [row.windows[-1][0] + row.windows[-1][1] - 2 for row in rows]
    assert min(lengths) <= 1 and max(lengths) > 1900 and sum(lengths) < 60_000
    assert max(len(row.windows) for row in rows) > 20


def test_answers_are_the_predictors_and_their_hash_is_the_bundles(finder):
    path, meta = finder
    rows = read_golden(path)
    assert len(rows) == TEXTS and read_bundle(path).files[GOLDEN] == meta.files[GOLDEN]
    answers = load(path, backend="torch").predict([row.text for row in rows])
    for row, answer in zip(rows, answers, strict=True):
        golden = row.heads["pii"]
        assert golden.spans == tuple((s.start, s.end, s.label, s.score) for s in answer.spans)
        for start, end, _, _ in golden.unprocessed:
            assert row.text[start:end].strip() == row.text[start:end] != ""
    assert sum(len(row.heads["pii"].spans) for row in rows) > 100


def test_token_logits_are_stored_so_that_any_wrong_one_shows():
    draw = np.random.default_rng(1)
    logits = draw.normal(size=(23, 35)).astype(np.float32)
    stored = json.loads(json.dumps(pack_tokens(logits)))
    assert differences(stored, logits).max() == 0 and stored["every"] == 5
    assert stored_labels(stored).tolist() == logits.argmax(axis=1).tolist()
    for token, label in ((0, 34), (20, 3), (7, int(logits[7].argmax()))):
        other = logits.copy()
        other[token, label] += 0.01
        assert differences(stored, other).max() > 0.009
    assert np.isinf(differences(stored, logits[:-1]).max())
    assert np.isinf(differences(stored, logits[:, :5]).max())
    assert np.isinf(differences(stored, logits * np.nan).max())


def test_texts_whose_decision_is_a_tie_are_left_out(tmp_path):
    path = tmp_path / "tie"
    meta = make_bundle(path, "bert", "jailbreak")
    add_golden(path, meta)
    before = read_golden(path)
    odd = before[0]
    score = dict(zip(meta.labels, odd.heads["jailbreak"].probabilities, strict=True))["jailbreak"]
    tied = meta.model_copy(update={"thresholds": {"jailbreak": score}})
    add_golden(path, tied)
    assert odd.text not in [row.text for row in read_golden(path)]


def test_other_thresholds_come_with_other_answers(tmp_path):
    path = tmp_path / "bundle"
    meta = make_bundle(path, "bert", "jailbreak")
    first = add_golden(path, meta)
    second = add_golden(path, first.model_copy(update={"thresholds": {"jailbreak": 0.999}}))
    assert second.files[GOLDEN] != first.files[GOLDEN] and read_bundle(path) == second
    assert {row.heads["jailbreak"].label for row in read_golden(path)} == {"benign"}


def test_a_kill_between_thresholds_and_answers_leaves_a_bundle_that_loads(tmp_path, monkeypatch):
    path = tmp_path / "bundle"
    meta = add_golden(path, make_bundle(path, "bert", "jailbreak"))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pointsman.export.golden.write_jsonl", stop)
    with pytest.raises(KeyboardInterrupt):
        add_golden(path, meta.model_copy(update={"temperature": 2.0}))
    left = read_bundle(path)
    assert left.temperature == 2.0 and GOLDEN not in left.files
    with pytest.raises(BundleError, match="golden answers"):
        read_golden(path, listed=GOLDEN in left.files)


def test_a_run_ends_with_golden_answers_at_its_own_thresholds(demo):
    for name in ("jailbreak", "pii"):
        bundle = demo / "run" / name / "bundle"
        meta = read_bundle(bundle)
        assert GOLDEN in meta.files and meta.operating_point
        rows = read_golden(bundle)
        answers = load(bundle, backend="torch").predict([row.text for row in rows])
        assert [a.label for a in answers] == [row.heads[name].label for row in rows]
        assert (bundle / GOLDEN).stat().st_size < (300_000 if name == "jailbreak" else 2_000_000)
