"""A language model behind an endpoint that misbehaves in every way that endpoints do."""

import json
import time

import pytest

from pointsman.core.errors import ConfigError, PeerError
from pointsman.core.types import Example
from pointsman.evaluation.score import score
from pointsman.pipeline.llm import LlmOptions, LlmPeer
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.pii import PII
from tests.pipeline.server import Reply, completion, serving

LAW = completion({"label": "law"})
SECRET = "sk-zebra-quartz"
TEXTS = [f"text {n} of {SECRET}" for n in range(8)]


@pytest.fixture
def peer(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_KEY", SECRET)

    def make(server, spec=CATEGORY, **options):
        values = {"url": f"{server.url}/v1", "model": "m", "key_env": "TEST_KEY", **options}
        return LlmPeer("m", spec, LlmOptions.parse(values, where="test"), tmp_path / "kept.jsonl",
                       sleep=lambda seconds: None)  # fmt: skip

    return make


def test_answers_are_scored_timed_and_priced(peer):
    def reply(body, number):
        user = body["messages"][1]["content"]
        label = "law" if "text 0" in user else "math"
        return completion({"label": label}, usage=(1000, 20))

    with serving(reply) as server:
        model = peer(server, input_price=2.0, output_price=10.0)
        found = model.predict(TEXTS)
    assert [p.label for p in found] == ["law"] + ["math"] * 7
    facts = model.facts()
    assert facts["cost_per_query"] == pytest.approx(0.0022)
    assert (facts["input_tokens"], facts["output_tokens"], facts["calls"]) == (8000, 160, 8)
    assert 0 < facts["latency_ms"] <= facts["latency_p95_ms"]
    assert facts["structured"] == "yes" and facts["consistency"] is None
    path, body, headers = server.asked[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == f"Bearer {SECRET}"
    assert body["model"] == "m" and body["temperature"] == 0
    assert body["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"] == list(
        CATEGORY.labels
    )


def test_the_key_and_the_texts_are_kept_nowhere(peer, tmp_path):
    with serving(lambda body, n: LAW) as server:
        model = peer(server)
        model.predict(TEXTS)
    held = (tmp_path / "kept.jsonl").read_text() + json.dumps(model.facts()) + repr(model.options)
    assert SECRET not in held and len((tmp_path / "kept.jsonl").read_text().splitlines()) == 8


def test_without_a_key_none_is_sent(peer, monkeypatch):
    monkeypatch.delenv("TEST_KEY")
    with serving(lambda body, n: LAW) as server:
        peer(server, temperature=None).predict(TEXTS[:1])
    assert "Authorization" not in server.asked[0][2] and "temperature" not in server.bodies[0]


def test_busy_then_well(peer):
    def reply(body, number):
        return (
            (Reply(status=429), Reply(status=500), Reply(status=503))[number] if number < 3 else LAW
        )

    with serving(reply) as server:
        model = peer(server, concurrency=1)
        assert [p.label for p in model.predict(TEXTS[:2])] == ["law", "law"]
    assert model.facts()["failed"] == 0 and len(server.asked) == 5


def test_one_text_that_always_fails_is_counted_and_wrong(peer):
    def reply(body, number):
        return Reply(status=500) if "text 3" in body["messages"][1]["content"] else LAW

    with serving(reply) as server:
        model = peer(server, retries=1)
        found = model.predict(TEXTS)
        assert found[3].label is None and model.facts()["failed"] == 1
        before = len(server.asked)
        again = peer(server, retries=1)
        again.predict(TEXTS)
        assert len(server.asked) == before + 2, "what failed is asked again, and nothing else"


def test_a_slow_answer_is_given_up(peer):
    def reply(body, number):
        return Reply(LAW.value, pause=1.0 if number == 1 else 0.0)

    with serving(reply) as server:
        model = peer(server, timeout=0.3, retries=0, concurrency=1)
        found = model.predict(TEXTS[:3])
    assert [p.label for p in found] == ["law", None, "law"]


def test_an_endpoint_that_is_down_stops_the_run_and_loses_nothing(peer):
    def reply(body, number):
        return LAW if number < 3 else Reply({"error": SECRET}, status=500)

    with serving(reply) as server:
        with pytest.raises(PeerError, match="chat/completions") as caught:
            peer(server, retries=0, concurrency=1).predict(TEXTS)
        assert SECRET not in str(caught.value)
        assert len(server.asked) == 3 + 5


def test_a_stopped_run_goes_on_where_it_stopped(peer):
    down = {"yes": False}

    def reply(body, number):
        return Reply(status=500) if down["yes"] and number >= 3 else LAW

    with serving(reply) as server:
        down["yes"] = True
        with pytest.raises(PeerError):
            peer(server, retries=0, concurrency=1).predict(TEXTS)
        down["yes"] = False
        before = len(server.asked)
        model = peer(server)
        assert [p.label for p in model.predict(TEXTS)] == ["law"] * 8
        assert len(server.asked) - before == 5
        assert model.facts()["calls"] == 8
        peer(server).predict(TEXTS)
        assert len(server.asked) - before == 5, "nothing is paid twice"
        peer(server, model="other").predict(TEXTS[:1])
        assert len(server.asked) - before == 6, "another model's answers are its own"


def test_an_answer_cut_off_while_it_was_written_is_asked_for_again(peer, tmp_path):
    with serving(lambda body, n: LAW) as server:
        peer(server).predict(TEXTS)
        kept = tmp_path / "kept.jsonl"
        lines = kept.read_text().splitlines()
        kept.write_text("\n".join([*lines[:-1], lines[-1][:20]]))
        before = len(server.asked)
        peer(server).predict(TEXTS)
        assert len(server.asked) == before + 1
        assert len(kept.read_text().splitlines()) == 8
        kept.write_text("\n".join(["broken", *lines]) + "\n")
        with pytest.raises(ConfigError, match="line 1"):
            peer(server)


def test_what_cannot_be_used_is_wrong_and_counted(peer):
    bad = [
        LAW,
        completion("", refusal="I cannot"),
        Reply({"choices": [{"message": {"content": "x"}, "finish_reason": "content_filter"}]}),
        Reply({"error": {"code": "content_filter"}}, status=400),
        completion('{"label": "la'),
        completion({"label": "sports"}),
        Reply(b"<html>not json"),
        Reply({"choices": []}),
    ]

    with serving(lambda body, n: bad[n]) as server:
        model = peer(server, concurrency=1)
        found = model.predict(TEXTS)
    facts = model.facts()
    assert (facts["refusals"], facts["unparsable"], facts["wrong_labels"]) == (3, 3, 1)
    figures = score(CATEGORY, [Example(t, "law") for t in TEXTS], found)
    assert figures["accuracy"] == 1 / 8
    assert facts["structured"] == "yes" and len(server.asked) == 8


def test_a_server_without_schemas_is_asked_without_and_that_is_said(peer):
    def reply(body, number):
        return Reply({"error": SECRET}, status=400) if "response_format" in body else LAW

    with serving(reply) as server:
        model = peer(server)
        assert [p.label for p in model.predict(TEXTS)] == ["law"] * 8
    assert model.facts()["structured"].startswith("no")
    assert sum("response_format" in body for body in server.bodies) == 1


def test_a_400_for_one_text_is_no_reason_to_drop_the_schema(peer):
    def reply(body, number):
        return Reply(status=400) if "text 5" in body["messages"][1]["content"] else LAW

    with serving(reply) as server:
        model = peer(server)
        found = model.predict(TEXTS)
    assert found[5].label is None and model.facts()["failed"] == 1
    assert all("response_format" in body for body in server.bodies)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_request_stops_at_once(peer, status):
    with serving(lambda body, n: Reply({"error": SECRET}, status=status)) as server:
        with pytest.raises(PeerError, match="an answer of") as caught:
            peer(server).predict(TEXTS)
        assert caught.value.got == f"status {status}" and SECRET not in str(caught.value)
        assert len(server.asked) == (2 if status == 400 else 1)


def test_without_usage_there_is_no_cost(peer):
    with serving(
        lambda body, n: completion({"label": "law"}, usage=None if n else (100, 10))
    ) as server:
        model = peer(server, concurrency=1, input_price=1.0, output_price=1.0)
        model.predict(TEXTS)
        facts = model.facts()
        assert (facts["calls"], facts["calls_with_usage"]) == (8, 1)
        assert facts["cost_per_query"] == pytest.approx(0.00011)
        free = peer(server, model="other", concurrency=1)
        free.predict(TEXTS)
        assert "cost_per_query" not in free.facts()


def test_repeated_calls_show_whether_answers_agree(peer):
    def reply(body, number):
        wavers = "text 1" in body["messages"][1]["content"] and number % 3 == 2
        return completion({"label": "math" if wavers else "law"})

    with serving(reply) as server:
        model = peer(server, repeats=3, concurrency=1)
        found = model.predict(TEXTS[:4])
    assert len(server.asked) == 12 and len(found) == 4
    assert model.facts()["consistency"] == 0.75 and model.facts()["calls"] == 12


def test_calls_run_side_by_side(peer):
    with serving(lambda body, n: Reply(LAW.value, pause=0.3)) as server:
        start = time.perf_counter()
        peer(server, concurrency=7).predict(TEXTS)
        assert time.perf_counter() - start < 0.3 * 8 * 0.7


def test_spans_are_kept_without_their_words(peer, tmp_path):
    answer = completion(
        {"spans": [{"text": SECRET, "type": "PERSON"}, {"text": "Bob", "type": "PERSON"}]}
    )
    with serving(lambda body, n: answer) as server:
        first = peer(server, PII).predict(TEXTS)
        second = peer(server, PII)
        assert second.predict(TEXTS) == first and len(server.asked) == 8
    assert first[0].spans[0].text == SECRET and second.facts()["unmatched"] == 8
    assert SECRET not in (tmp_path / "kept.jsonl").read_text()
