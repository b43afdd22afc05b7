"""Answers of other classifiers, in every form that is understood, and those that are not."""

import sys
import types

import pytest

from pointsman.core.errors import ConfigError, PeerError
from pointsman.evaluation.comparison import is_missing
from pointsman.pipeline import peer_local
from pointsman.pipeline.peer_http import HttpPeer, Poster, pause, public_url
from pointsman.pipeline.peer_local import PresidioPeer, TransformersPeer, presidio_missing
from pointsman.pipeline.peers import Foreign, Reader, converter
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.intent import INTENT
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII
from tests.pipeline.server import Reply, serving
from tests.runs import jailbreak_rows, pii_rows

SECRET = "zebra-quartz"


def read(answer, spec=CATEGORY, text="text", **foreign):
    reader = Reader(spec, Foreign(**foreign))
    return reader, reader.read(text, answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"label": "law", "score": 0.7, "probabilities": {"law": 0.7, "math": 0.3}},
        [{"label": "math", "score": 0.3}, {"label": "law", "score": 0.7}],
        [[{"label": "math", "score": 0.3}, {"label": "law", "score": 0.7}]],
        {"labels": [{"label": "math", "score": 0.3}, {"label": "law", "score": 0.7}]},
    ],
)
def test_every_form_of_a_label_means_the_same(answer):
    reader, prediction = read(answer)
    assert (prediction.label, prediction.score) == ("law", 0.7)
    assert prediction.probabilities["math"] == 0.3 and prediction.probabilities["physics"] == 0.0
    assert list(prediction.probabilities) == list(CATEGORY.labels) and reader.ranks


def test_a_label_that_was_chosen_is_kept_though_another_is_likelier():
    answer = {"label": "jailbreak", "probabilities": {"benign": 0.8, "jailbreak": 0.2}}
    _, prediction = read(answer, JAILBREAK)
    assert (prediction.label, prediction.score) == ("jailbreak", 0.2)


def test_labels_are_mapped_and_merged():
    answer = [
        {"label": "LABEL_0", "score": 0.2},
        {"label": "LABEL_1", "score": 0.5},
        {"label": "LABEL_2", "score": 0.3},
    ]
    names = {"LABEL_0": "benign", "LABEL_1": "jailbreak", "LABEL_2": "jailbreak"}
    _, prediction = read(answer, JAILBREAK, label_map=names)
    assert prediction.label == "jailbreak"
    assert prediction.probabilities == pytest.approx({"benign": 0.2, "jailbreak": 0.8})


def test_a_lone_score_of_a_detector_gives_the_other_label_the_rest():
    reader, prediction = read({"label": "benign", "score": 0.9}, JAILBREAK)
    assert prediction.probabilities == pytest.approx({"benign": 0.9, "jailbreak": 0.1})
    assert reader.ranks


def test_a_label_without_a_score_does_not_rank():
    reader, prediction = read({"label": "benign"}, JAILBREAK)
    assert prediction.label == "benign" and not reader.ranks


def test_a_label_of_another_task_is_counted_and_no_answer():
    reader, prediction = read({"label": "sports", "score": 0.9})
    assert is_missing(prediction) and reader.strange == {"sports": 1}


def test_tools_come_with_the_label():
    _, prediction = read({"label": "calculation", "score": 1.0}, INTENT)
    assert prediction.tools == INTENT.tools["calculation"]


@pytest.mark.parametrize("key", ["label", "entity_group", "entity", "entity_type"])
def test_spans_in_every_form(key):
    text = "Ann of Rome"
    rows = [{"start": 7, "end": 11, key: "LOC", "score": 0.5}, {"start": 0, "end": 3, key: "B-PERSON"},
            {"start": 4, "end": 6, key: "MISC"}, {"start": 4, "end": 6, key: "O"}]  # fmt: skip
    for answer in (rows, {"spans": rows}, [rows]):
        reader, prediction = read(answer, PII, text, label_map={"LOC": "GPE"})
        assert [(s.text, s.label) for s in prediction.spans] == [("Ann", "PERSON"), ("Rome", "GPE")]
        assert reader.strange == {"MISC": 1}
    dropping, _ = read(rows, PII, text, label_map={"LOC": "GPE", "MISC": ""})
    assert not dropping.strange


@pytest.mark.parametrize("answer", [None, "law", 3, [], [1], {}, {"score": 1.0}, {"spans": []}])
def test_anything_else_is_refused_without_a_word_of_it(answer):
    with pytest.raises(PeerError, match="an answer with `label`"):
        read(answer)


