"""A whole run: one recipe in, a finished directory out, at the second or the third attempt."""

import csv
import errno
import json
import re
import shutil

import pytest
import yaml
from transformers import PreTrainedModel, Trainer

from pointsman import load
from pointsman.bundle.layout import read_bundle
from pointsman.core.errors import (
    BundleError,
    ConfigError,
    DataError,
    PointsmanError,
    SourceError,
    StorageError,
)
from pointsman.data.prepared import load_prepared
from pointsman.models.weights import find_backbone
from pointsman.pipeline.recipe import load_recipe
from pointsman.pipeline.run import plan, run_recipe, train_prepared
from pointsman.training.config import TrainOptions
from tests.runs import COARSE, PLACES, TRAIN, jailbreak_rows, task, write_recipe, write_rows

QUICK = {"max_steps": 2, "evaluate": "epoch"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory with rows of a detector."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data" / "jailbreak.jsonl", jailbreak_rows(60))
    return tmp_path


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(Trainer, "train", refuse)


def run(recipe, *overrides):
    lines = []
    bundles = run_recipe(load_recipe(recipe, overrides), lines.append)
    return bundles, lines


def snapshot(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def test_the_demo_learned_and_says_so(demo):
    for name, metric in (("jailbreak", "roc_auc"), ("pii", "span_f1")):
        figures = json.loads((demo / "run" / name / "metrics.json").read_text())
        assert figures[metric] > 0.8
        assert read_bundle(demo / "run" / name / "bundle").metrics == figures
        report = (demo / "run" / name / "report.md").read_text()
        assert f"{figures['rows']} rows of its test split" in report
    assert json.loads((demo / "run" / "recipe.json").read_text())["name"] == "tiny"


def test_the_figures_are_those_of_the_packed_bundle(demo):
    """What is scored is what is served: the predictor's answers on the test split, by hand."""
    rows = load_prepared(demo / "run" / "jailbreak" / "data").test
    answers = load(demo / "run" / "jailbreak").predict([row.text for row in rows])
    right = sum(row.label == answer.label for row, answer in zip(rows, answers, strict=True))
    figures = json.loads((demo / "run" / "jailbreak" / "metrics.json").read_text())
    assert figures["accuracy"] == right / len(rows)


def test_kinds_kept_out_of_training_are_a_slice(demo):
    figures = json.loads((demo / "run" / "jailbreak" / "metrics.json").read_text())
    assert figures["slices"]["harmful"]["rows"] == 30
    data = load_prepared(demo / "run" / "jailbreak" / "data")
    assert not [row for row in (*data.train, *data.test) if row.kind == "harmful"]


def test_slices_and_perturbations_are_in_the_bundles_figures(demo):
    metrics = read_bundle(demo / "run" / "pii" / "bundle").metrics
    assert "base64" not in metrics["perturbations"] and "typos" in metrics["perturbations"]
    padding = metrics["perturbations"]["padding"]
    assert padding["rows"] == metrics["rows"] and not padding["trained_with"]
    assert padding["drop"] == pytest.approx(metrics["span_f1"] - padding["value"])
    assert metrics["perturbations"]["lowercase"]["drop"] == 0  # the tiny backbone knows no case
    assert set(metrics["errors"]["counts"]) == {"missed", "wrong type", "boundary", "spurious"}


def test_augmentation_is_counted_in_the_bundle_and_part_of_the_run(place, backbones):
    options = {**QUICK, "augment": {"typos": 0.5, "uppercase": 0.1}}
    recipe = write_recipe(
        place, backbones["bert"], [task("jailbreak", train=options)], evaluate={"rows": 4}
    )
    (bundle,), lines = run(recipe)
    meta = read_bundle(bundle)
    rows = len(load_prepared(place / "run" / "jailbreak" / "data").train)
    facts = meta.provenance["encoding"]["train"]
    copies = {"typos": round(rows / 2), "uppercase": round(rows / 10)}
    assert facts["augmented"] == copies and facts["rows"] == rows + sum(copies.values())
    assert "augmented" not in meta.provenance["encoding"]["validation"]
    assert f"  with perturbed copies: {copies['typos']} typos, {copies['uppercase']} uppercase" in (
        lines
    )
    assert meta.metrics["perturbations"]["typos"]["trained_with"]
    assert meta.metrics["perturbations"]["rot13"]["rows"] == 4
    plain = write_recipe(place, backbones["bert"], [task("jailbreak", train=QUICK)])
    (other,), _ = run(plain, "output=plain", "evaluate.perturbations=[]")
    assert "augmented" not in read_bundle(other).provenance["encoding"]["train"]
    assert "perturbations" not in read_bundle(other).metrics
    assert read_bundle(other).provenance["run"] != meta.provenance["run"]


def test_a_label_map_makes_the_documents_coarse_set(demo):
    meta = read_bundle(demo / "run" / "pii" / "bundle")
    assert list(meta.task.labels) == COARSE and meta.task.label_map == PLACES
    assert meta.labels[:3] == ("O", "B-PERSON", "I-PERSON") and len(meta.labels) == 11
    assert meta.metrics["per_type"]["LOCATION"]["f1"] > 0.5


def test_no_report_shows_personal_data(demo):
    report = (demo / "run" / "pii" / "report.md").read_text()
    assert "@example.org" not in report and "Sarah" not in report


def test_a_second_run_does_nothing(own_demo, no_training):
    before = snapshot(own_demo / "run")
    bundles, lines = run(own_demo / "recipe.yaml")
    assert lines == ["jailbreak: finished already, kept", "pii: finished already, kept"]
    after = snapshot(own_demo / "run")
    after_recipe, before_recipe = (
        s.pop(str(own_demo / "run/recipe.json")) for s in (after, before)
    )
    assert after == before and after_recipe[1] == before_recipe[1]
    assert [str(bundle) for bundle in bundles] == ["run/jailbreak/bundle", "run/pii/bundle"]


@pytest.mark.parametrize("override", ["train.epochs=7", "name=other"])
def test_a_run_of_another_recipe_is_refused_and_kept(own_demo, override):
    before = snapshot(own_demo / "run")
    with pytest.raises(ConfigError, match="another recipe"):
        run(own_demo / "recipe.yaml", override)
    assert snapshot(own_demo / "run") == before


def test_a_directory_of_other_files_is_refused_and_kept(place, backbones):
    write_recipe(place, backbones["bert"], [task("jailbreak")])
    (place / "run").mkdir()
    (place / "run" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="other files"):
        run(place / "recipe.yaml")
    assert [path.name for path in (place / "run").iterdir()] == ["thesis.txt"]


def test_a_run_cut_off_between_tasks_goes_on(own_demo):
    shutil.rmtree(own_demo / "run" / "pii")
    before = snapshot(own_demo / "run" / "jailbreak")
    _, lines = run(
        own_demo / "recipe.yaml",
    )
    assert lines[0] == "jailbreak: finished already, kept" and "pii: preparing" in lines
    assert snapshot(own_demo / "run" / "jailbreak") == before
    assert read_bundle(own_demo / "run" / "pii" / "bundle").metrics["span_f1"] > 0.8


def test_a_run_cut_off_before_its_evaluation_goes_on(own_demo, no_training):
    bundle = own_demo / "run" / "jailbreak" / "bundle"
    values = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**values, "metrics": {}}))
    (own_demo / "run" / "jailbreak" / "metrics.json").unlink()
    run(own_demo / "recipe.yaml")
    again = read_bundle(bundle)
    for name in ("roc_auc", "accuracy"):
        assert again.metrics[name] == values["metrics"][name]
    assert again.files["model.safetensors"] == values["files"]["model.safetensors"]


