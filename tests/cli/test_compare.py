"""`pointsman compare` as a user types it."""

import json

import pytest

from tests.pipeline.server import Reply, completion, serving
from tests.runs import jailbreak_rows, write_rows

RECIPE = "recipes/compare/full_against_lora.yaml"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [row for row in jailbreak_rows(30, seed=4) if row["kind"] != "harmful"]
    write_rows(tmp_path / "rows.jsonl", made)
    return tmp_path


def test_a_bundle_a_server_and_a_model(pointsman, demo, place, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-zebra")
    classify = {"is_safe": {"label": "safe", "score": 0.8}}

    def model(body, number):
        return completion({"label": "jailbreak"}, usage=(1000, 10))

    with serving(lambda body, n: Reply(classify["is_safe"])) as server, serving(model) as endpoint:
        result = pointsman(
            "compare", demo / "run" / "jailbreak", "--data", "rows.jsonl", "--limit", 12,
            "--peer", f"guard={server.url}/predict", "--label-map", "safe=benign",
            "--llm", endpoint.url, "--model", "gpt-x", "--key-env", "MY_KEY", "--repeats", 2,
            "--input-price", 1, "--output-price", 2, "--latency-texts", 3, "--against", "guard",
        )  # fmt: skip
    assert result.code == 0, result.err
    written = json.loads((place / "compare-rows" / "compare.json").read_text())
    entrants = {entrant["name"]: entrant for entrant in written["entrants"]}
    assert set(entrants) == {"jailbreak", "guard", "gpt-x"} and written["rows"] == 12
    assert entrants["gpt-x"]["consistency"] == 1.0
    assert entrants["gpt-x"]["cost_per_query"] == pytest.approx(0.00102)
    assert entrants["gpt-x"]["missing"] == entrants["guard"]["missing"] == 0
    assert {d["second"] for d in written["differences"]} == {"guard"}
    assert "gpt-x" in result.out and "written to compare-rows" in result.err
    held = (
        result.out + result.err + "".join(f.read_text() for f in (place / "compare-rows").iterdir())
    )
    assert "sk-zebra" not in held


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["BUNDLE"], "--data FILE"),
        (["BUNDLE", "--data", "rows.jsonl"], "two or more to compare"),
        (["BUNDLE", "--data", "rows.jsonl", "--llm", "http://h"], "--llm URL and --model NAME"),
        (["BUNDLE", "--data", "rows.jsonl", "--peer", "nowhere"], "a peer"),
        (["BUNDLE", "--data", "rows.jsonl", "--dry-run"], "a comparison recipe, for --set"),
        (["BUNDLE", "--data", "rows.jsonl", "--repeats", 2], "--llm URL, for --repeats"),
        (["BUNDLE", "--data", "rows.jsonl", "--label-map", "a=b"], "--peer, for --label-map"),
        (["BUNDLE", "--data", "rows.jsonl", "--llm", "http://h", "--model", "m", "--input-price", 1], "one of output tokens"),
        ([RECIPE, "--seed", 3], "bundles, for --seed"),
        (["BUNDLE", "BUNDLE", "--data", "rows.jsonl"], "a name of its own"),
        (["BUNDLE", "PII", "--data", "rows.jsonl"], "bundles of one task"),
        ([RECIPE, "BUNDLE"], "one comparison recipe, or bundles"),
        ([RECIPE, "--limit", 5], "--set limit="),
        (["nothing.yaml"], "a comparison recipe at nothing.yaml"),
        ([RECIPE, "--set", "variants.lora={train.methd: lora}", "--dry-run"], "unknown key"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_said(pointsman, demo, place, request, arguments, words):
    names = {"BUNDLE": demo / "run" / "jailbreak", "PII": demo / "run" / "pii"}
    root = request.config.rootpath
    named = [names.get(a, root / a if a == RECIPE else a) for a in arguments]
    result = pointsman("compare", *named)
    assert result.code == 2 and words in result.err
    assert sorted(path.name for path in place.iterdir()) == ["rows.jsonl"]


def test_an_endpoint_that_refuses_has_an_exit_code_of_its_own(pointsman, demo, place):
    with serving(lambda body, n: Reply(status=401)) as endpoint:
        result = pointsman(
            "compare", demo / "run" / "jailbreak", "--data", "rows.jsonl",
            "--llm", endpoint.url, "--model", "m",
        )  # fmt: skip
    assert result.code == 8 and "status 401" in result.err


def test_a_recipe_runs_dry(pointsman, place):
    result = pointsman("compare", "full_against_lora.yaml", "--dry-run")
    assert result.code == 2, "a package's own goes by its name, without the suffix"
    result = pointsman("compare", "full_against_lora", "--dry-run")
    assert result.code == 0, result.err
    assert (
        "lora, seed 2" in result.out and "runs/full_against_lora/lora-seed-2/intent" in result.out
    )
