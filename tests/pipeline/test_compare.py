"""Everyone on the same rows, each in a process of its own, and what must agree beforehand."""

import json
import shutil
from dataclasses import replace

import pytest

from pointsman.bundle.layout import read_bundle, write_meta
from pointsman.core.errors import ConfigError, DataError, PointsmanError
from pointsman.core.types import Example
from pointsman.data.prepared import load_prepared
from pointsman.evaluation.score import score
from pointsman.pipeline import measure as measuring
from pointsman.pipeline.compare import compare_bundles, training_facts
from pointsman.pipeline.contestants import (
    Contestant,
    Rivals,
    Rows,
    check_same_task,
    choose_rows,
    name_bundles,
    name_peers,
)
from pointsman.pipeline.llm import LlmOptions
from pointsman.pipeline.measure import from_row, measure, measure_apart, spread, to_row
from pointsman.tasks.jailbreak import JAILBREAK
from tests.pipeline.server import Reply, completion, serving
from tests.runs import jailbreak_rows


@pytest.fixture(scope="module")
def rows():
    labels = {"benign": "benign", "harmful": None}
    made = [(r["text"], labels.get(r["kind"], "jailbreak")) for r in jailbreak_rows(40, seed=9)]
    return Rows([Example(text, label) for text, label in made if label], "made rows")


@pytest.fixture(scope="module")
def compared(demo, rows, tmp_path_factory):
    """The demo's detector twice, as a pipeline, behind a server that knows it all, and a model."""
    gold = {example.text: example.label for example in rows.examples}
    bundle = demo / "run" / "jailbreak" / "bundle"
    out = tmp_path_factory.mktemp("compared")

    def knows(body, number):
        return Reply({"label": gold[body["text"]], "score": 0.9})

    with (
        serving(knows) as oracle,
        serving(lambda body, number: completion({"label": "benign"})) as endpoint,
    ):
        rivals = Rivals(
            {"oracle": oracle.url, "pipeline": str(bundle)},
            llm=LlmOptions.parse({"url": endpoint.url, "model": "yes-man"}, where="test"),
        )
        news = []
        result = compare_bundles(
            [Contestant("one", bundle), Contestant("two", bundle)], rows, out,
            rivals=rivals, latency_texts=7, say=news.append,
        )  # fmt: skip
    return result, out, news


def by_name(result):
    return {entrant["name"]: entrant for entrant in result["entrants"]}


def test_bundles_are_scored_as_they_are_served(compared, detector, rows):
    result, _, _ = compared
    figures = score(JAILBREAK, rows.examples, detector.predict([e.text for e in rows.examples]))
    for name in ("one", "two", "pipeline"):
        found = by_name(result)[name]["metrics"]
        for metric in ("recall_at_fpr_1", "accuracy", "macro_f1"):
            assert found[metric]["value"] == pytest.approx(figures[metric]), (name, metric)
            assert found[metric]["low"] <= found[metric]["value"] + 1e-9


def test_each_one_has_memory_and_times_of_its_own(compared):
    result, _, _ = compared
    for name in ("one", "two", "pipeline"):
        entrant = by_name(result)[name]
        assert entrant["peak_memory_mb"] > entrant["own_memory_mb"] > 0
        assert 0 < entrant["latency_ms"] <= entrant["latency_p95_ms"]
        assert entrant["latency_texts"] == 7 and entrant["throughput"] > 0
        assert entrant["consistency"] == 1.0
    assert "peak_memory_mb" not in by_name(result)["oracle"]
    assert result["machine"]["processors"] >= 1


def test_what_training_cost_stands_beside(compared, demo):
    entrant = by_name(compared[0])["one"]
    cost = read_bundle(demo / "run" / "jailbreak" / "bundle").cost
    assert entrant["trainable_parameters"] == cost.trainable_parameters
    assert entrant["training_memory_mb"] == cost.peak_memory_mb
    assert entrant["method"] == "lora" and entrant["adapter_mb"] == cost.adapter_mb
    assert entrant["disk_mb"] > cost.weights_mb - 0.01
    assert "method" not in by_name(compared[0])["pipeline"]