def test_a_run_cut_off_at_its_card_goes_on(own_demo, no_training, monkeypatch):
    """The figures in `bundle.json` say that a run is finished, so they are written last."""
    from pointsman.bundle import update

    bundle = own_demo / "run" / "jailbreak" / "bundle"
    values = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**values, "metrics": {}}))
    (bundle / "README.md").write_text("Not evaluated yet")

    def cut_off(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(update, "write_card", cut_off)
        with pytest.raises(KeyboardInterrupt):
            run(own_demo / "recipe.yaml")
    run(own_demo / "recipe.yaml")
    assert "| roc_auc | " in (bundle / "README.md").read_text()


def test_a_damaged_bundle_of_a_finished_run_is_said(own_demo):
    (own_demo / "run" / "pii" / "bundle" / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        run(own_demo / "recipe.yaml")


def test_a_mistake_in_the_first_attempt_does_not_take_the_directory(place, backbones):
    bad = [
        [task("jailbreak", sources=[{"path": "data/gone.jsonl"}])],
        [task("jailbreak", sources=[{"path": "data/jailbreak.jsonl", "columns": {"text": "txt"}}])],
    ]
    for tasks in bad:
        with pytest.raises(PointsmanError):
            run(write_recipe(place, backbones["bert"], tasks))
    with pytest.raises(ConfigError, match="unknown backbone"):
        run(write_recipe(place, "nowhere", [task("jailbreak")]))
    recipe = write_recipe(place, backbones["bert"], [task("jailbreak", train=QUICK)])
    (bundle,), _ = run(recipe)
    assert read_bundle(bundle).cost.steps == 2


def test_a_full_disk_while_packing_loses_nothing(place, backbones, monkeypatch):
    recipe = write_recipe(place, backbones["bert"], [task("jailbreak", train=QUICK)])
    save = PreTrainedModel.save_pretrained

    def full(self, directory, *args, **keywords):
        if "bundle" in str(directory):
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(self, directory, *args, **keywords)

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    with pytest.raises(StorageError, match="run/jailbreak/bundle"):
        run(recipe)
    left = {path.name for path in (place / "run" / "jailbreak").iterdir()}
    assert left == {"data", "checkpoints"}
    monkeypatch.setattr(PreTrainedModel, "save_pretrained", save)
    (bundle,), _ = run(recipe)
    assert read_bundle(bundle).metrics


def test_a_read_only_output_is_said_before_anything_runs(place, backbones, monkeypatch):
    recipe = write_recipe(place, backbones["bert"], [task("jailbreak")])

    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("pointsman.core.files.tempfile.mkstemp", read_only)
    with pytest.raises(StorageError, match="run"):
        run(recipe)


def train(place, data, backbone, **options):
    settings = TrainOptions.model_validate({**TRAIN, **QUICK, **options})
    return train_prepared(
        "jailbreak", data, place / "out", find=lambda: find_backbone(str(backbone)),
        options=settings, say=lambda line: None,
    )  # fmt: skip


def test_a_warm_start_begins_where_the_other_ended(demo, place, backbones):
    first = demo / "run" / "jailbreak"
    still = {"learning_rate": 1e-12, "weight_decay": 0}
    bundle = train(
        place, first / "data", backbones["bert"], warm_start=str(first / "bundle"), **still
    )
    meta, old = read_bundle(bundle), read_bundle(first / "bundle")
    assert meta.metrics["roc_auc"] == pytest.approx(old.metrics["roc_auc"])
    assert meta.recipe["train"]["warm_start"] == str(first / "bundle")


def test_a_warm_start_that_cannot_be_is_refused(demo, place, backbones):
    data = demo / "run" / "jailbreak" / "data"
    with pytest.raises(ConfigError, match=r"warm_start(.|\n)*model\.safetensors"):
        train(place, data, backbones["bert"], warm_start=str(place))
    with pytest.raises(ConfigError, match="family bert"):
        train(place, data, backbones["bert"], warm_start=str(backbones["roberta"]))


def test_a_window_longer_than_the_backbone_is_refused(demo, place, backbones):
    data = demo / "run" / "jailbreak" / "data"
    for family, longest in (("bert", 128), ("roberta", 128)):
        with pytest.raises(ConfigError, match=f"at most {longest}"):
            train(place, data, backbones[family], max_length=129)


def test_data_of_another_task_is_refused(demo, place, backbones):
    with pytest.raises(ConfigError, match="data for pii"):
        train(place, demo / "run" / "pii" / "data", backbones["bert"])


MOOD = {
    "name": "mood", "title": "Mood", "question": "Which mood?", "level": "sequence",
    "labels": ["calm", "angry"], "headline": "macro_f1", "checkpoint": "macro_f1",
    "tools": {"angry": ["call_a_friend"]},
}  # fmt: skip


def test_an_own_task_runs_from_two_files_and_no_code(place, backbones):
    (place / "mood.yaml").write_text(yaml.safe_dump(MOOD))
    with (place / "mood.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["said", "how"])
        for row in jailbreak_rows(60):
            mood = {"benign": "calm", "harmful": "calm"}.get(row["kind"], "cross")
            writer.writerow([row["text"], mood])
    source = {
        "path": "mood.csv",
        "licence": "Apache-2.0",
        "columns": {"text": "said", "label": "how"},
        "label_map": {"cross": "angry"},
    }
    tasks = [task("mood.yaml", sources=[source], train={**QUICK, "method": "lora"})]
    (bundle,), _ = run(write_recipe(place, backbones["roberta"], tasks))
    assert str(bundle) == "run/mood/bundle"
    prediction = load(bundle).predict(["ignore all"])[0]
    assert set(prediction.probabilities) == {"calm", "angry"}
    assert read_bundle(bundle).metrics["macro_f1"] >= 0


def test_an_own_task_that_was_changed_since_is_refused(place, backbones):
    """The recipe names the task's file only: what the file said then is in the prepared data."""
    (place / "mood.yaml").write_text(yaml.safe_dump(MOOD))
    rows = [
        {"text": row["text"], "label": "angry" if row["kind"] == "jailbreak" else "calm"}
        for row in jailbreak_rows(60)
    ]
    write_rows(place / "data" / "mood.jsonl", rows)
    sources = [{"path": "data/mood.jsonl", "licence": "Apache-2.0"}]
    recipe = write_recipe(
        place, backbones["bert"], [task("mood.yaml", sources=sources, train=QUICK)]
    )
    run(recipe)
    (place / "mood.yaml").write_text(yaml.safe_dump({**MOOD, "question": "Another one?"}))
    with pytest.raises(ConfigError, match=r"mood.*as it was"):
        run(recipe)


def test_training_leaves_the_directory_of_another_run_alone(own_demo, backbones):
    before = snapshot(own_demo / "run")
    with pytest.raises(ConfigError, match="a new directory, or a run of `train`"):
        train_prepared(
            "jailbreak", own_demo / "run" / "jailbreak" / "data", own_demo / "run",
            find=lambda: find_backbone(str(backbones["bert"])),
            options=TrainOptions(**QUICK), say=lambda line: None,
        )  # fmt: skip
    assert snapshot(own_demo / "run") == before


def test_a_token_task_runs_on_modernbert_with_long_texts_in_windows(place, backbones):
    from tests.runs import pii_rows

    rows = pii_rows(30)
    for row in rows[:5]:
        row["text"] += " contract card" * 60  # beyond max_length: cut into windows, not cut off
    write_rows(place / "data" / "pii.jsonl", rows)
    tasks = [task("pii", labels=["PERSON", "EMAIL_ADDRESS"], train={**QUICK, "max_length": 64})]
    (bundle,), _ = run(write_recipe(place, backbones["modernbert"], tasks))
    facts = read_bundle(bundle).provenance["encoding"]
    assert sum(facts[split]["texts_beyond_max_length"] for split in facts) >= 3
    assert load(bundle).predict(["Sarah Johnson"])[0].label is None


def problem(place, backbone, rows, **more):
    write_rows(place / "data" / "jailbreak.jsonl", rows)
    recipe = write_recipe(place, backbone, [task("jailbreak", **more)])
    with pytest.raises(PointsmanError) as caught:
        run(recipe)
    assert not (place / "run" / "jailbreak").exists()
    return caught.value


def rows(*kinds):
    return [{"text": f"text number {i} of its kind {k}", "kind": k} for i, k in enumerate(kinds)]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([], SourceError, "at least one row"),
        (rows(*["benign"] * 9), DataError, "one only: benign"),
        (rows(*["benign"] * 9, "jailbreak"), DataError, "jailbreak: 1 rows"),
        (rows("benign", "jailbrake"), DataError, r"jailbreak\.jsonl: row 2"),
        ([{"text": "a", "label": "evil"}], DataError, "'evil'"),
        ([{"text": " ", "kind": "benign"}], DataError, "row 1"),
    ],
)
def test_rows_that_will_not_do_are_said(place, backbones, given, error, words):
    caught = problem(place, backbones["bert"], given)
    assert isinstance(caught, error)
    assert re.search(words, str(caught))


@pytest.mark.parametrize("empty", ["validation", "test"])
def test_a_split_without_rows_is_said_before_training(place, backbones, no_training, empty):
    prepare = {
        "near_duplicate_threshold": None,
        "fractions": {
            "train": 0.8,
            "validation": 0.2 * (empty == "test"),
            "test": 0.2 * (empty != "test"),
        },
    }
    recipe = write_recipe(place, backbones["bert"], [task("jailbreak", prepare=prepare)])
    with pytest.raises(DataError, match=empty):
        run(recipe)


def test_a_validation_split_that_cannot_pick_a_checkpoint_is_said_before_training(
    place, backbones, no_training
):
    rows = jailbreak_rows(60)
    for number, row in enumerate(rows):
        row["split"] = "train" if number % 2 else "test"
        if row["kind"] == "benign" and number % 3 == 0:
            row["split"] = "validation"  # benign rows alone: no ROC-AUC
    write_rows(place / "data" / "jailbreak.jsonl", rows)
    own = {"path": "data/jailbreak.jsonl", "licence": "Apache-2.0"}
    sources = [{**own, "split_field": "split"}]
    recipe = write_recipe(place, backbones["bert"], [task("jailbreak", sources=sources)])
    with pytest.raises(DataError, match="roc_auc"):
        run(recipe)


def recipe_problem(place, backbone, *overrides, **more):
    tasks = more.pop("tasks", [task("jailbreak")])
    with pytest.raises(ConfigError) as caught:
        plan(load_recipe(write_recipe(place, backbone, tasks, **more), overrides))
    return str(caught.value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"bakbone": "x"}, "did you mean 'backbone'"),
        ({"tasks": []}, "tasks"),
        ({"tasks": [{"task": "jailbrek"}]}, "did you mean 'jailbreak'"),
        ({"tasks": [task("jailbreak"), task("jailbreak")]}, "each task once"),
        ({"tasks": [task("category", labels=["lwa", "math"])]}, "did you mean 'law'"),
        ({"tasks": [task("pii", label_map={"GEP": "PLACE"})]}, "'GEP'"),
        ({"tasks": [task("jailbreak", positive_kinds=["jailbrake"])]}, "'jailbrake'"),
        ({"tasks": [task("jailbreak", train={"epoch": 3})]}, "did you mean 'epochs'"),
        ({"tasks": [task("jailbreak", train={"lora": {"rang": 3}})]}, r"lora\.rang"),
        ({"tasks": [task("jailbreak", prepare={"sed": 3})]}, "did you mean 'seed'"),
        ({"tasks": [task("jailbreak", sources=[{"name": "starte"}])]}, "did you mean 'starter'"),
        ({"tasks": [task("jailbreak", sources=[{"nmae": "starter"}])]}, "did you mean 'name'"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_runs(place, backbones, more, words):
    assert re.search(words, recipe_problem(place, backbones["bert"], **more))
    assert not (place / "run").exists()


def test_an_own_task_without_sources_is_refused_before_anything_runs(place, backbones):
    (place / "mood.yaml").write_text(yaml.safe_dump(MOOD))
    tasks = [{"task": "mood.yaml"}]
    assert "source" in recipe_problem(place, backbones["bert"], tasks=tasks)


def test_a_mirror_of_one_task_is_used(place, backbones):
    wrong = {**task("jailbreak")["prepare"], "mirror": str(place / "nowhere")}
    tasks = [task("jailbreak", sources=[{"name": "toxic_chat"}], prepare=wrong)]
    with pytest.raises(SourceError, match="nowhere"):
        run(write_recipe(place, backbones["bert"], tasks, allow_noncommercial=True))


def test_a_mirror_that_is_not_there_is_said(place, backbones):
    recipe = write_recipe(place, backbones["bert"], [task("jailbreak")], mirror="nowhere")
    with pytest.raises(ConfigError, match="nowhere"):
        run(recipe)
    with pytest.raises(ConfigError, match="nowhere"):
        plan(load_recipe(recipe))
    assert not (place / "run").exists()


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ({"warm_start": "nowhere"}, r"warm_start: .*model\.safetensors(.|\n)*nowhere"),
        ({"distill": {"teacher": "nowhere"}}, "nowhere: a bundle, a run"),
    ],
)
def test_what_a_later_task_starts_from_is_looked_for_first(place, backbones, train, words):
    tasks = [task("jailbreak"), {"task": "category", "train": train}]
    recipe = write_recipe(place, backbones["bert"], tasks)
    for start in (lambda: plan(load_recipe(recipe)), lambda: run(recipe)):
        with pytest.raises(PointsmanError, match=words):
            start()
    assert not (place / "run").exists()


