"""Recipes that train on data which is prepared already."""

import json
import shutil
from pathlib import Path

import pytest

from pointsman.bundle.layout import read_any, read_bundle
from pointsman.core.errors import ConfigError, DataError
from pointsman.data.prepare import PrepareOptions, prepare
from pointsman.data.prepared import load_prepared
from pointsman.data.request import SourceRequest
from pointsman.pipeline.recipe import load_recipe
from pointsman.pipeline.run import plan, run_recipe
from pointsman.tasks.catalogue import load_task
from tests.runs import COARSE, PLACES, jailbreak_rows, pii_rows, write_recipe, write_rows

QUICK = {
    "max_length": 48,
    "max_steps": 2,
    "evaluate": "epoch",
    "precision": "fp32",
    "report_to": [],
}
PII = {"task": "pii", "labels": COARSE, "label_map": PLACES, "data": "ready/pii"}
READY = Path("ready")
GUARD = {"task": "jailbreak", "data": "ready/jailbreak"}


def make(name, rows, *, licence="Apache-2.0", seed=13):
    """Prepare rows of a task in `ready/NAME`."""
    spec = load_task(name)
    if name == "pii":
        spec = spec.adapt(labels=tuple(COARSE), label_map=PLACES)
    file = write_rows(READY / f"{name}.jsonl", rows)
    source = SourceRequest.parse({"path": str(file), "licence": licence}, where="test")
    options = PrepareOptions(near_duplicate_threshold=None, seed=seed)
    prepare(spec, [source], READY / name, options=options)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with prepared data of two tasks in `ready/`."""
    monkeypatch.chdir(tmp_path)
    make("jailbreak", jailbreak_rows(60))
    make("pii", pii_rows(60))
    return tmp_path


def recipe_of(place, backbones, tasks, **more):
    more = {"evaluate": {"perturbations": []}, "train": QUICK, **more}
    return write_recipe(place, backbones["bert"], tasks, **more)


def run(recipe, *overrides):
    lines = []
    bundles = run_recipe(load_recipe(recipe, overrides), lines.append)
    return bundles, lines


def test_rows_that_are_prepared_are_trained_on_as_they_are(place, backbones):
    recipe = recipe_of(place, backbones, [GUARD])
    assert "jailbreak: prepared data in ready/jailbreak -> 2 labels" in "\n".join(
        plan(load_recipe(recipe))
    )
    (bundle,), lines = run(recipe)
    assert "jailbreak: prepared already, in ready/jailbreak" in lines
    assert not any("preparing" in line for line in lines)
    hashes = load_prepared(place / "ready" / "jailbreak").manifest["hashes"]
    meta = read_bundle(bundle)
    assert meta.provenance["data"]["hashes"] == hashes and meta.provenance["audit"]
    assert meta.recipe["data"] == "ready/jailbreak"
    _, lines = run(recipe)
    assert lines == ["jailbreak: finished already, kept"]


def test_one_encoder_is_trained_on_data_that_is_prepared(place, backbones):
    (bundle,), _ = run(recipe_of(place, backbones, [GUARD, PII], method="shared"))
    for name, head in read_any(bundle).heads.items():
        hashes = load_prepared(place / "ready" / name).manifest["hashes"]
        assert head.provenance["data"]["hashes"] == hashes


def test_a_run_goes_on_with_its_rows_and_refuses_others(place, backbones):
    recipe = recipe_of(place, backbones, [GUARD])
    run(recipe)
    shutil.rmtree(place / "run" / "jailbreak" / "bundle")  # as if it had been cut off
    rows = (place / "ready" / "jailbreak" / "train.jsonl").read_bytes()
    make("jailbreak", jailbreak_rows(60, seed=4))
    with pytest.raises(ConfigError, match="ready/jailbreak: the rows that it held when this run"):
        run(recipe)
    assert (place / "run" / "jailbreak" / "data" / "train.jsonl").read_bytes() == rows
    shutil.copytree(
        place / "run" / "jailbreak" / "data", place / "ready" / "jailbreak", dirs_exist_ok=True
    )
    (bundle,), lines = run(recipe)
    assert read_bundle(bundle).metrics and "jailbreak: prepared already" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({**GUARD, "data": "nowhere"}, "a directory of prepared data\n  got: none at nowhere"),
        ({**GUARD, "data": "ready/pii"}, "data prepared for jailbreak\n  got: data for pii"),
        ({"task": "pii", "data": "ready/pii"}, r"tasks\.pii\.data: data with the labels"),
        ({**GUARD, "positive_kinds": ["jailbreak"]}, "data for another positive_kinds"),
        ({**GUARD, "sources": [{"name": "starter"}]}, "sources beside it"),
        ({**GUARD, "prepare": {"seed": 4}}, "prepare beside it"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(place, backbones, task, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(recipe_of(place, backbones, [task]))
    assert not (place / "run").exists()


def test_the_gate_holds_for_data_that_is_prepared(place, backbones):
    make("jailbreak", jailbreak_rows(60), licence="CC-BY-NC-4.0")
    recipe = recipe_of(place, backbones, [GUARD])
    assert "CC-BY-NC-4.0, needs --allow-noncommercial" in "\n".join(plan(load_recipe(recipe)))
    with pytest.raises(DataError, match="allows commercial use"):
        run(recipe)
    assert not (place / "run" / "jailbreak").exists()
    make("jailbreak", jailbreak_rows(60))
    ready = place / "ready" / "jailbreak"
    (ready / "test.jsonl").write_text(json.dumps({"text": "x", "label": "benign"}) + "\n")
    with pytest.raises(DataError, match="a changed file"):
        run(recipe)
