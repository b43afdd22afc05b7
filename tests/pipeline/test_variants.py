"""Variants differ in how they are trained and in nothing else; a stopped comparison goes on."""

from pathlib import Path

import pytest
import yaml

from pointsman.bundle.layout import read_bundle
from pointsman.core.errors import ConfigError
from pointsman.core.files import read_json
from pointsman.pipeline import compare, measure, variants
from pointsman.pipeline.variants import (
    COMPARISONS,
    expand,
    load_comparison,
    plan_comparison,
    run_comparison,
)
from tests.runs import TRAIN, jailbreak_rows, pii_rows, task, write_recipe, write_rows

EXAMPLES = sorted(COMPARISONS.glob("*.yaml"))


def write(directory, **more):
    values = {
        "name": "two", "recipe": "recipe.yaml", "output": "out",
        "variants": {"full": {"train.method": "full"}, "lora": {"train.method": "lora"}}, **more,
    }  # fmt: skip
    path = directory / "compare.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def place(tmp_path, backbones, monkeypatch):
    """A directory with rows, a recipe of a few steps, and no comparison yet."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data" / "jailbreak.jsonl", jailbreak_rows(60))
    short = {"train": {"epochs": 1, "max_steps": 3, "evaluate": "epoch"}}
    write_recipe(tmp_path, backbones["bert"], [task("jailbreak", **short)])
    return tmp_path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_run_dry_by_name(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    comparison = load_comparison(Path(path.stem))
    assert comparison.name == path.stem and path.read_text().startswith("# ")
    lines = "\n".join(plan_comparison(comparison))
    for variant in expand(comparison):
        for each in variant.recipe.tasks:
            options = variant.recipe.train_options(each)
            place = f"runs/{comparison.name}/{variant.name}/{each.task}"
            trained = f"-> {variant.recipe.backbone}, {options.method}, preset {options.preset}"
            assert f"{trained} -> {place}\n" in lines + "\n"
    assert not list(tmp_path.iterdir()), "a dry run writes nothing"


def test_the_examples_are_those_of_the_documents_tables():
    assert {path.stem for path in EXAMPLES} >= {"full_against_lora", "bert_against_modernbert"}
    found = expand(load_comparison(Path("bert_against_modernbert")))
    assert {v.recipe.backbone for v in found} == {"bert-base", "modernbert-base"}
    options = [v.recipe.train_options(t) for v in found for t in v.recipe.tasks]
    assert {(o.method, o.learning_rate, o.network.freeze_layers) for o in options} == {
        ("full", 3e-5, 0)
    }
    full = expand(load_comparison(Path("full_against_lora")))
    assert {v.recipe.train_options(v.recipe.tasks[0]).method for v in full} == {"full", "lora"}


def test_every_seed_of_every_variant_is_a_recipe(place):
    found = expand(load_comparison(write(place, seeds=[3, 4], base={"train.label_smoothing": 0.1})))
    assert [v.name for v in found] == ["full-seed-3", "full-seed-4", "lora-seed-3", "lora-seed-4"]
    for variant in found:
        options = variant.recipe.train_options(variant.recipe.tasks[0])
        assert (options.method, options.seed) == (variant.variant, variant.seed)
        assert options.label_smoothing == 0.1
        assert variant.recipe.directory() == Path("out") / variant.name


def test_a_recipe_beside_comes_before_one_by_name(place, tmp_path):
    comparison = load_comparison(write(place), ("output=other", "limit=5"))
    assert Path(comparison.recipe) == place / "recipe.yaml"
    assert comparison.directory() == Path("other") and comparison.limit == 5


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"variants": {"a": {}}}, "variants"),
        ({"variants": {"a": {}, "../b": {}}}, "letters, digits"),
        ({"against": "none"}, "against"),
        ({"seeds": [1, 1]}, "each once"),
        ({"variant": {}}, "unknown key 'variant'"),
    ],
)
def test_a_wrong_comparison_is_refused(place, more, words):
    with pytest.raises(ConfigError, match="compare.yaml") as caught:
        load_comparison(write(place, **more))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({"tasks.jailbreak.prepare.seed": 7}, "changes of train"),
        ({"tasks.jailbreak.labels": ["jailbreak", "benign"]}, "changes of train"),
        ({"mirror": "DIR"}, "changes of train"),
        ({"train.metod": "lora"}, "variant 'b': unknown key"),
        ({"tasks.jailbreak.train.metod": "lora"}, "unknown key"),
        ({"tasks.jailbreak.train.seed": 9}, "seed 1 for jailbreak"),
    ],
)
def test_a_variant_that_is_none_is_refused(place, variant, words):
    path = write(place, variants={"a": {}, "b": variant}, seeds=[1])
    with pytest.raises(ConfigError) as caught:
        expand(load_comparison(path))
    assert words in str(caught.value)
    assert not (place / "out").exists()


def test_tasks_that_the_recipe_has_not_are_refused(place):
    with pytest.raises(ConfigError, match="no 'pii'"):
        expand(load_comparison(write(place, tasks=["pii"])))


def measure_here(kind, path, spec, texts, *, foreign=None, latency_texts=100):
    """What a process of its own would do, in this one: it need not load torch anew."""
    request = {
        "kind": kind,
        "path": str(path),
        "task": spec.model_dump(mode="json"),
        "texts": texts,
    }
    result = measure.answer({**request, "foreign": {}, "latency_texts": latency_texts})
    rows = zip(result["predictions"], texts, strict=True)
    return [measure.from_row(row, text) for row, text in rows], {**result["facts"], "kind": kind}


def test_a_comparison_trains_compares_and_goes_on(place, monkeypatch):
    monkeypatch.setattr(compare, "measure_apart", measure_here)
    comparison = load_comparison(write(place, seeds=[1, 2], latency_texts=3))
    stop, trained = variants.run_recipe, []

    def cut_off(recipe, say):
        if recipe.name == "lora-seed-1" and not trained:
            trained.append(recipe.name)
            raise KeyboardInterrupt
        return stop(recipe, say)

    monkeypatch.setattr(variants, "run_recipe", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run_comparison(comparison, lambda line: None)
    stamp = (place / "out/full-seed-1/jailbreak/bundle/bundle.json").stat().st_mtime_ns
    news = []
    result = run_comparison(comparison, news.append)["jailbreak"]
    assert (place / "out/full-seed-1/jailbreak/bundle/bundle.json").stat().st_mtime_ns == stamp
    assert news.count("jailbreak: preparing") == 0, "rows are prepared once, and copied"
    names = ["full-seed-1", "full-seed-2", "lora-seed-1", "lora-seed-2"]
    assert [entrant["name"] for entrant in result["entrants"]] == names
    pairs = [(d["first"], d["second"]) for d in result["differences"]]
    assert pairs == [("lora-seed-1", "full-seed-1"), ("lora-seed-2", "full-seed-2")]
    assert [(row["variant"], row["seeds"]) for row in result["seeds"]] == [("full", 2), ("lora", 2)]
    assert not [note for note in result["notes"] if "other data" in note]
    hashes = {
        read_json(place / "out" / n / "jailbreak/data/manifest.json")["hashes"]["test"]
        for n in names
    }
    assert len(hashes) == 1
    assert {read_bundle(place / "out" / n / "jailbreak/bundle").cost.method for n in names} == {
        "full",
        "lora",
    }
    assert "## Over seeds" in (place / "out/compare/jailbreak/compare.md").read_text()


def test_another_comparisons_directory_is_refused(place, monkeypatch):
    monkeypatch.setattr(variants, "run_recipe", lambda recipe, say: [])
    monkeypatch.setattr(variants, "_compare_task", lambda *args, **more: {})
    run_comparison(load_comparison(write(place)), lambda line: None)
    run_comparison(load_comparison(write(place, limit=9)), lambda line: None)  # trains the same
    with pytest.raises(ConfigError, match="this very comparison"):
        run_comparison(load_comparison(write(place, seeds=[1])), lambda line: None)
    (place / "full").mkdir()
    (place / "full" / "file").touch()
    with pytest.raises(ConfigError, match="a new directory, or a comparison"):
        run_comparison(load_comparison(write(place, output="full")), lambda line: None)


def test_tasks_apart_against_tasks_under_one_encoder(place, backbones):
    write_rows(place / "data" / "pii.jsonl", pii_rows(60))
    short = {**TRAIN, "epochs": 1, "max_steps": 3, "evaluate": "epoch"}
    write_recipe(place, backbones["bert"], [task("jailbreak"), task("pii")], train=short)
    more = {"variants": {"apart": {}, "together": {"method": "shared"}}, "latency_texts": 2}
    found = run_comparison(load_comparison(write(place, **more)), lambda line: None)
    assert set(found) == {"jailbreak", "pii"}
    for result in found.values():
        names = [entrant["name"] for entrant in result["entrants"]]
        assert names == ["apart", "together"] and len(result["differences"]) == 1
        sizes = [entrant["parameters"] for entrant in result["entrants"]]
        assert sizes[0] < sizes[1]  # the second holds both heads