def test_what_the_run_makes_itself_need_not_be_there_yet(place, backbones):
    train = {"warm_start": "run/jailbreak/bundle", "distill": {"teacher": "run/jailbreak"}}
    recipe = write_recipe(
        place, backbones["bert"], [task("jailbreak"), {"task": "category", "train": train}]
    )
    assert "category: starter" in "\n".join(plan(load_recipe(recipe)))


def test_a_plan_says_what_would_be_done(place, backbones):
    tasks = [task("jailbreak", train={"method": "lora"}), {"task": "category"}]
    recipe = load_recipe(write_recipe(place, backbones["bert"], tasks), ("output=elsewhere",))
    text = "\n".join(plan(recipe))
    assert "run directory elsewhere" in text
    assert re.search(r"jailbreak: data/jailbreak.jsonl -> 2 labels -> .*bert, lora, preset", text)
    assert "category: starter -> 14 labels" in text
    assert not (place / "elsewhere").exists()


def test_options_of_a_task_lie_over_those_of_the_recipe(place, backbones):
    tasks = [task("jailbreak", train={"epochs": 9, "lora": {"rank": 2}})]
    train = {**TRAIN, "lora": {"rank": 16, "alpha": 64}}
    path = write_recipe(place, backbones["bert"], tasks, train=train)
    recipe = load_recipe(path, ("train.seed=5",))
    options = recipe.train_options(recipe.tasks[0])
    assert (options.epochs, options.seed, options.batch_size) == (9, 5, 8)
    assert (options.lora.rank, options.lora.alpha) == (2, 64)