def test_the_same_model_shows_no_difference_and_a_better_one_does(compared):
    verdicts = {d["first"]: d for d in compared[0]["differences"]}
    assert set(verdicts) == {"two", "oracle", "pipeline", "yes-man"}
    assert verdicts["two"]["value"] == 0 and verdicts["two"]["verdict"] == "no difference"
    assert by_name(compared[0])["oracle"]["metrics"]["accuracy"]["value"] == 1.0
    assert verdicts["yes-man"]["metric"] == "accuracy", "a label alone ranks nothing"
    assert verdicts["yes-man"]["value"] < 0


def test_files_say_the_same(compared):
    result, out, news = compared
    names = {path.name for path in out.iterdir()}
    assert names == {
        "compare.json",
        "compare.md",
        "headline.svg",
        "latency.svg",
        "llm-answers.jsonl",
    }
    assert json.loads((out / "compare.json").read_text()) == json.loads(json.dumps(result))
    page = (out / "compare.md").read_text()
    assert "yes-man" in page and "(headline.svg)" in page
    assert [line.partition(":")[0] for line in news] == [
        "oracle",
        "pipeline",
        "yes-man",
        "one",
        "two",
    ]


def test_no_text_is_in_what_is_written(compared, rows):
    _, out, _ = compared
    for path in out.iterdir():
        written = path.read_text()
        assert not any(example.text in written for example in rows.examples), path.name


def test_bundles_of_two_tasks_are_refused(demo):
    with pytest.raises(ConfigError, match="bundles of one task") as caught:
        check_same_task(name_bundles([str(demo / "run")]))
    assert "another name ('pii' against 'jailbreak')" in caught.value.got
    assert "another level" in caught.value.got and "PERSON" in caught.value.got


def test_bundles_of_two_label_sets_are_refused(own_demo):
    """The coarse PII labels against the same without one of them."""
    place = own_demo / "run" / "pii" / "bundle"
    meta = read_bundle(place)
    fewer = meta.model_copy(update={"task": meta.task.adapt(labels=meta.task.labels[:-1])})
    contestants = [Contestant("a", place), Contestant("b", place)]
    from pointsman.pipeline import contestants as checked

    metas = iter([meta, fewer])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checked, "read_head", lambda path, head: next(metas))
        with pytest.raises(ConfigError) as caught:
            check_same_task(contestants)
    assert "another label set (with nothing more and without LOCATION)" in caught.value.got


def test_names_come_from_runs_or_from_the_user(demo, tmp_path):
    run = demo / "run"
    assert [c.name for c in name_bundles([str(run)])] == ["jailbreak", "pii"]
    (named,) = name_bundles([f"mine={run / 'jailbreak'}"])
    assert named.name == "mine" and named.path == run / "jailbreak" / "bundle"
    with pytest.raises(ConfigError, match="a name of its own"):
        name_bundles([str(run / "pii"), str(run / "pii" / "bundle")])


def test_bundles_of_one_name_are_told_apart_by_their_paths(demo, tmp_path):
    for place in ("a/pii", "b/pii/bundle", "b/other"):
        shutil.copytree(demo / "run" / "pii" / "bundle", tmp_path / place)
    given = [str(tmp_path / place) for place in ("a/pii", "b/pii/bundle", "b/other")]
    assert [c.name for c in name_bundles(given)] == ["a/pii", "b/pii", "other"]
    named = name_bundles([f"pii={given[0]}", *given[1:]])
    assert [c.name for c in named] == ["pii", "b/pii", "other"]


def test_peers_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    given = [
        "presidio",
        "model",
        "m=model",
        "http://u:p@h/classify?a=b",
        "s=http://h",
        "p=presidio",
    ]
    assert name_peers(given) == {
        "presidio": "presidio", "model": "model", "m": "model",
        "http://h/classify": "http://u:p@h/classify?a=b", "s": "http://h", "p": "presidio",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="a peer"):
        name_peers(["nowhere"])
    with pytest.raises(ConfigError, match="a name of its own"):
        name_peers(["model", "model"])


def test_one_alone_is_no_comparison(demo, rows, tmp_path, monkeypatch):
    one = [Contestant("one", demo / "run" / "jailbreak" / "bundle")]
    monkeypatch.setattr("pointsman.pipeline.contestants.presidio_missing", lambda: "not here")
    with pytest.raises(ConfigError, match="two or more") as caught:
        compare_bundles(one, rows, tmp_path, rivals=Rivals({"presidio": "presidio"}))
    assert caught.value.got == "one alone; presidio: not here"
    with pytest.raises(ConfigError, match="--against one of"):
        compare_bundles(one * 1, rows, tmp_path, rivals=Rivals({"x": "http://h"}), against="y")
    assert not list(tmp_path.iterdir())