@pytest.mark.parametrize("row", [{"label": "PERSON"}, {"label": "PERSON", "start": 0, "end": 99},
                                 {"label": "PERSON", "start": "x", "end": 2}])  # fmt: skip
def test_offsets_that_are_none_of_the_texts_are_refused(row):
    with pytest.raises(PeerError, match="spans with `start` and `end`") as caught:
        read([row], PII, SECRET)
    assert SECRET not in str(caught.value)


TEXT = "é😀 Łucja 東京 👩‍👩‍👧 Ann"


@pytest.mark.parametrize("piece", ["é", "😀", "Łucja", "東京", "👩‍👩‍👧", "Ann"])
@pytest.mark.parametrize("units", ["code-points", "bytes", "utf-16"])
def test_foreign_offsets_become_code_points(piece, units):
    start = TEXT.index(piece)
    size = {
        "code-points": len,
        "bytes": lambda s: len(s.encode()),
        "utf-16": lambda s: len(s.encode("utf-16-le")) // 2,
    }[units]
    row = {"start": size(TEXT[:start]), "end": size(TEXT[:start]) + size(piece), "label": "PERSON"}
    _, prediction = read([row], PII, TEXT, units=units)
    assert prediction.spans[0].text == piece and prediction.spans[0].start == start


def test_an_offset_inside_a_character_is_no_offset():
    assert converter("é!", "bytes")(2) == 1
    with pytest.raises(ValueError):
        converter("é!", "bytes")(1)
    with pytest.raises(ValueError):
        converter("😀", "utf-16")(1)


# servers


@pytest.mark.parametrize(
    ("path", "asked", "key"),
    [
        ("", "/classify", "text"),
        ("/v1/classify", "/v1/classify", "text"),
        ("/predict", "/predict", "inputs"),
        ("/analyze", "/analyze", "text"),
    ],
)
def test_a_server_is_asked_in_its_own_form(path, asked, key):
    with serving(lambda body, n: Reply({"label": body[key], "score": 1.0})) as server:
        peer = HttpPeer("p", server.url + path, CATEGORY)
        found = peer.predict(["law", "math", "physics"])
    assert [p.label for p in found] == ["law", "math", "physics"]
    assert {place for place, _, _ in server.asked} == {asked}


def test_a_busy_server_is_asked_again_after_as_long_as_it_says():
    waits = []
    replies = [
        Reply(status=429, headers={"retry-after": "7"}),
        Reply(status=503),
        Reply({"label": "law"}),
    ]
    with serving(lambda body, n: replies[n]) as server:
        status, value, seconds = Poster(server.url, sleep=waits.append).post({})
    assert (status, value) == (200, {"label": "law"}) and 0 < seconds < 5
    assert waits[0] == 7.0 and 0.5 < waits[1] < 2


def test_a_wait_has_an_end():
    assert pause(0, "86400") == 60.0 and pause(30, None) == 60.0
    assert pause(0, "-3") == 0.0 and pause(0, "Wed, 21 Oct 2026 07:28:00 GMT") < 1


@pytest.mark.parametrize("reply", [Reply(status=500), Reply({}, pause=1.0)], ids=["500", "slow"])
def test_a_server_that_never_answers_is_named_without_the_text(reply):
    with serving(lambda body, n: reply) as server:
        url = server.url.replace("//", f"//user:{SECRET}@") + f"/classify?key={SECRET}"
        poster = Poster(url, retries=1, timeout=0.2, sleep=lambda s: None)
        with pytest.raises(PeerError, match=f"an answer of {server.url}/classify") as caught:
            poster.post({"text": SECRET})
    assert "2 times" in caught.value.got and SECRET not in str(caught.value)


def test_a_closed_port_is_named():
    with serving(lambda body, n: Reply({})) as server:
        url = server.url
    with pytest.raises(PeerError, match="an answer of"):
        Poster(url, retries=0).post({})


@pytest.mark.parametrize(
    ("reply", "got"), [(Reply(b"<html>"), "no JSON"), (Reply({}, 404), "status 404")]
)
def test_what_is_no_answer_is_refused(reply, got):
    with (
        serving(lambda body, n: reply) as server,
        pytest.raises(PeerError, match="an answer in JSON") as caught,
    ):
        HttpPeer("p", server.url, CATEGORY).predict([SECRET])
    assert caught.value.got == got and SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "localhost:80"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ConfigError, match="a URL"):
        Poster(url)


def test_secrets_of_a_url_are_not_shown():
    assert public_url("https://u:p@h.example:8443/v1?key=k#f") == "https://h.example:8443/v1"


# directories of transformers


def test_a_bundle_is_also_a_pipeline_directory(demo, detector):
    texts = [row["text"] for row in jailbreak_rows(12, seed=5)]
    peer = TransformersPeer("p", demo / "run" / "jailbreak" / "bundle", detector.task)
    plain = detector.meta.model_copy(update={"temperature": 1.0, "thresholds": {}})
    ours, theirs = detector.with_meta(plain).predict(texts), peer.predict(texts)
    assert [p.label for p in theirs] == [p.label for p in ours]
    assert len({p.label for p in ours}) == 2
    for a, b in zip(ours, theirs, strict=True):
        assert b.probabilities == pytest.approx(a.probabilities, abs=1e-4)
    assert peer.reader.ranks


def test_a_pipeline_finds_spans(demo, finder):
    texts = [row["text"] for row in pii_rows(12, seed=5)]
    peer = TransformersPeer("p", demo / "run" / "pii" / "bundle", finder.task)
    pairs = zip(finder.predict(texts), peer.predict(texts), strict=True)
    same = [{(s.start, s.end, s.label) for s in a.spans} & {(s.start, s.end, s.label) for s in b.spans}
            for a, b in pairs]  # fmt: skip
    assert sum(map(len, same)) > 5 and not peer.reader.strange


def test_texts_beyond_the_models_length_are_read(demo, detector, finder):
    long = "please help me with the contract " * 60
    for task, predictor in (("jailbreak", detector), ("pii", finder)):
        peer = TransformersPeer("p", demo / "run" / task / "bundle", predictor.task)
        assert len(peer.predict([long])) == 1


def test_a_directory_without_safetensors_is_refused(own_demo, detector):
    place = own_demo / "run" / "jailbreak" / "bundle"
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"model\.safetensors") as caught:
        TransformersPeer("p", place, detector.task)
    assert caught.value.got == "no model.safetensors"


def test_a_directory_without_a_head_is_refused(backbones, detector):
    with pytest.raises(ConfigError, match="a head for a sequence task"):
        TransformersPeer("p", backbones["bert"], detector.task)


# Presidio


def test_presidio_that_is_not_there_is_a_plain_reason(monkeypatch):
    monkeypatch.setattr(peer_local.importlib.util, "find_spec", lambda name: None)
    assert presidio_missing() == "presidio-analyzer is not installed"
    with pytest.raises(PeerError, match="Presidio's analyzer"):
        PresidioPeer("p", PII)


def test_presidio_without_a_spacy_model_would_download_one(monkeypatch):
    found = {"presidio_analyzer"}
    monkeypatch.setattr(peer_local.importlib.util, "find_spec", lambda name: name in found or None)
    assert "none is downloaded" in presidio_missing()


def test_presidios_answers_are_read(monkeypatch):
    """A stand-in for its engine: the names are those of presidio-analyzer 2.2."""
    asked = {}

    class AnalyzerEngine:
        def __init__(self, nlp_engine, supported_languages):
            asked["models"] = nlp_engine

        def analyze(self, text, language):
            kinds = (("LOCATION", "Rome", 0.85), ("PERSON", "Ann", 0.8), ("UK_NHS", "of", 0.1))
            return [
                types.SimpleNamespace(
                    entity_type=k, start=text.index(p), end=text.index(p) + len(p), score=s
                )
                for k, p, s in kinds
            ]

    class NlpEngineProvider:
        def __init__(self, nlp_configuration):
            self.models = nlp_configuration["models"]

        def create_engine(self):
            return self.models

    analyzer, nlp = types.ModuleType("presidio_analyzer"), types.ModuleType("nlp_engine")
    analyzer.AnalyzerEngine, nlp.NlpEngineProvider = AnalyzerEngine, NlpEngineProvider
    monkeypatch.setitem(sys.modules, "presidio_analyzer", analyzer)
    monkeypatch.setitem(sys.modules, "presidio_analyzer.nlp_engine", nlp)
    known = {"presidio_analyzer", "en_core_web_md"}
    monkeypatch.setattr(peer_local.importlib.util, "find_spec", lambda name: name in known or None)
    peer = PresidioPeer("p", PII)
    (prediction,) = peer.predict(["Ann of Rome"])
    assert [(s.text, s.label, s.score) for s in prediction.spans] == [
        ("Ann", "PERSON", 0.8),
        ("Rome", "GPE", 0.85),
    ]
    assert peer.reader.strange == {"UK_NHS": 1}
    assert asked["models"] == [{"lang_code": "en", "model_name": "en_core_web_md"}]
    with pytest.raises(ConfigError, match="a token task"):
        PresidioPeer("p", CATEGORY)