def test_rows_are_a_seeded_sample(demo):
    data = demo / "run" / "jailbreak" / "data"
    prepared = load_prepared(data)
    every = choose_rows(prepared.spec, prepared.test, data)
    assert every.data == "data" and len(every.examples) == len(prepared.test)
    few = choose_rows(prepared.spec, prepared.test, data, limit=6, seed=1)
    turned = choose_rows(prepared.spec, prepared.test[::-1], data, limit=6, seed=1)
    assert {e.text for e in few.examples} == {e.text for e in turned.examples}
    assert len(few.examples) == 6
    assert few.data == f"data (sampled from {len(prepared.test)}, seed 1)"
    assert few.train_hash == prepared.manifest["hashes"]["train"]
    with pytest.raises(DataError, match="rows to compare on"):
        choose_rows(prepared.spec, [], data)


def test_a_bundle_of_other_training_data_is_pointed_out(own_demo):
    from pointsman.pipeline.compare import _strangers

    path = own_demo / "run" / "jailbreak" / "bundle"
    meta, data = read_bundle(path), own_demo / "run" / "jailbreak" / "data"
    rows = choose_rows(meta.task, load_prepared(data).test, data)
    assert _strangers(rows, [Contestant("own", path)], [meta]) == []
    meta.provenance["data"]["hashes"]["train"] = "another"
    write_meta(path, meta)
    (line,) = _strangers(rows, [Contestant("own", path)], [read_bundle(path)])
    assert line.startswith("own was trained on other data")


def test_an_adapter_counts_apart(demo):
    path = demo / "run" / "jailbreak" / "bundle"
    whole = sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) / 2**20
    facts = training_facts(path, read_bundle(path))
    assert facts["disk_mb"] == pytest.approx(whole - facts["adapter_mb"], abs=0.02)


# measuring


class Fickle:
    """Answers a text otherwise when it is asked alone."""

    name = "fickle"

    def __init__(self, spec):
        self.spec, self.asked = spec, []

    def predict(self, texts):
        from pointsman.core.types import Prediction

        self.asked.append(len(texts))
        odd = len(texts) == 1 and texts[0].endswith("1")
        label = "jailbreak" if odd else "benign"
        return [Prediction("jailbreak", label, 1.0, {label: 1.0}) for _ in texts]


def test_single_texts_are_timed_and_compared_with_the_batch():
    peer = Fickle(JAILBREAK)
    result = measure(peer, [f"text {n}" for n in range(10)], latency_texts=10)
    assert peer.asked == [10] + [1] * measuring.WARM_UP + [1] * 10
    assert result["facts"]["consistency"] == 0.9 and result["facts"]["latency_texts"] == 10


def test_texts_are_spread_over_the_rows():
    assert spread(10, 3) == [0, 4, 9] and spread(2, 5) == [0, 1] and spread(1, 5) == [0]


def test_predictions_travel_without_their_words(finder, detector):
    text = "please help Sarah Johnson me b12@example.org Court with the contract card system"
    for predictor in (finder, detector):
        (prediction,) = predictor.predict([text])
        row = json.loads(json.dumps(to_row(prediction)))
        assert from_row(row, text) == replace(prediction, unprocessed=None)
        assert "Sarah" not in json.dumps(row)


def test_an_error_of_the_process_keeps_its_parts(own_demo, detector):
    place = own_demo / "run" / "jailbreak" / "bundle"
    (place / "config.json").write_text("{}")
    with pytest.raises(PointsmanError, match=r"config\.json as it was packed") as caught:
        measure_apart("bundle", place, detector.task, ["text"])
    assert caught.value.fix == "copy the bundle again, or pack it again"


def test_a_process_that_dies_is_an_error(monkeypatch, detector, tmp_path):
    monkeypatch.setattr(measuring.sys, "executable", "/bin/false")
    with pytest.raises(PointsmanError, match="a process that answers bundle texts") as caught:
        measure_apart("bundle", tmp_path, detector.task, ["text"])
    assert caught.value.got == "exit status 1"
